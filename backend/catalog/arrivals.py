"""Films as they arrive from TMDB: the lists read on, details fetched by a few threads, in the lists' order."""

import datetime as dt
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from backend.catalog.listings import Rows
from backend.catalog.records import MovieRecord, UnusableRecordError, figures, parse_record
from backend.catalog.store import Upserted, find_fetched
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import JsonObject, TmdbClient
from backend.database import session_scope
from backend.errors import TmdbError, TmdbKeyError, TmdbNotFoundError, TmdbUnreachableError

FRESH_FOR = dt.timedelta(days=7)
"""So long a film's details are not fetched again."""
LOOK_AHEAD = 200
"""Films asked for before the first of them is needed: five seconds of work for the threads."""
GIVE_UP_AFTER = 20
"""Films in a row that TMDB fails to deliver, although it has them, end the run."""


@dataclass(frozen=True)
class Arrival:
    """A film: with all its details, or only with the newest figures of one that is there already."""

    record: MovieRecord
    is_detailed: bool


@dataclass(frozen=True)
class _Asked:
    """A film of a list, and the answer to come where its details were asked for."""

    listed: MovieRecord
    answer: "Future[JsonObject] | None"


def arrivals(
    client: TmdbClient, lists: Mapping[str, Iterator[Rows]], *, pool: ThreadPoolExecutor, summary: LoadSummary
) -> Iterator[Arrival]:
    """Each film of the lists once; what does not come in is counted, and so is what needs no writing.

    Raises TmdbKeyError and TmdbUnreachableError at once, any TmdbError that comes GIVE_UP_AFTER times in a row.
    """
    pages = _pages(lists, summary)
    failures = 0
    for asked in _ahead(_asked(client, pages, pool=pool, summary=summary), LOOK_AHEAD):
        try:
            arrival = _arrival(asked)
        except (TmdbKeyError, TmdbUnreachableError):
            raise
        except (TmdbError, UnusableRecordError) as error:
            summary.fail(f"film {asked.listed.id} ({asked.listed.title})", str(error))
            passes = isinstance(error, TmdbNotFoundError | UnusableRecordError)
            failures = 0 if passes else failures + 1
            if failures == GIVE_UP_AFTER:
                raise
        else:
            failures = 0
            yield arrival


def _pages(lists: Mapping[str, Iterator[Rows]], summary: LoadSummary) -> Iterator[list[MovieRecord]]:
    """The lists one after the other, without films that an earlier page had; a list that fails ends early."""
    seen: set[int] = set()
    for name, pages in lists.items():
        try:
            for rows in pages:
                films = {film.id: film for film in _usable(rows, name, summary) if film.id not in seen}
                seen.update(films)
                yield list(films.values())
        except (TmdbKeyError, TmdbUnreachableError):
            raise
        except TmdbError as error:
            summary.fail(name, str(error))


def _usable(rows: Rows, name: str, summary: LoadSummary) -> Iterator[MovieRecord]:
    for row in rows:
        try:
            yield parse_record(row)
        except UnusableRecordError as error:
            summary.fail(name, str(error))


def _asked(
    client: TmdbClient, pages: Iterator[list[MovieRecord]], *, pool: ThreadPoolExecutor, summary: LoadSummary
) -> Iterator[_Asked]:
    """Ask for the details of every film that is not fresh; a fresh one with the same votes is done."""
    for films in pages:
        fresh = _fresh([film.id for film in films])
        for film in films:
            if film.id not in fresh:
                yield _Asked(film, pool.submit(client.fetch_movie, film.id))
            elif film.vote_count != fresh[film.id]:
                yield _Asked(film, None)
            else:
                summary.upserted += Upserted(unchanged=1)


def _fresh(ids: list[int]) -> dict[int, int]:
    """The films that were fetched lately, with their votes."""
    with session_scope() as session:
        return find_fetched(session, ids, since=dt.datetime.now(dt.UTC) - FRESH_FOR)


def _ahead(items: Iterator[_Asked], count: int) -> Iterator[_Asked]:
    """The same items, so many of them made before the first is taken."""
    waiting = deque(islice(items, count))
    while waiting:
        yield waiting.popleft()
        waiting.extend(islice(items, 1))


def _arrival(asked: _Asked) -> Arrival:
    if asked.answer is None:
        return Arrival(figures(asked.listed), is_detailed=False)
    return Arrival(parse_record(asked.answer.result()), is_detailed=True)
