"""The extension is dropped, and with it every vector: files answer until a backup takes the database's place."""

import time

import pytest

from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.world import World, wait_until_well
from tests.test_serve import BACK_WITHIN

pytestmark = pytest.mark.faults

COUNTS = "SELECT (SELECT count(*) FROM movies), (SELECT count(*) FROM users), (SELECT count(*) FROM interactions)"


def test_files_answer_and_no_row_is_lost_with_the_vectors(world: World, ledger: Ledger) -> None:
    with world.serving("--no-scheduler") as service:
        wait_until_well(service)
    # A database that someone works in is not copied.
    world.administer("CREATE DATABASE backup TEMPLATE marquee")
    before = world.ask(COUNTS)
    with world.serving("--no-scheduler") as service:
        wait_until_well(service)
        with Clients(service, world, writes=False) as clients:
            time.sleep(1)
            world.ask("DROP EXTENSION vector CASCADE")
            time.sleep(4)
            assert world.ask(COUNTS) == before
            assert clients.reads[-1].source in ("file_cache", "")
            world.administer("DROP DATABASE marquee WITH (FORCE)", "ALTER DATABASE backup RENAME TO marquee")
            took = clients.wait_until_well(time.monotonic())
        seen = clients.check()
    assert world.ask(COUNTS) == before
    assert took < BACK_WITHIN
    ledger.fault(
        "extension dropped, then the database restored",
        clients_see=seen,
        lost="nothing but the vectors, which the backup has",
        well_again_after=took,
    )
