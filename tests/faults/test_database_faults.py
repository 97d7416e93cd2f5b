"""Whatever happens to PostgreSQL, reads are answered, no acknowledged write is lost, and soon all is as before."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress

import psutil
import psycopg2
import pytest

from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.world import CONNECTIONS, World, wait_until_well
from tests.test_serve import BACK_WITHIN, Service

pytestmark = pytest.mark.faults

LASTS = 4.0
"""Seconds that a fault goes on."""


@pytest.fixture(scope="module")
def service(world: World) -> Iterator[Service]:
    """One service for all of them, one after the other."""
    with world.serving("--no-scheduler") as service:
        yield service


@contextmanager
def killed(world: World) -> Iterator[None]:
    world.kill()
    yield
    world.server.start()


@contextmanager
def stopped(world: World) -> Iterator[None]:
    world.stop(signal.SIGINT)
    yield
    world.server.start()


@contextmanager
def stopped_at_once(world: World) -> Iterator[None]:
    world.stop(signal.SIGQUIT)
    yield
    world.server.start()


@contextmanager
def restarted(world: World) -> Iterator[None]:
    world.stop(signal.SIGINT)
    world.server.start()
    yield


@contextmanager
def frozen(world: World) -> Iterator[None]:
    processes = world.processes()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    yield
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.resume()


@contextmanager
def films_locked(world: World) -> Iterator[None]:
    with world.engine() as engine, engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE movies IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def interactions_locked(world: World) -> Iterator[None]:
    with world.engine() as engine, engine.begin() as connection:
        connection.exec_driver_sql("LOCK TABLE interactions IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def connections_taken(world: World) -> Iterator[None]:
    """All are taken, and those of the service are ended: it gets no others."""
    with ExitStack() as stack:
        first = stack.enter_context(world.engine(isolation_level="AUTOCOMMIT"))
        admin = stack.enter_context(first.connect())
        address = world.url.replace("+psycopg2", "")
        theirs = "FROM pg_stat_activity WHERE application_name = 'marquee' AND pid <> pg_backend_pid()"
        while admin.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {theirs}").all():
            with suppress(psycopg2.OperationalError):
                for _ in range(CONNECTIONS):
                    other = psycopg2.connect(address, application_name="others")
                    stack.callback(other.close)
        yield


@contextmanager
def read_only(world: World) -> Iterator[None]:
    world.ask("ALTER SYSTEM SET default_transaction_read_only = on")
    world.ask("SELECT pg_reload_conf()")
    yield
    # ALTER SYSTEM is no transaction, and is allowed in one that only reads.
    world.ask("ALTER SYSTEM RESET default_transaction_read_only")
    world.ask("SELECT pg_reload_conf()")


@contextmanager
def standby(world: World) -> Iterator[None]:
    """A server that follows another; that one is away, for good."""
    sign = world.server.directory / "standby.signal"
    world.stop(signal.SIGINT)
    sign.touch()
    world.server.start()
    yield
    world.stop(signal.SIGINT)
    sign.unlink()
    world.server.start()


Fault = Callable[[World], AbstractContextManager[None]]
FAULTS: dict[str, Fault] = {
    "PostgreSQL killed (-9)": killed,
    "PostgreSQL stopped": stopped,
    "PostgreSQL stopped at once (pg_ctl stop -m immediate)": stopped_at_once,
    "PostgreSQL restarted": restarted,
    "PostgreSQL frozen (SIGSTOP)": frozen,
    "films locked (ACCESS EXCLUSIVE)": films_locked,
    "interactions locked (ACCESS EXCLUSIVE)": interactions_locked,
    "out of connections": connections_taken,
    "read-only (default_transaction_read_only)": read_only,
    "a standby in place of the server": standby,
}


@pytest.mark.parametrize("name", FAULTS)
def test_reads_go_on_and_nothing_is_lost(name: str, service: Service, world: World, ledger: Ledger) -> None:
    wait_until_well(service)
    with Clients(service, world) as clients:
        time.sleep(1)
        with FAULTS[name](world):
            time.sleep(LASTS)
        took = clients.wait_until_well(time.monotonic())
    seen = clients.check()
    assert took < BACK_WITHIN
    ledger.fault(name, clients_see=seen, lost="nothing", well_again_after=took)
