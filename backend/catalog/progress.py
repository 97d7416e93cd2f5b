"""How far a fetch is: on the terminal, and in the database for those who look from elsewhere."""

import datetime as dt
import time
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from backend.catalog.queue_store import count_queued, move_position
from backend.catalog.summary import LoadSummary
from backend.database import session_scope

PROGRESS = "progress"
"""Under this name it stands among the positions of the sources."""
TOLD_EVERY = 2.0
"""Seconds."""


class Progress:
    """Tells of a run while it lasts; use it in a `with`."""

    def __init__(self, summary: LoadSummary) -> None:
        self._summary = summary
        self._begun = self._told = time.monotonic()
        self._bar: tqdm[Any]
        # A failure within the first second is said without a bar.
        self._bar = tqdm(desc="films", unit=" films", unit_scale=True, mininterval=0.5, delay=1, disable=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The last word, and the end of the bar."""
        self._bar.close()
        if kind is None:
            self._tell()

    def moved(self) -> None:
        """Something has been stored."""
        self._bar.update(self._summary.upserted.total - self._bar.n)
        if time.monotonic() - self._told >= TOLD_EVERY:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        done, failed = self._summary.upserted.total, self._summary.failed
        rate = done / max(self._told - self._begun, 1e-3)
        with session_scope() as session:
            left = count_queued(session)
            told = {"stored": done, "failed": failed, "left": left, "films_a_second": round(rate, 1)}
            eta = round(left / rate) if rate else None
            at = dt.datetime.now(dt.UTC).isoformat()
            move_position(session, PROGRESS, told | {"seconds_left": eta, "at": at})
        self._bar.total = done + left
        self._bar.set_postfix(failed=failed, refresh=False)
