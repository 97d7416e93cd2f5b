"""A token bucket: so many turns a second, whoever asks, and a pause for all when the other side wants one."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable

SAVED = 4
"""Turns that may be saved up, so that waking up late costs nothing …"""
LONG_SECOND = 1.04
"""… but no more are handed out in so many seconds than one may have: what is sent evenly arrives less so, and a
request too many costs a whole second."""
LATE = 0.005
"""Seconds that a turn may be taken late without the next ones being later for it."""


class TokenBucket:
    """Hands out turns at an even pace, and in no second more of them than the rate says."""

    def __init__(self, rate: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate
        self._clock = clock
        self._next = clock()
        self._taken: deque[float] = deque(maxlen=max(1, math.floor(rate)))
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a turn: 0 where there was one, else the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            free = max(self._next, self._end_of_second())
            if now < free:
                return free - now
            self._taken.append(max(free, now - LATE))
            self._next = max(self._next, now - SAVED * self._interval) + self._interval
            return 0.0

    def hold(self, seconds: float) -> None:
        """Give no turn for so many seconds from now."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)

    def _end_of_second(self) -> float:
        """When the turns of a second are no longer all taken."""
        most = len(self._taken)
        if most < (self._taken.maxlen or 1):
            return -math.inf
        return self._taken[0] + most * self._interval * LONG_SECOND
