"""Source to records to batches to table."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from tqdm import tqdm

from backend.catalog.records import MovieRecord, UnusableRecordError, parse_record
from backend.catalog.sources import Line, read_starter
from backend.catalog.store import Upserted, is_empty, upsert
from backend.database import session_scope

BATCH = 1000
REJECTS_NAMED = 20


@dataclass
class LoadSummary:
    """What a load came to; of the rejected records the first few are named."""

    upserted: Upserted = field(default_factory=Upserted)
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)

    def reject(self, number: int, reason: str) -> None:
        """Count a record that is not usable."""
        self.rejected += 1
        if len(self.reasons) < REJECTS_NAMED:
            self.reasons.append(f"line {number}: {reason}")

    def __str__(self) -> str:
        done = self.upserted
        return (
            f"{done.new:,} new, {done.changed:,} changed, {done.unchanged:,} unchanged, {self.rejected:,} rejected"
        )


def load(lines: Iterable[Line], *, source: str) -> LoadSummary:
    """Put films into the catalogue, a transaction a batch; what is not usable is counted and named."""
    summary = LoadSummary()
    records = _usable(lines, summary)
    with tqdm(desc="films", unit=" films", unit_scale=True, mininterval=0.5) as bar:
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


def _usable(lines: Iterable[Line], summary: LoadSummary) -> Iterator[MovieRecord]:
    for number, raw in lines:
        try:
            yield parse_record(raw)
        except UnusableRecordError as error:
            summary.reject(number, str(error))
