"""How long anyone waits for the server: a process that keeps to budgets gives up in time, and goes on."""

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil
import psycopg2
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from backend import database
from backend.config import get_settings
from backend.database import (
    CONNECT_ARGS,
    get_engine,
    giving_up_in_silence,
    keep_to_budgets,
    reading_session,
    time_budget,
)
from backend.embedded_postgres import EmbeddedPostgres
from backend.pulse import Pulse
from tests.conftest import make_database
from tests.test_embedded_postgres import eventually, postmaster, temporary_home

LONG = text("SELECT pg_sleep(30)")
SHORT = text("SELECT pg_sleep(0.3)")
WHO = text("SELECT pg_backend_pid()")
END_THE_OTHERS = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
""")
GIVEN_UP = "the server does not answer in time"


@pytest.fixture(autouse=True)
def keeping() -> Iterator[None]:
    """As in the service's process, and as before after the test."""
    keep_to_budgets()
    yield
    keep_to_budgets(keep=False)


@pytest.fixture(scope="module")
def url(postgres: EmbeddedPostgres) -> str:
    return make_database(postgres)


@pytest.fixture
def pool(url: str) -> Iterator[Engine]:
    """One connection, so that it is the same one again, or else a new one in its place."""
    engine = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=CONNECT_ARGS)
    yield engine
    with engine.connect() as connection:
        # Nobody told the server that the answer is not waited for any more.
        connection.execute(END_THE_OTHERS)
    engine.dispose()


def pid_of(engine: Engine) -> int:
    """The server process that the pool's connection leads to."""
    with engine.connect() as connection:
        return int(connection.scalar(WHO) or 0)


def test_a_statement_that_takes_too_long_ends(pool: Engine) -> None:
    before = pid_of(pool)
    with pytest.raises(OperationalError, match=GIVEN_UP), time_budget(0.2), pool.connect() as connection:
        connection.execute(LONG)
    after = pid_of(pool)
    assert after not in (0, before)
    assert pid_of(pool) == after


def test_what_is_done_in_time_is_as_ever(pool: Engine) -> None:
    with time_budget(30), pool.connect() as connection:
        connection.execute(SHORT)
        assert connection.scalar(text("SELECT sum(length(repeat('x', 1000))) FROM generate_series(1, 1000)"))
        with pytest.raises(OperationalError, match="statement timeout"):
            connection.execute(text("SET LOCAL statement_timeout = 10; SELECT pg_sleep(30)"))


def test_a_budget_holds_for_all_that_is_asked_in_it(pool: Engine) -> None:
    pid_of(pool)
    with time_budget(0.2), pool.connect() as connection:
        for _ in range(2):
            with pytest.raises(OperationalError, match=GIVEN_UP):
                connection.execute(LONG)
            connection.rollback()


def test_after_the_budget_there_is_none(pool: Engine) -> None:
    with time_budget(0.0):
        pass
    with pytest.raises(RuntimeError), time_budget(0.0):
        raise RuntimeError
    with pool.connect() as connection:
        connection.execute(SHORT)


