"""Source to records to batches to table."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any

from tqdm import tqdm

from backend.catalog.arrivals import Arrival, arrivals
from backend.catalog.listings import listings
from backend.catalog.records import MovieRecord, UnusableRecordError, parse_record
from backend.catalog.sources import Line, read_starter
from backend.catalog.store import Upserted, is_empty, upsert
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbClient
from backend.database import session_scope
from backend.errors import TmdbError

BATCH = 2500
"""More would save little, and hold more in memory."""
FETCH_BATCH = 100
"""Few films at a time, so that the best-known are there within seconds."""


def load(lines: Iterable[Line], *, source: str) -> LoadSummary:
    """Put films into the catalogue, a transaction a batch; what is not usable is counted and named."""
    summary = LoadSummary()
    records = _usable(lines, summary)
    with tqdm(desc="films", unit=" films", unit_scale=True, mininterval=0.5, disable=None) as bar:
        while batch := list(islice(records, BATCH)):
            with session_scope() as session:
                summary.upserted += upsert(session, batch, source=source)
            bar.update(len(batch))
    return summary


def load_starter_if_empty() -> LoadSummary | None:
    """The bundled films, where there is none at all; None where there are some."""
    with session_scope() as session:
        if not is_empty(session):
            return None
    return load(read_starter(), source="starter")


def fetch_catalogue(
    client: TmdbClient, *, pages: int | None = None, on_batch: Callable[[], None] | None = None
) -> LoadSummary:
    """Bring films from TMDB, the best-known first; with `pages`, so many of each curated list and nothing else.

    Every batch is a transaction, after which `on_batch` is called while further films are being fetched. What was
    fetched lately is not fetched again, so an interrupted run is taken up by the next. Where TMDB fails for good
    after some films have come, the summary says so. Raises TmdbError where nothing at all could be had.
    """
    summary = LoadSummary("failed")
    try:
        _fetch(client, pages, summary, on_batch)
    except TmdbError as error:
        if not summary.upserted.total:
            raise
        summary.ended_by = error
    if summary.failed and not summary.upserted.total:
        raise TmdbError(f"No film could be fetched from TMDB; {summary.reasons[0]}")
    return summary


def _fetch(
    client: TmdbClient, pages: int | None, summary: LoadSummary, on_batch: Callable[[], None] | None
) -> None:
    bar: tqdm[Any]
    # A failure within the first second is said without a bar.
    bar = tqdm(desc="films", unit=" films", unit_scale=True, mininterval=0.5, delay=1, disable=None)
    with bar, _threads(client.config.threads) as pool:
        films = arrivals(client, listings(client, pages=pages), pool=pool, summary=summary)
        while batch := list(islice(films, FETCH_BATCH)):
            summary.upserted += _store(batch)
            bar.update(summary.upserted.total - bar.n)
            if on_batch:
                on_batch()
        bar.update(summary.upserted.total - bar.n)


def _store(batch: Sequence[Arrival]) -> Upserted:
    """Write detailed films and mere figures, in one transaction."""
    detailed = [film.record for film in batch if film.is_detailed]
    figures = [film.record for film in batch if not film.is_detailed]
    with session_scope() as session:
        done = upsert(session, detailed, source="tmdb", fetched_at=dt.datetime.now(dt.UTC))
        return done + upsert(session, figures, source="tmdb")


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that leave undone, at the end, what they have not begun."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="tmdb")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _usable(lines: Iterable[Line], summary: LoadSummary) -> Iterator[MovieRecord]:
    for number, raw in lines:
        try:
            yield parse_record(raw)
        except UnusableRecordError as error:
            summary.fail(f"line {number}", str(error))
