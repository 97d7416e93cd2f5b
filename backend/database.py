"""The engine, the sessions, the only commit, and how long anyone waits for the server."""

import math
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple, cast

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, get_wait_callback, set_wait_callback
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, text
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, Pool, QueuePool

from backend.config import get_settings
from backend.embedded_postgres import DATABASE, EmbeddedPostgres
from backend.pulse import Pulse

CONNECT_ARGS = {
    "connect_timeout": 5,
    "application_name": "marquee",
    # What is prepared differs in one film or one person: planned once, it need not be planned for each of them.
    "options": "-c timezone=utc -c plan_cache_mode=force_generic_plan",
    # A host that vanishes says nothing: without these, whoever waits for its answer waits for hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}

CHANGES = "marquee_changes"
"""The channel on which the database tells of what changed: `films`, `taste` or `index`."""

DATABASE_GONE = (OperationalError, InterfaceError, PoolTimeoutError)
"""What the driver and the pool raise while there is no database to ask."""
PATIENCE = 10.0
"""Seconds that a process which keeps to budgets waits for one statement, or for a connection, at most."""
LOOK_SECONDS = 0.05
"""How often one who waits looks whether there is still anything to wait for."""

pulse = Pulse()
"""Of this process's database."""


@lru_cache
def get_embedded_postgres() -> EmbeddedPostgres | None:
    """The embedded server of this installation, or None where DATABASE_URL names another."""
    settings = get_settings()
    return None if settings.sqlalchemy_url else EmbeddedPostgres(settings.data_dir / "postgres")


@lru_cache
def get_engine() -> Engine:
    """The engine of this process; starts the embedded PostgreSQL where that is the database."""
    settings = get_settings()
    url = settings.sqlalchemy_url
    embedded = get_embedded_postgres()
    if embedded is not None:
        embedded.start()
        _create_database(embedded)
        url = embedded.url()
    assert url is not None
    engine = create_engine(
        url,
        pool_size=settings.db_pool_size,
        max_overflow=0,
        # Who waits longer for a connection is better served by another layer, or told to come back.
        pool_timeout=1,
        # A new session picks up what `ALTER DATABASE … SET` says of the index, where no notice of it was heard.
        pool_recycle=600,
        connect_args=CONNECT_ARGS,
        # What people did is nobody's business who reads a log.
        hide_parameters=True,
    )
    event.listen(engine, "handle_error", _spare_the_pool)
    event.listen(engine, "checkout", _look_at_connection)
    return engine


def connections_in_use() -> tuple[int, int]:
    """How many connections of this process somebody is using, and how many it may hold."""
    pool = cast(QueuePool, get_engine().pool)
    return pool.checkedout(), pool.size()


def SessionLocal() -> Session:  # noqa: N802 - the name is the specification's
    """A session of this process's database; close it, or use it in a `with`."""
    return Session(get_engine(), expire_on_commit=False)


@contextmanager
def reading_session() -> Iterator[Session]:
    """A session in which nothing is written: where the server goes away after the answer, that is no failure.

    Each statement is a transaction of its own, for it would see what is committed meanwhile in any case: BEGIN and
    ROLLBACK around it would be two more round trips.
    """
    session = _ReadingSession(get_engine(), expire_on_commit=False)
    try:
        yield session
    finally:
        try:
            session.close()
        except DATABASE_GONE:
            session.invalidate()


class _ReadingSession(Session):
    """A session whose connections begin no transaction while it has them."""


@event.listens_for(_ReadingSession, "after_begin")
def _begin_nothing(_session: Session, _transaction: Any, connection: Connection) -> None:
    # Not by SQLAlchemy's isolation level, which asks the server twice each time to set and to reset it.
    connection.info["reads"] = True
    _driver_of(connection).autocommit = True


@event.listens_for(Pool, "checkin")
def _begin_again(dbapi_connection: Any, record: ConnectionPoolEntry) -> None:
    reads = record.info.pop("reads", False)
    # One that was given up is None, or closed.
    if reads and dbapi_connection is not None and not dbapi_connection.closed:
        dbapi_connection.autocommit = False


def _driver_of(connection: Connection) -> Any:
    return connection.connection.driver_connection


@contextmanager
def session_scope() -> Iterator[Session]:
    """One transaction: committed at the end, rolled back when anything is raised."""
    with SessionLocal() as session:
        yield session
        session.commit()


def _create_database(embedded: EmbeddedPostgres) -> None:
    engine = create_engine(embedded.url("postgres"), isolation_level="AUTOCOMMIT", connect_args=CONNECT_ARGS)
    with engine.connect() as connection:
        # Several processes may come here at once; the lock is gone with the session.
        connection.execute(text("SELECT pg_advisory_lock(hashtext('create marquee'))"))
        exists = connection.scalar(
            text("SELECT EXISTS (SELECT FROM pg_database WHERE datname = :name)"), {"name": DATABASE}
        )
        if not exists:
            connection.execute(text(f"CREATE DATABASE {DATABASE}"))
    engine.dispose()


class _Bounds(NamedTuple):
    """How long to wait for the server."""

    deadline: float | None = None
    """By the clock; none: PATIENCE from the beginning of each wait."""
    silence: float = math.inf
    """Seconds of waiting, here and for the pulse both, from which on the server is taken to be gone."""


_bounds: ContextVar[_Bounds] = ContextVar("bounds", default=_Bounds())  # noqa: B039 - it can't be changed


@contextmanager
def time_budget(seconds: float) -> Iterator[None]:
    """Whatever is asked of the database in the block ends within so many seconds, in an OperationalError.

    Only in a process that keeps to budgets.
    """
    with _bounded(_bounds.get()._replace(deadline=time.monotonic() + seconds)):
        yield


@contextmanager
def giving_up_in_silence(seconds: float) -> Iterator[None]:
    """So it does where a server does not answer the pulse either for so many seconds."""
    with _bounded(_bounds.get()._replace(silence=seconds)):
        yield


@contextmanager
def _bounded(bounds: _Bounds) -> Iterator[None]:
    # A context goes along with a request from the event loop into its thread.
    token = _bounds.set(bounds)
    try:
        yield
    finally:
        _bounds.reset(token)


def keep_to_budgets(*, keep: bool = True) -> None:
    """Have every wait of this process for a server end in time, even one that is frozen.

    A server that is stopped in the middle of a statement does not know of `statement_timeout`, so the client has
    to give up. The driver closes such a connection. (It can't COPY in this mode.)
    """
    set_wait_callback(_wait if keep else None)


@contextmanager
def able_to_copy() -> Iterator[None]:
    """Let the driver wait by itself, in whatever process: it can't COPY while it waits by a callback.

    Others who ask for something meanwhile wait so too, which a signal does not interrupt: keep it short.
    """
    callback = get_wait_callback()
    set_wait_callback(None)
    try:
        yield
    finally:
        set_wait_callback(callback)


@contextmanager
def copying(engine: Engine) -> Iterator[Connection]:
    """A transaction of its own that can COPY; keep it short, as `able_to_copy` says."""
    plain = create_engine(engine.url, poolclass=NullPool, connect_args=CONNECT_ARGS, hide_parameters=True)
    with able_to_copy(), plain.begin() as connection:
        yield connection


class OutOfTimeError(psycopg2.OperationalError):
    """The time is over, which says nothing of other connections."""


def _wait(connection: psycopg2.extensions.connection) -> None:
    bounds, begun = _bounds.get(), time.monotonic()
    deadline = begun + PATIENCE if bounds.deadline is None else bounds.deadline
    # Not select(), which knows no descriptor above 1,023, and a server with many clients has those.
    waiting = select.poll()
    while (state := connection.poll()) != POLL_OK:
        now = time.monotonic()
        if now >= deadline or min(now - begun, pulse.silence) > bounds.silence:
            raise OutOfTimeError("the server does not answer in time")
        waiting.register(connection, select.POLLIN if state == POLL_READ else select.POLLOUT)
        waiting.poll(min(deadline - now, LOOK_SECONDS) * 1000)


def _look_at_connection(dbapi_connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool make another where the server has gone away meanwhile.

    To a client that asks nothing a server says nothing, but that it closes the connection: a look at the socket
    tells what a question would, and costs no round trip.
    """
    said = select.poll()
    said.register(dbapi_connection, select.POLLIN)
    if dbapi_connection.closed or said.poll(0):
        raise DisconnectionError("the server has closed the connection")


def _spare_the_pool(context: ExceptionContext) -> None:
    """Close one connection, not all: a server that is only busy would be busier with new ones."""
    if isinstance(context.original_exception, OutOfTimeError):
        context.invalidate_pool_on_disconnect = False
