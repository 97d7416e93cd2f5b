"""The SQL over item factors: a table a version, built beside the one in force, switched in one transaction.

Readers go through the view `item_factors`, so a statement sees one version whole. The row of film 0 holds, as its
`p`, where everyone starts. `reach` is the place of a film among those that score high for anyone, from 0: a search
that has to be fast looks through the first of them only.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector.sqlalchemy import Vector
from sqlalchemy import Connection, Engine, Integer, Text, column, func, select, table, text
from sqlalchemy.orm import Session

from backend.ml.item_factors import Floats, ItemFactors
from backend.models import ActiveModel, Movie

FACTORS = table(
    "item_factors",
    column("movie_id", Integer),
    column("p", Vector()),
    column("q", Vector()),
    column("s", Vector()),
    column("reach", Integer),
    column("version", Text),
)
STORAGE = {"p": "EXTERNAL", "q": "PLAIN", "s": "PLAIN"}
"""In the row what a search reads of every film; beside it what only the films of one person are asked for."""
PARTS = tuple(STORAGE)
LAST = 2**31 - 1
START = 0
"""The film whose `p` is where everyone starts."""
VERSION = re.compile(r"[a-z0-9_]{1,40}")
AT_ONCE = 5_000
"""Rows copied at a time."""
COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"


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
    """Write the table of a version beside the one in force; films without a place have no row.

    Args:
        order: the indexes of those that have one, first those that reach farthest; left out, as they come.
    """
    name = _table(version)
    connection.execute(text(f"CREATE TABLE {name} ({_columns(factors)})"))
    for part, storage in STORAGE.items():
        connection.execute(text(f"ALTER TABLE {name} ALTER {part} SET STORAGE {storage}"))
    nowhere = {part: np.zeros((1, _width(factors, part)), dtype=np.float32) for part in PARTS}
    if factors.known.any():
        # Where no film has a place nobody has one, and popular films answer.
        _copy(connection, name, np.array([START]), np.array([LAST]), nowhere | {"p": factors.start[None]})
    # In the order of their reach, so that those who are looked through lie together.
    here = np.flatnonzero(factors.known) if order is None else order
    for begin in range(0, len(here), AT_ONCE):
        some = here[begin : begin + AT_ONCE]
        reach = np.arange(begin, begin + len(some))
        _copy(connection, name, ids[some], reach, {part: getattr(factors, part)[some] for part in PARTS})
    connection.execute(text(f"CREATE INDEX {name}_reach_idx ON {name} (reach)"))
    connection.execute(text(f"ANALYZE {name}"))


def activate(session: Session, version: str) -> None:
    """Let a version answer from the end of this transaction; the one before stays, to go back to."""
    name = _table(version)
    session.execute(text("DROP VIEW item_factors"))
    columns = f"movie_id, p, q, s, reach, '{version}'::text AS version"
    session.execute(text(f"CREATE VIEW item_factors AS SELECT {columns} FROM {name}"))  # noqa: S608 - checked above
    session.execute(_SWITCH, {"version": version})


def find_previous(session: Session) -> str | None:
    """The version to go back to."""
    return session.scalar(select(ActiveModel.previous))


def drop_others(session: Session) -> None:
    """Drop every version but the one in force and the one before, such as a killed training left behind."""
    kept = session.execute(select(ActiveModel.version, ActiveModel.previous)).one_or_none() or ()
    tables = {_table(version) for version in kept if version}
    for name in session.scalars(_VERSIONS).all():
        if name not in tables:
            session.execute(text(f"DROP TABLE {name}"))


def add(session: Session, version: str, ids: NDArray[np.int32], factors: ItemFactors) -> None:
    """Give films that have none a place in a version."""
    vectors = {part: [str(row) for row in getattr(factors, part).tolist()] for part in PARTS}
    session.execute(text(_ADD.format(table=_table(version))), {"ids": ids.tolist(), **vectors})


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
        self._rows = table(
            _table(version), column("movie_id", Integer), *(column(part, Vector()) for part in PARTS)
        )

    def start(self) -> Floats:
        """Where everyone starts, shape (dimensions,)."""
        sent = select(func.vector_send(self._rows.c.p)).where(self._rows.c.movie_id == START)
        return received(self._session.execute(sent).scalar_one())

    def widths(self) -> dict[str, int]:
        """The dimensions of each part."""
        dimensions = [func.vector_dims(self._rows.c[part]).label(part) for part in PARTS]
        return dict(self._session.execute(select(*dimensions).limit(1)).mappings().one())

    def stream(self) -> Iterator[dict[str, Floats] | None]:
        """Of every film, in the order of ids, its vectors by part; None where it has no place."""
        rows = self._rows
        vectors = [func.vector_send(rows.c[part]).label(part) for part in PARTS]
        statement = select(*vectors).outerjoin_from(Movie, rows, rows.c.movie_id == Movie.id).order_by(Movie.id)
        for row in self._session.execute(statement, execution_options={"yield_per": AT_ONCE}).mappings():
            yield None if row["q"] is None else {part: received(row[part]) for part in PARTS}


def received(sent: memoryview) -> Floats:
    """A vector from pgvector's binary form."""
    vector: Floats = stacked([sent])[0]
    return vector


