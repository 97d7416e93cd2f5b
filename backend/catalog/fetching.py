"""The queue worked off: details fetched by a few threads, and each film stored as soon as it is there."""

import datetime as dt
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field

from backend.catalog.planning import Planner
from backend.catalog.queue_store import (
    SOURCE,
    Queued,
    film_name,
    find_awaited,
    find_next,
    hide,
    postpone,
    reject,
    settle,
)
from backend.catalog.records import MovieRecord, UnusableRecordError, parse_record
from backend.catalog.store import Upserted, upsert
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbClient
from backend.catalog.tmdb_answers import JsonObject
from backend.catalog.values import as_text
from backend.database import session_scope
from backend.errors import TmdbError, TmdbKeyError, TmdbNotFoundError, TmdbUnreachableError

READ_AHEAD = 500
"""Films of the queue that are read at a time."""
AT_ONCE = 1.5
"""Films under way for each thread: some are being stored while others are being fetched."""
LINGER = 0.1
"""Seconds that what has come waits for more, unless that is half of what may come at a time."""
LOOK_EVERY = 5.0
"""Seconds after which it is asked again what people have come to wait for."""
GIVE_UP_AFTER = 20
"""Films in a row that TMDB fails to deliver, although it has them, end the run."""

Answers = dict[Queued, "Future[JsonObject]"]


@dataclass
class _Batch:
    """What has come in and is not stored yet."""

    asked: list[int] = field(default_factory=list)
    """The films that have been dealt with, by the ids that were asked for."""
    films: list[MovieRecord] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    unusable: dict[int, tuple[str, str]] = field(default_factory=dict)
    """By film the reason, and what came."""
    failed: dict[int, TmdbError] = field(default_factory=dict)
    """What TMDB did not deliver, which stays in the queue."""

    def sort(self, film: int, answer: "Future[JsonObject]") -> None:
        """Add what an answer comes to."""
        raw: JsonObject = {}
        try:
            raw = answer.result()
            self._take(film, parse_record(raw))
        except TmdbNotFoundError as error:
            self._lose(film, str(error))
        except TmdbError as error:
            self.failed[film] = error
            return
        except UnusableRecordError as error:
            self.unusable[film] = str(error), as_text(raw)
        self.asked.append(film)

    @property
    def size(self) -> int:
        """All that has come."""
        return len(self.asked) + len(self.failed)

    def write(self, failed: Sequence[int]) -> Upserted:
        """Store it, and that it has been dealt with, in one transaction; what failed is left to the end."""
        if not self.asked:
            return Upserted()
        with session_scope() as session:
            done = upsert(session, self.films, source=SOURCE, fetched_at=dt.datetime.now(dt.UTC))
            for film, (reason, record) in self.unusable.items():
                reject(session, SOURCE, film_name(film), reason, record)
            hide(session, self.gone)
            settle(session, self.asked, usable=[film for film in self.asked if film not in self.unusable])
            postpone(session, failed)
        return done

    def _take(self, film: int, record: MovieRecord) -> None:
        self.films.append(record)
        if record.id != film:
            self._lose(film, f"TMDB answers with film {record.id}: they have been merged.")

    def _lose(self, film: int, reason: str) -> None:
        self.gone.append(film)
        self.unusable[film] = reason, ""


class Fetcher:
    """Fetches what is in the queue, and what the planner still puts there; stores while more is being fetched."""

    def __init__(self, client: TmdbClient, planner: Planner, summary: LoadSummary) -> None:
        self._client = client
        self._planner = planner
        self._summary = summary
        self._threads = client.config.threads
        self._ready: deque[Queued] = deque()
        self._last: Queued | None = None
        """So far the queue has been read."""
        self._looked = float("-inf")
        self._asked: Answers = {}
        """What is on its way, or has come and is not being stored yet."""
        self._begun: set[int] = set()
        """Films that are not to be begun again, though they may be found in the queue."""
        self._failed: list[int] = []
        """Those that failed since the last one that came."""

    def run(self) -> Iterator[None]:
        """Go on until nothing is left; gives a turn after each transaction.

        A transaction has what came within a moment, and no more is under way than AT_ONCE allows: that is what a
        kill costs. Raises TmdbKeyError and TmdbUnreachableError at once, any TmdbError that comes GIVE_UP_AFTER
        times in a row.
        """
        with _threads(self._threads) as pool, ThreadPoolExecutor(1, thread_name_prefix="store") as writer:
            while True:
                while len(self._ready) < self._room(0) and self._read_on():
                    pass
                self._ask(pool, self._room(0))
                if not self._asked:
                    return
                batch = self._wait()
                storing = writer.submit(batch.write, self._failed)
                # Only what has been read already: a planner at work meanwhile might queue what is being stored.
                self._ask(pool, self._room(batch.size))
                self._settle(batch, storing.result())
                yield

    def _room(self, being_stored: int) -> int:
        return int(self._threads * AT_ONCE) - len(self._asked) - being_stored

    def _ask(self, pool: ThreadPoolExecutor, films: int) -> None:
        for _ in range(min(films, len(self._ready))):
            film = self._ready.popleft()
            self._asked[film] = pool.submit(self._client.fetch_movie, film.id)

    def _wait(self) -> _Batch:
        """What has come: half of what may come at a time, or what there is after a moment."""
        until = time.monotonic() + LINGER
        wait(self._asked.values(), return_when=FIRST_COMPLETED)
        while (rest := until - time.monotonic()) > 0:
            waiting = [answer for answer in self._asked.values() if not answer.done()]
            if not waiting or len(self._asked) - len(waiting) >= self._threads // 2:
                break
            wait(waiting, timeout=rest, return_when=FIRST_COMPLETED)
        batch = _Batch()
        for film in [film for film, answer in self._asked.items() if answer.done()]:
            batch.sort(film.id, self._asked.pop(film))
        self._failed += batch.failed
        return batch

    def _read_on(self) -> bool:
        """Read more of the queue, or have the planner put more there; False where there is no more."""
        if time.monotonic() - self._looked > LOOK_EVERY:
            self._planner.plan_pending()
            self._looked = time.monotonic()
        with session_scope() as session:
            awaited = self._new(find_awaited(session))
            films = find_next(session, after=self._last, limit=READ_AHEAD)
        self._ready.extendleft(reversed(awaited))
        self._ready.extend(self._new(films))
        self._last = films[-1] if films else None
        return bool(awaited or films) or self._planner.step()

    def _new(self, films: list[Queued]) -> list[Queued]:
        new = [film for film in films if film.id not in self._begun]
        self._begun.update(film.id for film in new)
        return new

    def _settle(self, batch: _Batch, done: Upserted) -> None:
        """What has been stored counts. Raises TmdbError where what has not come ends the run."""
        if batch.asked:
            self._failed.clear()
        # What is stored is not in the queue any more; a set of a million would be large.
        self._begun.difference_update(film for film in batch.asked if film not in batch.unusable)
        self._summary.upserted += done
        self._summary.dealt_with += len(batch.asked)
        self._summary.gone += len(batch.gone)
        for film in batch.unusable.keys() - set(batch.gone):
            self._summary.fail(film_name(film), batch.unusable[film][0])
        for failed, error in batch.failed.items():
            if isinstance(error, TmdbKeyError | TmdbUnreachableError) or len(self._failed) >= GIVE_UP_AFTER:
                raise error
            self._summary.fail(film_name(failed), str(error))


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that leave undone, at the end, what they have not begun."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="tmdb")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
