"""The SQL over item factors: three tables a version, built beside those in force, switched in one transaction.

Readers go through views of the same names, so a statement sees one version whole.

`item_factors` has of every film `p`, `q` and its genres; the row of film 0 holds, as its `p`, where everyone
starts. `reach` is the place of a film among those that score high for anyone, from 0. `within_reach` has of the
first of them `q` in half precision: what a search that has to be fast looks through. `likeness` has what makes
films alike, and where they lie in an index over it; the row of film 0 holds the limit of those places: see
`similarity.places`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from pgvector.sqlalchemy import HALFVEC, Vector
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Boolean, ColumnElement, Connection, Engine, Integer, Text, column, func, select, table, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.database import CHANGES
from backend.ml.index_plan import EXACT_LIMIT, HNSW_EF_CONSTRUCTION, HNSW_M
from backend.ml.item_factors import Floats, ItemFactors
from backend.ml.similarity import PRIOR, furthest, places
from backend.ml.table_copy import AT_ONCE, copy_rows
from backend.models import ActiveModel, Movie

log = structlog.get_logger()

FACTORS = table(
    "item_factors",
    column("movie_id", Integer),
    column("p", Vector()),
    column("q", Vector()),
    column("genres", Vector()),
    column("reach", Integer),
    column("version", Text),
)
WITHIN_REACH = table("within_reach", column("movie_id", Integer), column("q", HALFVEC()))
LIKENESS = table(
    "likeness",
    column("movie_id", Integer),
    column("s", Vector()),
    column("place", HALFVEC()),
    column("indexed", Boolean),
    column("version", Text),
)
VIEWS = {
    "item_factors": "movie_id, p, q, genres, reach, '{version}'::text AS version",
    "within_reach": "movie_id, q",
    "likeness": "movie_id, s, place, {indexed} AS indexed, '{version}'::text AS version",
}
"""What each shows of its table. Whether that has an index is a constant, so that statements are planned by it."""
PARTS = ("p", "q", "s", "genres")
LAST = 2**31 - 1
START = 0
"""The film whose `p` is where everyone starts."""
VERSION = re.compile(r"[a-z0-9_]{1,40}")
WAIT = "300ms"
"""As long as readers may be kept waiting by a switch that waits for one of them."""
INDEX_MEMORY = 2**10
"""Bytes that the index over places takes of memory for a film while it is built."""


@contextmanager
def one_at_a_time(engine: Engine) -> Iterator[None]:
    """One training, of whatever process: another's end would drop what this one is building."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtext('marquee training'))"))
        # Not back into the pool: the lock ends with the session.
        connection.detach()
        yield


def find_active(session: Session) -> str | None:
    """The version in force; None before the first training."""
    return session.scalar(select(ActiveModel.version))


def build(
    connection: Connection,
    version: str,
    ids: NDArray[np.int32],
    factors: ItemFactors,
    order: NDArray[np.intp] | None = None,
) -> None:
    """Write the tables of a version beside those in force; films without a place have no row.

    Args:
        order: the indexes of those that have one, first those that reach farthest; left out, as they come.
    """
    here = np.flatnonzero(factors.known) if order is None else order
    _build_factors(connection, _table("item_factors", version), ids, factors, here)
    first = here[:EXACT_LIMIT]
    _build_within_reach(connection, _table("within_reach", version), ids[first], factors.q[first])
    _build_likeness(connection, _table("likeness", version), ids[here], factors.s[here])
    for name in VIEWS:
        connection.execute(text(f"ANALYZE {_table(name, version)}"))


def activate(session: Session, version: str) -> None:
    """Let a version answer from the end of this transaction; the one before stays, to go back to."""
    index = f"{_table('likeness', version)}_place_idx"
    indexed = session.scalar(text("SELECT to_regclass(:index) IS NOT NULL"), {"index": index})
    session.execute(_SWITCH, {"version": version})
    views = []
    for name, columns in VIEWS.items():
        shown = columns.format(version=version, indexed=bool(indexed))
        views.append(f"DROP VIEW {name}; CREATE VIEW {name} AS SELECT {shown} FROM {_table(name, version)}")  # noqa: S608
    while not _did_all(session, views):
        log.info("switch_waits_for_readers", version=version)


def find_previous(session: Session) -> str | None:
    """The version to go back to."""
    return session.scalar(select(ActiveModel.previous))


def drop_others(session: Session) -> None:
    """Drop every version but the one in force and the one before, such as a killed training left behind."""
    kept = session.execute(select(ActiveModel.version, ActiveModel.previous)).one_or_none() or ()
    tables = {_table(name, version) for version in kept if version for name in VIEWS}
    for name in session.scalars(_VERSIONS, {"names": "|".join(VIEWS)}).all():
        if name not in tables:
            session.execute(text(f"DROP TABLE {name}"))


