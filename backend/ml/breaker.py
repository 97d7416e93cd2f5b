"""A circuit breaker: a layer that keeps failing is left alone for a while, and then asked once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class BreakerConfig:
    """When to stop asking, and when to try again."""

    failures: int = 3
    """Failures in a row that open the circuit."""
    slow: int = 10
    """Answers in a row that took too long, of a layer that is otherwise well, which open it too."""
    pause: float = 1.0
    """Seconds from one try to the next while it is open."""


class Breaker:
    """Counts failures; closed lets everyone through, open one try every `pause`."""

    def __init__(
        self, config: BreakerConfig | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config or BreakerConfig()
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._slow = 0
        self._next_try = 0.0
        self._opened_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the layer is left alone."""
        return self._failures >= self._config.failures or self._slow >= self._config.slow

    def lets_through(self) -> bool:
        """Whether to ask the layer now; of those who come while the circuit is open, one is the try."""
        with self._lock:
            if not self.is_open:
                return True
            now = self._clock()
            if now < self._next_try:
                return False
            self._next_try = now + self._config.pause
            return True

    def worked(self) -> None:
        """Note an answer, which closes the circuit.

        One that was on its way when the circuit opened does not: under load, some always are.
        """
        with self._lock:
            if not self.is_open or self._clock() >= self._opened_until:
                self._failures = self._slow = 0

    def failed(self, *, slowly: bool = False) -> None:
        """Note a failure; `slowly`: nothing is known but that the answer took too long."""
        with self._lock:
            was_open = self.is_open
            if slowly:
                self._slow += 1
            else:
                self._failures += 1
            if self.is_open:
                self._next_try = self._clock() + self._config.pause
            if self.is_open and not was_open:
                self._opened_until = self._next_try
