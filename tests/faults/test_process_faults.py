"""Whatever ends the service or its scheduler, nothing is lost, and whoever comes next goes on."""

import signal
import time

import pytest

from tests.faults.clients import NOBODY, Clients
from tests.faults.ledger import Ledger
from tests.faults.world import World, wait_until_well
from tests.test_embedded_postgres import eventually

pytestmark = pytest.mark.faults


def test_a_killed_service_loses_nothing(world: World, ledger: Ledger) -> None:
    with world.serving("--no-scheduler") as service:
        wait_until_well(service)
        with Clients(service, world) as clients:
            time.sleep(2)
            service.end(signal.SIGKILL)
            killed = time.monotonic()
            time.sleep(0.5)
    before = [seen for seen in clients.reads + clients.writes if seen.at < killed]
    assert {seen.status for seen in before} <= {200, NOBODY}
    assert clients.acknowledged
    assert clients.lost() == set()
    since = time.monotonic()
    with world.serving("--no-scheduler") as service:
        eventually(lambda: service.ask("/health/ready").status_code == 200, "it is ready")
        took = time.monotonic() - since
        wait_until_well(service)
        assert clients.lost() == set()
    ledger.fault(
        "the service killed (-9) and started again",
        clients_see=f"refused connections until it is started; {len(clients.acknowledged)} writes were stored",
        lost="nothing",
        well_again_after=took,
    )


def test_told_to_end_under_load_it_breaks_no_promise(world: World, ledger: Ledger) -> None:
    with world.serving("--no-scheduler") as service:
        wait_until_well(service)
        crowd = [Clients(service, world, pause=0.005) for _ in range(4)]
        for clients in crowd:
            clients.__enter__()
        time.sleep(2)
        since = time.monotonic()
        service.end(signal.SIGTERM)
        took = time.monotonic() - since
        for clients in crowd:
            clients.__exit__(None, None, None)
    assert service.process.returncode == 128 + signal.SIGTERM
    answered = [seen for clients in crowd for seen in clients.reads + clients.writes if seen.status != NOBODY]
    assert {seen.status for seen in answered} == {200}
    assert not any(clients.lost() for clients in crowd)
    acknowledged = sum(len(clients.acknowledged) for clients in crowd)
    ledger.fault(
        "SIGTERM under load",
        clients_see=f"{len(answered)} requests answered, all with a 200, {acknowledged} writes among them; "
        f"then connections are refused; the process had ended after {took:.1f} s",
        lost="nothing",
        well_again_after=None,
    )
