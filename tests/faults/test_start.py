"""A service that is started while its database is away."""

import signal
import time

import pytest

from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.world import World, wait_until_well

pytestmark = pytest.mark.faults


def test_files_answer_until_the_database_is_there_which_is_prepared_then(world: World, ledger: Ledger) -> None:
    with world.serving("--no-scheduler") as service:
        wait_until_well(service)
        service.end(signal.SIGTERM)
    world.stop(signal.SIGINT)
    with world.serving("--no-scheduler") as service:
        assert service.ask("/health/ready").status_code == 200
        with Clients(service, world) as clients:
            time.sleep(3)
            assert {seen.source for seen in clients.reads if seen.source} == {"file_cache"}
            world.server.start()
            took = clients.wait_until_well(time.monotonic())
        seen = clients.check()
        log = (world.data.parent / "service.log").read_text()
        assert log.count("database_usable_again") == 1
        assert "Traceback" not in log
    ledger.fault(
        "the service started while PostgreSQL is away", clients_see=seen, lost="nothing", well_again_after=took
    )