def test_without_a_budget_patience_ends_as_well(pool: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pid_of(pool)
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    with pytest.raises(OperationalError, match=GIVEN_UP), pool.connect() as connection:
        connection.execute(LONG)
    assert pid_of(pool) != before


def test_a_process_that_keeps_to_no_budgets_waits(pool: Engine) -> None:
    keep_to_budgets(keep=False)
    with time_budget(0.01), pool.connect() as connection:
        connection.execute(SHORT)


def test_other_threads_have_the_time_they_need(url: str) -> None:
    engine = create_engine(url, pool_size=2, connect_args=CONNECT_ARGS)
    ended: list[str] = []

    def take_time() -> None:
        with engine.connect() as connection:
            connection.execute(SHORT)
            ended.append("well")

    other = threading.Thread(target=take_time)
    other.start()
    with pytest.raises(OperationalError, match=GIVEN_UP), time_budget(0.05), engine.connect() as connection:
        connection.execute(LONG)
    other.join()
    assert ended == ["well"]
    engine.dispose()


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Pulse:
    """The pulse of a server that has just fallen silent."""
    pulse = Pulse()
    monkeypatch.setattr(database, "pulse", pulse)
    pulse.asks()
    return pulse


def test_who_gives_up_in_silence_does_not_wait_for_a_server_without_a_pulse(pool: Engine, silent: Pulse) -> None:
    before = pid_of(pool)
    with pytest.raises(OperationalError, match=GIVEN_UP), giving_up_in_silence(0.1), pool.connect() as connection:
        connection.execute(LONG)
    silent.answered()
    assert pid_of(pool) != before


def test_nor_what_is_answered_nor_who_is_patient_is_given_up(pool: Engine, silent: Pulse) -> None:
    with pool.connect() as connection:
        connection.execute(SHORT)
        with giving_up_in_silence(0.01):
            connection.execute(WHO)
        silent.answered()
        with giving_up_in_silence(0.01):
            connection.execute(SHORT)


def test_a_server_that_ends_meanwhile_is_gone_at_once(pool: Engine) -> None:
    with time_budget(30), pool.connect() as connection:
        me = connection.scalar(WHO)
        with pytest.raises(OperationalError, match="terminating connection"):
            connection.execute(text(f"SELECT pg_terminate_backend({me}), pg_sleep(30)"))
    assert pid_of(pool) != me


def test_nobody_there_is_said_at_once(tmp_path: object) -> None:
    nowhere = create_engine(f"postgresql+psycopg2://postgres@/none?host={tmp_path}", connect_args=CONNECT_ARGS)
    with pytest.raises(OperationalError, match="No such file"), time_budget(30):
        nowhere.connect()


def test_a_process_with_thousands_of_connections_waits_as_any_other(pool: Engine) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with ExitStack() as taken:
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while (number := os.dup(0)) < 1100:
            taken.callback(os.close, number)
        taken.callback(os.close, number)
        assert pid_of(pool)


# A server that is frozen: it takes connections and says nothing


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    with temporary_home() as home:
        server = EmbeddedPostgres(home / "postgres")
        server.start()
        yield server


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """The server's processes, stopped where they are."""
    head = postmaster(server.directory)
    processes: list[psutil.Process] = [head, *head.children()]
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        yield
    finally:
        for process in processes:
            # A worker that had done its work ends as soon as it may go on.
            with suppress(psutil.NoSuchProcess):
                process.resume()


def test_a_frozen_server_is_given_up_and_found_again(own_server: EmbeddedPostgres) -> None:
    engine = create_engine(own_server.url("postgres"), pool_size=1, max_overflow=0, pool_pre_ping=True)
    with engine.connect() as connection:
        connection.execute(WHO)
        with frozen(own_server), pytest.raises(OperationalError, match=GIVEN_UP), time_budget(0.2):
            connection.execute(WHO)
    before = pid_of(engine)
    with frozen(own_server):
        for _ in range(2):
            with pytest.raises(OperationalError, match=GIVEN_UP), time_budget(0.2):
                engine.connect()
    assert pid_of(engine) not in (0, before)
    engine.dispose()


def test_nor_does_the_driver_alone_wait_for_it(own_server: EmbeddedPostgres) -> None:
    address = own_server.url("postgres").replace("+psycopg2", "")
    with frozen(own_server), pytest.raises(psycopg2.OperationalError, match=GIVEN_UP), time_budget(0.2):
        psycopg2.connect(address)
    psycopg2.connect(address).close()


# Reading


@pytest.fixture
def reading(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The engine of this process, as the service has it."""
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DB_POOL_SIZE", "3")
    get_settings.cache_clear()
    get_engine.cache_clear()
    yield get_engine()
    get_engine().dispose()
    monkeypatch.undo()
    get_settings.cache_clear()
    get_engine.cache_clear()


STATE = text("SELECT xact_start = query_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
"""Whether the transaction began with this very statement."""


def test_reading_takes_no_transaction_around_a_statement(reading: Engine) -> None:
    with reading_session() as session:
        for _ in range(2):
            session.execute(SHORT)
            assert session.scalar(STATE) is True


def test_after_reading_a_connection_has_transactions_again(reading: Engine) -> None:
    for trouble in (None, "rollback", "raise"):
        with suppress(OperationalError), reading_session() as session:
            before = session.scalar(WHO)
            if trouble == "rollback":
                session.rollback()
            if trouble == "raise":
                session.execute(text("SET statement_timeout = 10; SELECT pg_sleep(30)"))
        with reading.connect() as connection:
            assert connection.scalar(WHO) == before
            connection.execute(text("CREATE TABLE gone (id integer)"))
            connection.rollback()
            assert connection.scalar(text("SELECT to_regclass('gone')")) is None


def test_a_connection_that_was_given_up_while_reading_is_not_missed(reading: Engine) -> None:
    size = reading.pool.size()  # type: ignore[attr-defined]
    for _ in range(2 * size):
        with pytest.raises(OperationalError, match=GIVEN_UP), time_budget(0.05), reading_session() as session:
            session.execute(LONG)
    with ExitStack() as stack:
        pids = {stack.enter_context(reading_session()).scalar(WHO) for _ in range(size)}
    assert len(pids) == size


def test_a_connection_that_the_server_closed_is_not_given_out(reading: Engine, url: str) -> None:
    pids = []
    for _ in range(3):
        with reading_session() as session:
            pids.append(session.scalar(WHO))
        other = create_engine(url)
        with other.connect() as connection:
            connection.execute(END_THE_OTHERS)
        other.dispose()
        eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the server keeps its processes")
    assert len(set(pids)) == 3
