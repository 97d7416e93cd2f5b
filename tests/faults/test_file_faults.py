"""Files that are damaged, missing or another model's, while the database is away and when it is back."""

import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from backend.ml.artefact import CURRENT, MANIFEST
from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.world import World, layer_up, wait_until_well
from tests.test_embedded_postgres import eventually
from tests.test_serve import Service

pytestmark = pytest.mark.faults

Damage = Callable[[Path], None]
SETTLES = 2.0
"""Seconds in which every process has looked at its files anew."""


def truncate(data: Path) -> None:
    (file,) = (data / "cache").glob("*/vectors.npy")
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size // 2)


def remove_cache(data: Path) -> None:
    shutil.rmtree(data / "cache")


def remove_models(data: Path) -> None:
    shutil.rmtree(data / "models")


def remove_both(data: Path) -> None:
    remove_cache(data)
    remove_models(data)


def make_another_models(data: Path) -> None:
    """As if it had been written by a service with another EMBEDDING_MODEL."""
    pointer = data / "cache" / CURRENT
    version, _ = pointer.read_text().split()
    manifest = data / "cache" / version / MANIFEST
    found = json.loads(manifest.read_bytes())
    found["tags"]["model"] = "another"
    written = json.dumps(found).encode()
    manifest.write_bytes(written)
    pointer.write_text(f"{version} {hashlib.sha256(written).hexdigest()}\n")


DAMAGES: dict[str, tuple[Damage, str]] = {
    "cache file truncated": (truncate, "svd"),
    "cache missing": (remove_cache, "svd"),
    "cache of another model": (make_another_models, "svd"),
    "model folder missing": (remove_models, "file_cache"),
    "cache and model folder missing": (remove_both, "popular"),
}
"""What is done, and who answers then while the database is away."""


@pytest.fixture(scope="module")
def service(world: World) -> Iterator[Service]:
    """One service, with its scheduler, for all of them."""
    with world.serving() as service:
        yield service


def is_whole(service: Service) -> bool:
    return layer_up(service, "file_cache") and layer_up(service, "svd")


@pytest.mark.parametrize("name", DAMAGES)
def test_the_next_layer_answers_and_the_files_come_back(
    name: str, service: Service, world: World, ledger: Ledger
) -> None:
    damage, stand_in = DAMAGES[name]
    wait_until_well(service)
    eventually(lambda: is_whole(service), "all layers are there")
    with Clients(service, world, writes=False) as clients:
        world.stop(signal.SIGINT)
        time.sleep(1)
        damage(world.data)
        time.sleep(SETTLES)
        damaged = time.monotonic()
        time.sleep(2)
        world.server.start()
        since = time.monotonic()
        clients.wait_until_well(since)
        if not (world.data / "models").exists():
            # The next night trains, and the next start of the service; so does whoever asks for it.
            requests.post(f"{service.address}/jobs/train/run", timeout=10).raise_for_status()
        eventually(lambda: is_whole(service), "the files are back")
        took = time.monotonic() - since
    seen = clients.check()
    sources = {one.source for one in clients.reads if damaged < one.at < since and one.source}
    assert sources == {stand_in}
    ledger.fault(f"{name} while PostgreSQL is away", clients_see=seen, lost="nothing", well_again_after=took)