def add(session: Session, version: str, ids: NDArray[np.int32], factors: ItemFactors) -> None:
    """Give films that have none a place in a version."""
    tables = {name: _table(name, version) for name in VIEWS}
    limit = session.scalar(text(_LIMIT.format(**tables)), {"coordinate": PRIOR + 1}) or 0.0
    vectors = {part: getattr(factors, part) for part in PARTS}
    vectors["place"] = places(factors.s, limit=limit)
    given = {part: [str(row) for row in rows.tolist()] for part, rows in vectors.items()}
    session.execute(text(_ADD.format(**tables)), {"ids": ids.tolist(), **given})
    # Tables of a version come and go without triggers.
    session.execute(select(func.pg_notify(CHANGES, "taste")))


def without_place(session: Session, *, model: str, limit: int) -> list[int]:
    """The first films with an embedding that have no row in the version in force, by id."""
    placed = select(FACTORS.c.movie_id).where(FACTORS.c.movie_id == Movie.id).exists()
    statement = select(Movie.id).where(Movie.embedding_model == model, ~placed)
    return list(session.scalars(statement.order_by(Movie.id).limit(limit)))


class StoredFactors:
    """The factors of one version, read in the transaction that found it.

    From its table, not by the view: the catalogue is always read as it is now, rows as of the transaction's
    moment. And whoever reads for minutes through the view would let a switch wait, and every reader behind that.
    """

    def __init__(self, session: Session, version: str) -> None:
        self._session = session
        vectors = (column(part, Vector()) for part in ("p", "q", "genres"))
        self._rows = table(_table("item_factors", version), column("movie_id", Integer), *vectors)
        self._likeness = table(_table("likeness", version), column("movie_id", Integer), column("s", Vector()))

    def start(self) -> Floats:
        """Where everyone starts, shape (dimensions,)."""
        sent = select(func.vector_send(self._rows.c.p)).where(self._rows.c.movie_id == START)
        return received(self._session.execute(sent).scalar_one())

    def widths(self) -> dict[str, int]:
        """The dimensions of each part."""
        dimensions = [func.vector_dims(vector).label(part) for part, vector in self._parts().items()]
        joined = select(*dimensions).join_from(self._rows, self._likeness, self._same_film())
        return dict(self._session.execute(joined.limit(1)).mappings().one())

    def stream(self) -> Iterator[dict[str, Floats] | None]:
        """Of every film, in the order of ids, its vectors by part; None where it has no place."""
        vectors = [func.vector_send(vector).label(part) for part, vector in self._parts().items()]
        statement = select(*vectors).select_from(Movie)
        statement = statement.outerjoin(self._rows, self._rows.c.movie_id == Movie.id)
        statement = statement.outerjoin(self._likeness, self._same_film()).order_by(Movie.id)
        for row in self._session.execute(statement, execution_options={"yield_per": AT_ONCE}).mappings():
            yield None if row["q"] is None else {part: received(row[part]) for part in PARTS}

    def _parts(self) -> dict[str, ColumnElement[Any]]:
        of_people = {part: self._rows.c[part] for part in ("p", "q", "genres")}
        return of_people | {"s": self._likeness.c.s}

    def _same_film(self) -> ColumnElement[bool]:
        return self._likeness.c.movie_id == self._rows.c.movie_id


def received(sent: memoryview) -> Floats:
    """A vector from pgvector's binary form."""
    vector: Floats = stacked([sent])[0]
    return vector


def stacked(sent: Sequence[memoryview]) -> Floats:
    """The same of several of one length, a row each: two 16-bit numbers, then big-endian floats."""
    return np.frombuffer(b"".join(sent), dtype=">f4").reshape(len(sent), -1)[:, 1:].astype(np.float32)


def _did_all(session: Session, statements: Sequence[str]) -> bool:
    """Whether all of them were done, or none: who waits for one lock lets go of the others before long.

    A reader may have one view and ask for the next, while these have the next and ask for the one.
    """
    try:
        with session.begin_nested():
            for statement in (
                f"SET LOCAL lock_timeout = '{WAIT}'",
                *statements,
                "SET LOCAL lock_timeout = DEFAULT",
            ):
                session.execute(text(statement))
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return False
        raise
    return True


def _create(connection: Connection, name: str, columns: str, *, storage: Mapping[str, str]) -> None:
    connection.execute(text(f"CREATE TABLE {name} (movie_id integer NOT NULL, {columns})"))
    for part, where in storage.items():
        connection.execute(text(f"ALTER TABLE {name} ALTER {part} SET STORAGE {where}"))


