"""The SQL that finds, builds and swaps the index over `movies.embedding`, and sets how hard a search looks.

A new index is built beside the old one, which answers until both have changed their names, and is dropped then.
Nothing of it locks out a reader. Whatever ends a build leaves one of them in force, and beside it something under
NEW_INDEX or OLD_INDEX, which the next build clears away.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from backend.database import CHANGES
from backend.errors import IndexBuildError, SetupError
from backend.ml.index_plan import OPERATORS, IndexPlan, Kind, have_outgrown
from backend.models import Movie

log = structlog.get_logger()

INDEX = "movies_embedding_idx"
NEW_INDEX = "movies_embedding_idx_new"
OLD_INDEX = "movies_embedding_idx_old"
OUT_OF_SHARED_MEMORY = "53100"
"""What PostgreSQL says where /dev/shm is too small for several workers: in a container it has 64 MB."""


@dataclass(frozen=True)
class ExistingIndex:
    """The index that a database has."""

    kind: Kind
    lists: int | None
    valid: bool
    operators: str
    entries: float
    """As counted when it was built, or last vacuumed or analysed."""
    size: int
    """In bytes."""

    def fits(self, plan: IndexPlan, films: int) -> bool:
        """Whether it is what the plan has in mind, or near enough."""
        fits = self.valid and self.kind == plan.kind and self.operators == OPERATORS
        return fits and not (self.lists is not None and have_outgrown(self.lists, films))


@contextmanager
def one_at_a_time(engine: Engine) -> Iterator[Connection]:
    """A connection outside of transactions, as CONCURRENTLY asks for, that no other process shares the work of."""
    with _unshared(engine) as connection:
        # Asked for again and again: CREATE INDEX CONCURRENTLY waits for every running statement, and so for one
        # that waited here for the end of that very build.
        while not connection.scalar(_TRY_LOCK):
            time.sleep(0.2)
        clear_away(connection)
        yield connection


def clear_away_unless_busy(engine: Engine) -> None:
    """Clear away what an interrupted build left behind, and leave alone what another process is building."""
    with _unshared(engine) as connection:
        if connection.scalar(_TRY_LOCK):
            clear_away(connection)


@contextmanager
def _unshared(engine: Engine) -> Iterator[Connection]:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        try:
            yield connection
        finally:
            # Not back into the pool: the lock, and what is set for building and measuring, end with the session.
            connection.invalidate()


def find_index(connection: Connection | Session, name: str = INDEX) -> ExistingIndex | None:
    """The index of that name on `movies`, whoever built it; None where there is none."""
    row = connection.execute(_FIND_INDEX, {"name": name}).one_or_none()
    return None if row is None else ExistingIndex(**row._mapping)


def count_films(connection: Connection) -> int:
    """How many films have an embedding."""
    return connection.scalar(select(func.count(Movie.embedding))) or 0


def clear_away(connection: Connection) -> None:
    """Drop what an interrupted build left behind: it answers nothing, and slows every write."""
    for name in (NEW_INDEX, OLD_INDEX):
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {name}"))


def build(connection: Connection, plan: IndexPlan, films: int) -> None:
    """Build what the plan has in mind beside the index in force, look at it, and let it take over.

    Raises IndexBuildError where it came out broken.
    """
    if plan.kind != "exact":
        begun = time.monotonic()
        connection.execute(text(f"SET maintenance_work_mem = '{plan.memory(films)}MB'"))
        _create(connection, plan)
        _check(find_index(connection, NEW_INDEX), films)
        log.info("index_built", kind=plan.kind, films=films, seconds=round(time.monotonic() - begun, 1))
    _swap(connection, is_there=plan.kind != "exact")
    connection.execute(text("ANALYZE movies"))


def let_scans_go_on(connection: Connection) -> None:
    """Have scans of an index go on until they have enough rows; pgvector has that since 0.8."""
    version = connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    if tuple(int(part) for part in str(version).split(".")[:2]) >= (0, 8):
        set_for_all(connection, "hnsw.iterative_scan", "strict_order")
        set_for_all(connection, "ivfflat.iterative_scan", "relaxed_order")


def set_for_all(connection: Connection, name: str, value: str) -> None:
    """Set it for this session and for every session that is opened from now on, by whatever program."""
    database = connection.scalar(text("SELECT quote_ident(current_database())"))
    statement = f"ALTER DATABASE {database} SET {name} = {value}"
    try:
        connection.execute(text(statement))
    except ProgrammingError as error:
        raise SetupError(f"This role may not set {name}; run as the database's owner: {statement};") from error
    set_here(connection, name, value)


def tell_of_settings(connection: Connection) -> None:
    """Let every process that listens open its sessions anew."""
    connection.execute(select(func.pg_notify(CHANGES, "index")))


def set_here(connection: Connection | Session, name: str, value: str) -> None:
    """Set it for this session."""
    connection.execute(select(func.set_config(name, value, False)))


def setting_here(connection: Connection, name: str) -> int:
    """What this session searches with."""
    return int(connection.scalar(select(func.current_setting(name))) or 0)


def _create(connection: Connection, plan: IndexPlan) -> None:
    statement = text(f"CREATE INDEX CONCURRENTLY {NEW_INDEX} ON movies {plan.definition}")
    try:
        connection.execute(statement)
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != OUT_OF_SHARED_MEMORY:
            raise
        # One process needs no shared memory, and takes twice as long. Where the disk is full it fails as well.
        log.warning("index_built_by_one_process", reason=str(error.orig).strip())
        clear_away(connection)
        connection.execute(text("SET max_parallel_maintenance_workers = 0"))
        connection.execute(statement)


def _check(built: ExistingIndex | None, films: int) -> None:
    # Films that went meanwhile may be missing: not more than a few.
    if built is None or not built.valid or built.entries < 0.9 * films:
        raise IndexBuildError(f"The new index is not whole, and the old one stays: {built}")


def _swap(connection: Connection, *, is_there: bool) -> None:
    """By names only, which no reader waits for, as every reader would for DROP INDEX behind a long one."""
    with connection.engine.begin() as swap:
        swap.execute(text(f"ALTER INDEX IF EXISTS {INDEX} RENAME TO {OLD_INDEX}"))
        if is_there:
            swap.execute(text(f"ALTER INDEX {NEW_INDEX} RENAME TO {INDEX}"))
    clear_away(connection)


_TRY_LOCK = text("SELECT pg_try_advisory_lock(hashtext('marquee index'))")

_FIND_INDEX = text("""
    SELECT am.amname AS kind, i.indisvalid AS valid, o.opcname AS operators, c.reltuples AS entries,
        pg_relation_size(c.oid) AS size,
        (SELECT option_value::integer FROM pg_options_to_table(c.reloptions) WHERE option_name = 'lists') AS lists
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am am ON am.oid = c.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    WHERE i.indrelid = to_regclass('movies') AND c.relname = :name
""")
