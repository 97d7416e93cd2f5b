"""A ramp: after trouble one at a time asks a layer, and from answer to answer more do.

The connections to a server that is back are new, and the first answers over a new one take ten times as long. Were
all made at once, everyone would wait for them.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

STEP = 0.25
"""By so much each answer widens it."""


class Ramp:
    """How many may ask at once."""

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._most = most
        self._room = float(most)
        self._asking = 0

    @property
    def has_room(self) -> bool:
        """Whether one more may ask."""
        return self._room >= self._most or self._asking < self._room

    def begin_anew(self) -> None:
        """Note that there was trouble."""
        self._room = 1.0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Around a question; without an error it counts as answered."""
        with self._lock:
            self._asking += 1
        try:
            yield
            self._room = min(self._room + STEP, self._most)
        finally:
            with self._lock:
                self._asking -= 1