def _build_factors(
    connection: Connection, name: str, ids: NDArray[np.int32], factors: ItemFactors, here: NDArray[np.intp]
) -> None:
    width = factors.q.shape[1]
    vectors = {"p": width, "q": width, "genres": factors.genres.shape[1]}
    columns = ", ".join(f"{part} vector({dimensions}) NOT NULL" for part, dimensions in vectors.items())
    # In the row what a search reads of every film; beside it what only the films of one person are asked for.
    storage = dict.fromkeys(vectors, "PLAIN")
    _create(connection, name, f"reach integer NOT NULL, {columns}, PRIMARY KEY (movie_id)", storage=storage)
    if len(here):
        # Where no film has a place nobody has one, and popular films answer.
        nothing = {part: np.zeros((1, vectors[part]), dtype=np.float32) for part in ("q", "genres")}
        everyone: dict[str, NDArray[Any]] = {"movie_id": np.array([START]), "reach": np.array([LAST])}
        copy_rows(connection, name, everyone | {"p": factors.start[None]} | nothing)
    # In the order of their reach, so that those that many have on their lists lie together.
    films: dict[str, NDArray[Any]] = {"movie_id": ids[here], "reach": np.arange(len(here))}
    copy_rows(connection, name, films | {part: getattr(factors, part)[here] for part in vectors})


def _build_within_reach(connection: Connection, name: str, ids: NDArray[np.int32], q: Floats) -> None:
    # No wider than it must be: every answer reads all of it.
    _create(connection, name, f"q halfvec({q.shape[1]}) NOT NULL", storage={"q": "PLAIN"})
    copy_rows(connection, name, {"movie_id": ids, "q": q.astype(np.float16)})


def _build_likeness(connection: Connection, name: str, ids: NDArray[np.int32], s: Floats) -> None:
    width, limit = s.shape[1], furthest(s)
    columns = f"s vector({width}) NOT NULL, place halfvec({width}), PRIMARY KEY (movie_id)"
    _create(connection, name, columns, storage={"s": "PLAIN", "place": "PLAIN"})
    placed = places(s, limit=limit).astype(np.float16)
    copy_rows(connection, name, {"movie_id": ids, "s": s, "place": placed})
    if len(ids):
        holder = np.zeros((1, width), dtype=np.float32)
        holder[0, PRIOR] = limit
        copy_rows(connection, name, {"movie_id": np.array([START]), "s": holder})
    if len(ids) > EXACT_LIMIT:
        megabytes = max(64, len(ids) * INDEX_MEMORY // 2**20)
        connection.execute(text(f"SET LOCAL maintenance_work_mem = '{megabytes}MB'"))
        index = f"USING hnsw (place halfvec_l2_ops) WITH (m = {HNSW_M}, ef_construction = {HNSW_EF_CONSTRUCTION})"
        connection.execute(text(f"CREATE INDEX {name}_place_idx ON {name} {index}"))


def _table(name: str, version: str) -> str:
    suffix = version.lower().replace("-", "_")
    if not VERSION.fullmatch(suffix):
        raise ValueError(f"{version!r} can't be a part of a table's name")
    return f"{name}_{suffix}"


_LIMIT = "SELECT (s::real[])[:coordinate] FROM {likeness} WHERE movie_id = 0"

# With reach 0, before all others, until the next training says how far they reach.
_ADD = """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS integer[]), CAST(:p AS text[]), CAST(:q AS text[]), CAST(:s AS text[]),
            CAST(:genres AS text[]), CAST(:place AS text[])
        ) AS given (id, p, q, s, genres, place)
    ), new AS (
        INSERT INTO {item_factors} (movie_id, reach, p, q, genres)
        SELECT id, 0, p::vector, q::vector, genres::vector FROM given
        ON CONFLICT DO NOTHING RETURNING movie_id
    ), near AS (
        INSERT INTO {within_reach} (movie_id, q) SELECT id, q::halfvec FROM given JOIN new ON movie_id = id
    )
    INSERT INTO {likeness} (movie_id, s, place)
    SELECT id, s::vector, place::halfvec FROM given JOIN new ON movie_id = id
"""

_SWITCH = text("""
    INSERT INTO active_model (version) VALUES (:version)
    ON CONFLICT (id) DO UPDATE
    SET previous = CASE WHEN active_model.version = excluded.version THEN active_model.previous
                        ELSE active_model.version END,
        version = excluded.version, activated_at = now()
""")

_VERSIONS = text("""
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relname ~ ('^(' || :names || ')_[0-9]{8}t[0-9]{6}_[a-z0-9_]+$')
      AND pg_table_is_visible(oid)
""")
