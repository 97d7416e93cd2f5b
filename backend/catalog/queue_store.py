"""The SQL over what is to be fetched from TMDB: the queue, how far each source is read, what was rejected."""

import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import REAL, CursorResult, Row, cast, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.database import able_to_copy
from backend.models import FetchPosition, FetchQueue, Movie, Reject

Reason = Literal["pending", "list", "export", "change", "stale", "gone"]
SOURCE = "tmdb"
"""Under this name stands what could not be used of what was fetched."""
FIRST, LAST = float("inf"), -2.0
"""The priority of films that people wait for, and of those that TMDB failed to deliver."""
RECORD_BYTES = 10_000
"""Of a rejected record so much is kept."""


@dataclass(frozen=True)
class Queued:
    """A film that is to be fetched; those of greater priority come first, equal ones by id."""

    id: int
    priority: float


def enqueue(session: Session, films: Mapping[int, float], reason: Reason) -> int:
    """Put films into the queue, by id with their priority."""
    given = {"ids": list(films), "priorities": list(films.values()), "reason": reason}
    return _rowcount(session, _ENQUEUE, given)


def enqueue_known(session: Session, ids: Sequence[int], reason: Reason) -> int:
    """Those of them that the catalogue has."""
    return _rowcount(session, _ENQUEUE_KNOWN, {"ids": list(ids), "reason": reason})


def enqueue_pending(session: Session, *, again_after: dt.timedelta) -> int:
    """The films that people have an opinion of and the catalogue lacks; those that TMDB lacks too rest a while."""
    return _rowcount(session, _ENQUEUE_PENDING, {"again_after": again_after})


def enqueue_stale(session: Session, *, fetched_before: dt.datetime) -> int:
    """The films that were fetched before that moment, the oldest first."""
    return _rowcount(session, _ENQUEUE_STALE, {"fetched_before": fetched_before})


def stage_export(session: Session, rows: Iterable[tuple[int, float]]) -> int:
    """Put the films of an export, by id and popularity, onto a stage of this transaction; how many."""
    session.execute(text("CREATE TEMP TABLE exported (id integer, popularity real) ON COMMIT DROP"))
    driver = session.connection().connection.driver_connection
    assert driver is not None
    with able_to_copy(), driver.cursor() as cursor:
        cursor.copy_expert("COPY exported FROM STDIN (FORMAT csv)", _Lines(rows))
        staged: int = cursor.rowcount
    return staged


def enqueue_export(session: Session, *, fetched_before: dt.datetime) -> int:
    """What is staged, by popularity, and at last what the export does not have; but for what was fetched since.

    Of the last TMDB will say that they are gone.
    """
    given = {"fetched_before": fetched_before}
    return _rowcount(session, _ENQUEUE_EXPORT, given) + _rowcount(session, _ENQUEUE_GONE, given)


def find_next(session: Session, *, after: Queued | None, limit: int) -> list[Queued]:
    """The next films of the queue, after one of them."""
    statement = select(FetchQueue.id, FetchQueue.priority)
    if after is not None:
        # As the column has it: compared with a double, a number is not even equal to itself.
        priority = cast(after.priority, REAL)
        place = tuple_(-FetchQueue.priority, FetchQueue.id)
        statement = statement.where(FetchQueue.priority <= priority, place > tuple_(-priority, after.id))
    ordered = statement.order_by(FetchQueue.priority.desc(), FetchQueue.id).limit(limit)
    return [Queued(row.id, row.priority) for row in session.execute(ordered)]


def find_awaited(session: Session) -> list[Queued]:
    """Those of the queue that people wait for."""
    awaited = select(FetchQueue.id).where(FetchQueue.priority == FIRST).order_by(FetchQueue.id)
    return [Queued(id, FIRST) for id in session.scalars(awaited)]


def postpone(session: Session, ids: Sequence[int]) -> None:
    """Leave films to the end of the next run: those that come are not to wait for those that don't."""
    if ids:
        session.execute(update(FetchQueue).where(FetchQueue.id.in_(ids)).values(priority=LAST))


def count_queued(session: Session) -> int:
    """How many films are to be fetched."""
    return session.scalar(select(func.count()).select_from(FetchQueue)) or 0


def settle(session: Session, ids: Sequence[int], *, usable: Sequence[int]) -> None:
    """Take films out of the queue: they have been dealt with. Those that were usable are no rejects any more."""
    names = [film_name(film) for film in usable]
    session.execute(_SETTLE, {"ids": list(ids), "source": SOURCE, "names": names})


def find_position(session: Session, source: str) -> dict[str, Any] | None:
    """How far a source has been read; None where it never was."""
    return session.scalar(select(FetchPosition.position).where(FetchPosition.source == source))


def move_position(session: Session, source: str, position: Mapping[str, Any]) -> None:
    """Note how far a source has been read."""
    moved = insert(FetchPosition).values(source=source, position=dict(position))
    values = {"position": moved.excluded.position, "moved_at": func.now()}
    session.execute(moved.on_conflict_do_update(index_elements=[FetchPosition.source], set_=values))


def reject(session: Session, source: str, name: str, reason: str, record: str | None) -> None:
    """Keep what could not be used; of one that is rejected again the newest record."""
    kept = None if record is None else record.replace("\0", "")[:RECORD_BYTES].encode("utf-8", "replace").decode()
    values = {"reason": reason, "record": kept}
    rejected = insert(Reject).values(source=source, name=name, **values)
    again = {"reason": rejected.excluded.reason, "record": rejected.excluded.record, "rejected_at": func.now()}
    session.execute(rejected.on_conflict_do_update(index_elements=[Reject.source, Reject.name], set_=again))