def stacked(sent: Sequence[memoryview]) -> Floats:
    """The same of several of one length, a row each: two 16-bit numbers, then big-endian floats."""
    return np.frombuffer(b"".join(sent), dtype=">f4").reshape(len(sent), -1)[:, 1:].astype(np.float32)


def _columns(factors: ItemFactors) -> str:
    vectors = (f"{part} vector({_width(factors, part)}) NOT NULL" for part in PARTS)
    return f"movie_id integer PRIMARY KEY, reach integer NOT NULL, {', '.join(vectors)}"


def _width(factors: ItemFactors, part: str) -> int:
    width: int = getattr(factors, part).shape[1]
    return width


def _copy(
    connection: Connection, name: str, ids: NDArray[Any], reach: NDArray[Any], vectors: Mapping[str, Floats]
) -> None:
    """Write rows in COPY's binary form, in which a vector is two 16-bit numbers and big-endian floats."""
    fields = [("fields", ">i2"), ("id_bytes", ">i4"), ("id", ">i4"), ("reach_bytes", ">i4"), ("reach", ">i4")]
    for part, values in vectors.items():
        width = values.shape[1]
        fields += [(f"{part}_bytes", ">i4"), (f"{part}_width", ">i2"), (f"{part}_zero", ">i2")]
        fields.append((part, ">f4", width))  # type: ignore[arg-type]
    rows = np.zeros(len(ids), dtype=fields)
    rows["fields"] = 2 + len(vectors)
    rows["id_bytes"], rows["id"], rows["reach_bytes"], rows["reach"] = 4, ids, 4, reach
    for part, values in vectors.items():
        width = values.shape[1]
        rows[f"{part}_bytes"], rows[f"{part}_width"], rows[part] = 4 + 4 * width, width, values
    statement = f"COPY {name} (movie_id, reach, {', '.join(vectors)}) FROM STDIN (FORMAT binary)"
    driver = connection.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor:
        cursor.copy_expert(statement, io.BytesIO(COPY_HEADER + rows.tobytes() + COPY_END))


def _table(version: str) -> str:
    name = version.lower().replace("-", "_")
    if not VERSION.fullmatch(name):
        raise ValueError(f"{version!r} can't be a part of a table's name")
    return f"item_factors_{name}"


# With reach 0, before all others, until the next training says how far they reach.
_ADD = """
    INSERT INTO {table} (movie_id, reach, p, q, s)
    SELECT id, 0, p::vector, q::vector, s::vector
    FROM unnest(CAST(:ids AS integer[]), CAST(:p AS text[]), CAST(:q AS text[]), CAST(:s AS text[]))
         AS new (id, p, q, s)
    ON CONFLICT DO NOTHING
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
    WHERE relkind = 'r' AND relname ~ '^item_factors_[0-9]{8}t[0-9]{6}_[a-z0-9_]+$' AND pg_table_is_visible(oid)
""")
