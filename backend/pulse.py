"""Whether the database answers: one thread of a process asks it again and again, and all others can tell by that.

A server that is frozen, or has locked what is read, refuses nothing and closes nothing. Its only sign is that an
answer which takes a millisecond does not come.
"""

import select
import time
from collections.abc import Callable
from typing import NamedTuple


class _Question(NamedTuple):
    asked_at: float
    socket: int | None
    """Where the answer will come."""


class Pulse:
    """For how long a question has been waiting for its answer; one thread asks, any may look."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._question: _Question | None = None

    def asks(self, socket: int | None = None) -> None:
        """Note that a question is asked, or would be if there were anyone to ask."""
        asked_at = self._clock() if self._question is None else self._question.asked_at
        self._question = _Question(asked_at, socket)

    def answered(self) -> None:
        """Note that the answer came, or that nobody asks any more."""
        self._question = None

    @property
    def silence(self) -> float:
        """Seconds that the question has waited; 0 where none does."""
        question = self._question
        if question is None or _has_come(question.socket):
            return 0.0
        return self._clock() - question.asked_at


def _has_come(socket: int | None) -> bool:
    """Whether there is an answer to read: the thread that asked may be waiting for its turn in a busy process."""
    if socket is None:
        return False
    waiting = select.poll()
    waiting.register(socket, select.POLLIN)
    return any(event & select.POLLIN for _, event in waiting.poll(0))