def forget_rejects(session: Session, source: str) -> None:
    """Forget all that came from there and could not be used: it is read anew."""
    session.execute(delete(Reject).where(Reject.source == source))


def find_rejected(session: Session, source: str, names: Sequence[str], *, since: dt.datetime) -> set[str]:
    """Those that could not be used when they came after that moment."""
    named = (Reject.source == source, Reject.name.in_(names), Reject.rejected_at > since)
    return set(session.scalars(select(Reject.name).where(*named)))


def find_rejects(session: Session, *, limit: int) -> list[Row[Any]]:
    """What could not be used, the newest first."""
    columns = (Reject.source, Reject.name, Reject.reason, Reject.record, Reject.rejected_at)
    newest = select(*columns).order_by(Reject.rejected_at.desc(), Reject.source, Reject.name)
    return list(session.execute(newest.limit(limit)))


def film_name(film: int) -> str:
    """What a film is called among what could not be used."""
    return f"film {film}"


def hide(session: Session, ids: Sequence[int]) -> int:
    """Leave films that TMDB no longer has out of every answer."""
    if not ids:
        return 0
    gone = update(Movie).where(Movie.id.in_(ids), Movie.source == "tmdb", ~Movie.hidden).values(hidden=True)
    return _rowcount(session, gone)


def hide_stale(session: Session, *, fetched_before: dt.datetime) -> int:
    """Leave out what was fetched before that moment: TMDB's terms let nobody show it."""
    stale = (Movie.source == "tmdb", Movie.fetched_at < fetched_before, ~Movie.hidden)
    return _rowcount(session, update(Movie).where(*stale).values(hidden=True))


def _rowcount(session: Session, statement: Any, parameters: Mapping[str, Any] | None = None) -> int:
    result = session.execute(statement, parameters)
    assert isinstance(result, CursorResult)
    return result.rowcount


class _Lines(io.TextIOBase):
    """Rows as a file of CSV, of which no more is in memory than is read at a time."""

    def __init__(self, rows: Iterable[tuple[int, float]]) -> None:
        self._lines = (f"{id},{popularity}\r\n" for id, popularity in rows)

    def read(self, size: int | None = -1, /) -> str:
        """The next lines, until these have the size, or the rest."""
        parts, length = [], 0
        for line in self._lines:
            parts.append(line)
            length += len(line)
            if 0 <= (size or -1) <= length:
                break
        return "".join(parts)


_ON_CONFLICT = """
    ON CONFLICT (id) DO UPDATE SET priority = excluded.priority, reason = excluded.reason
    WHERE fetch_queue.priority < excluded.priority
"""

_SETTLE = text("""
    WITH accepted AS (DELETE FROM rejects WHERE source = :source AND name = ANY(CAST(:names AS text[])))
    DELETE FROM fetch_queue WHERE id = ANY(CAST(:ids AS integer[]))
""")

_ENQUEUE = text(f"""
    INSERT INTO fetch_queue (id, priority, reason)
    SELECT id, priority, :reason
    FROM unnest(CAST(:ids AS integer[]), CAST(:priorities AS real[])) AS given (id, priority)
    {_ON_CONFLICT}
""")  # noqa: S608 - a constant

_ENQUEUE_KNOWN = text(f"""
    INSERT INTO fetch_queue (id, priority, reason)
    SELECT id, vote_count, :reason FROM movies
    WHERE id = ANY(CAST(:ids AS integer[])) AND source <> 'starter'
    {_ON_CONFLICT}
""")  # noqa: S608 - a constant

_ENQUEUE_PENDING = text(f"""
    INSERT INTO fetch_queue (id, priority, reason)
    SELECT DISTINCT tmdb_id, 'infinity'::real, 'pending' FROM pending_interactions
    WHERE tmdb_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM rejects
        WHERE source = 'tmdb' AND name = 'film ' || tmdb_id
            AND rejected_at > now() - CAST(:again_after AS interval)
    )
    {_ON_CONFLICT}
""")  # noqa: S608 - a constant

_ENQUEUE_STALE = text(f"""
    INSERT INTO fetch_queue (id, priority, reason)
    SELECT id, extract(epoch FROM CAST(:fetched_before AS timestamptz) - fetched_at) / 1e12, 'stale' FROM movies
    WHERE source = 'tmdb' AND fetched_at < :fetched_before AND NOT hidden
    {_ON_CONFLICT}
""")  # noqa: S608 - a constant

_ENQUEUE_EXPORT = text(f"""
    INSERT INTO fetch_queue (id, priority, reason)
    SELECT e.id, max(e.popularity), 'export' FROM exported e LEFT JOIN movies m ON m.id = e.id
    WHERE (m.fetched_at IS NULL OR m.fetched_at < :fetched_before) AND NOT EXISTS (
        SELECT FROM rejects
        WHERE source = 'tmdb' AND name = 'film ' || e.id AND rejected_at > :fetched_before
    )
    GROUP BY e.id
    {_ON_CONFLICT}
""")  # noqa: S608 - a constant

_ENQUEUE_GONE = text(f"""
    INSERT INTO fetch_queue (id, priority, reason)
    SELECT id, -1, 'gone' FROM movies
    WHERE source = 'tmdb' AND NOT hidden AND fetched_at < :fetched_before
        AND NOT EXISTS (SELECT FROM exported WHERE exported.id = movies.id)
    {_ON_CONFLICT}
""")  # noqa: S608 - a constant
