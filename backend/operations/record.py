"""What became of a run, in words that may be stored: one line, no secret, no stack."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import structlog
from pydantic import SecretStr
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from backend.config import Settings
from backend.errors import AppError, JobEndedEarlyError, JobSkippedError

log = structlog.get_logger()

Counts = dict[str, Any]
Outcome = Literal["succeeded", "skipped", "failed", "interrupted"]


@dataclass(frozen=True)
class Ended:
    """How a run ended; `error` is the reason why it did not succeed."""

    job: str
    outcome: Outcome
    counts: Counts = field(default_factory=dict)
    error: str | None = None


class Record:
    """Around a run: whatever it is left by, `ended` says so afterwards.

    A scheduler goes on after a failure; a run by hand raises what it failed by.
    """

    def __init__(self, job: str, settings: Settings, *, by_hand: bool) -> None:
        self.counts: Counts = {}
        # As long as nothing else is known: whatever stops a process leaves this behind.
        self.ended = Ended(job, "interrupted")
        self._settings = settings
        self._by_hand = by_hand

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Judge by what ended it; a skipped run is no error."""
        outcome, reason = self._verdict(error)
        counts = error.counts if isinstance(error, JobEndedEarlyError) else self.counts
        self.ended = Ended(self.ended.job, outcome, counts, reason)
        if isinstance(error, JobSkippedError):
            return True
        if self._by_hand or not isinstance(error, Exception):
            return False
        if not isinstance(error, AppError):
            stack = "".join(traceback.format_exception(error))
            log.error("job_raised", job=self.ended.job, traceback=without_secrets(stack, self._settings))
        return True

    def _verdict(self, error: BaseException | None) -> tuple[Outcome, str | None]:
        if error is None:
            return "succeeded", None
        if isinstance(error, JobSkippedError):
            return "skipped", one_line(error)
        if isinstance(error, Exception):
            return "failed", without_secrets(one_line(error), self._settings)
        # Whoever stops a command by hand does not want it begun again behind their back.
        return ("failed", "Stopped by hand.") if self._by_hand else ("interrupted", None)


def one_line(error: Exception) -> str:
    """The gist of an error."""
    if isinstance(error, AppError):
        return " ".join(error.detail.split())
    message = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    first = message.splitlines()[0] if message else ""
    return f"{type(error).__name__}: {first}".rstrip(": ")


def without_secrets(words: str, settings: Settings) -> str:
    """The same words, without any key or password of the settings: addresses in messages carry them."""
    for secret in _secrets(settings):
        words = words.replace(secret, "***")
    return words


def _secrets(settings: Settings) -> Iterator[str]:
    yield from (value.get_secret_value() for _, value in settings if isinstance(value, SecretStr))
    yield from settings.client_keys
    if settings.sqlalchemy_url and (password := make_url(settings.sqlalchemy_url).password):
        yield password
