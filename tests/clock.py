"""A clock that goes when it is told to."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Time as a test tells it, in seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        """What time it is."""
        return self.now
