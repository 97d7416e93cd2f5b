"""A token bucket: so many turns a second, whoever asks, and a pause for all when the other side wants one."""

import threading
import time
from collections.abc import Callable


class TokenBucket:
    """Hands out turns at an even pace.

    One turn may be saved up, so that waking up late costs nothing: t seconds see at most `rate` * t + 2 turns.
    """

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._next = clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a turn: 0 where there was one, else the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            if now < self._next:
                return self._next - now
            self._next = max(self._next, now - self._interval) + self._interval
            return 0.0

    def hold(self, seconds: float) -> None:
        """Give no turn for so many seconds from now."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
