"""Source to records to batches to table."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from tqdm import tqdm

from backend.catalog.fetching import Fetcher
from backend.catalog.planning import Planner, Wanted
from backend.catalog.progress import Progress
from backend.catalog.queue_store import RECORD_BYTES, forget_rejects, reject
from backend.catalog.records import MovieRecord, UnusableRecordError, parse_record
from backend.catalog.sources import Line, read_starter
from backend.catalog.store import is_empty, upsert
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbClient
from backend.catalog.values import as_text
from backend.database import session_scope
from backend.errors import TmdbError

BATCH = 2500
"""More would save little, and hold more in memory."""


@dataclass
class _Batch:
    """Some lines of a source."""

    films: list[MovieRecord] = field(default_factory=list)
    rejected: list[tuple[str, str, str]] = field(default_factory=list)
    """What could not be used: the line, the reason, and what stood there."""

    @property
    def lines(self) -> int:
        return len(self.films) + len(self.rejected)


def load(lines: Iterable[Line], *, source: str, file: str | None = None) -> LoadSummary:
    """Put films into the catalogue, a transaction a batch; what is not usable is counted and named.

    With the name of the file it is also kept, instead of what an earlier load of that file has left.
    """
    summary, rest = LoadSummary(), iter(lines)
    if file is not None:
        with session_scope() as session:
            forget_rejects(session, file)
    with tqdm(desc="films", unit=" films", unit_scale=True, mininterval=0.5, disable=None) as bar:
        while (batch := _next_batch(rest)).lines:
            with session_scope() as session:
                summary.upserted += upsert(session, batch.films, source=source)
                if file is not None:
                    for name, reason, record in batch.rejected:
                        reject(session, file, name, reason, record)
            for name, reason, _ in batch.rejected:
                summary.fail(name, reason)
            bar.update(len(batch.films))
    return summary


def load_starter_if_empty() -> LoadSummary | None:
    """The bundled films, where there is none at all; None where there are some."""
    with session_scope() as session:
        if not is_empty(session):
            return None
    return load(read_starter(), source="starter")


def fetch_catalogue(
    client: TmdbClient, wanted: Wanted, *, on_stored: Callable[[], None] | None = None
) -> LoadSummary:
    """Bring films from TMDB, those that people wait for first, then the best-known.

    Whatever was asked for by an earlier run that was cut off is brought too, and nothing that it stored is fetched
    again. `on_stored` is called after each transaction. Where TMDB fails for good after some films have come, the
    summary says so. Raises TmdbError where nothing at all could be had.
    """
    summary = LoadSummary("failed")
    try:
        with Planner(client, summary) as planner, Progress(summary) as progress:
            planner.begin(wanted, now=dt.datetime.now(dt.UTC))
            for _ in Fetcher(client, planner, summary).run():
                progress.moved()
                if on_stored:
                    on_stored()
    except TmdbError as error:
        if not (summary.upserted.total or summary.dealt_with):
            raise
        summary.ended_by = error
    summary.faults += client.faults
    if summary.failed and not (summary.upserted.total or summary.dealt_with):
        raise TmdbError(f"No film could be fetched from TMDB; {summary.reasons[0]}")
    return summary


def _next_batch(lines: Iterator[Line]) -> _Batch:
    batch = _Batch()
    for number, raw in islice(lines, BATCH):
        try:
            batch.films.append(parse_record(raw))
        except UnusableRecordError as error:
            batch.rejected.append((f"line {number}", str(error), as_text(raw)[:RECORD_BYTES]))
    return batch
