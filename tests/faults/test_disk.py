"""Disks that are full: small file systems in memory, filled to the last byte; only where a test may mount them."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.world import World, layer_up, wait_until_well
from tests.test_embedded_postgres import eventually
from tests.test_serve import Service

pytestmark = pytest.mark.faults

CHUNK = 1 << 20


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[None]:
    """A small file system there, with what was there."""
    aside = folder.with_name(folder.name + ".aside")
    folder.rename(aside)
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        folder.rmdir()
        aside.rename(folder)
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
        aside.rename(folder)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Not a byte is left within the block."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (CHUNK, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(os.urandom(size))
    yield
    ballast.unlink()


def refused_in_the_end(service: Service, world: World) -> bool:
    """Whether the next large batch is refused; one that is taken is stored."""
    batch = [{"user_id": f"batch {time.time_ns()}", "movie_id": film, "kind": "like"} for film in world.films]
    response = requests.post(f"{service.address}/interactions", json={"interactions": batch}, timeout=30)
    assert response.status_code in (200, 503), response.text
    return response.status_code == 503


def test_with_the_disk_of_the_database_full_writes_are_refused(world: World, ledger: Ledger) -> None:
    world.server.stop()
    with mounted(world.server.directory, 400):
        world.server.start()
        try:
            with world.serving("--no-scheduler") as service:
                wait_until_well(service)
                with Clients(service, world) as clients:
                    with filled(world.server.directory):
                        eventually(lambda: refused_in_the_end(service, world), "a write is refused")
                        time.sleep(2)
                    # One that could not write its log has ended itself.
                    world.server.start()
                    took = clients.wait_until_well(time.monotonic())
                seen = clients.check()
        finally:
            world.server.stop()
    world.server.start()
    ledger.fault("disk of PostgreSQL full", clients_see=seen, lost="nothing", well_again_after=took)


def cache_outcome(service: Service) -> tuple[int, str]:
    """The last run of the job, and what came of it."""
    (job,) = [job for job in service.ask("/jobs").json()["jobs"] if job["name"] == "cache"]
    last = job["last"] or {"id": 0, "outcome": "none"}
    return last["id"], last["outcome"]


def run_cache_job(service: Service) -> str:
    """What comes of it."""
    run = requests.post(f"{service.address}/jobs/cache/run", timeout=10).json()["run_id"]
    eventually(lambda: cache_outcome(service)[0] == run and cache_outcome(service)[1] != "running", "it was run")
    return cache_outcome(service)[1]


def test_with_the_disk_of_the_files_full_the_old_ones_answer(world: World, ledger: Ledger) -> None:
    with mounted(world.data, 60), world.serving() as service:
        wait_until_well(service)
        with Clients(service, world) as clients:
            with filled(world.data):
                assert run_cache_job(service) == "failed"
                assert layer_up(service, "file_cache")
                world.stop(signal.SIGINT)
                time.sleep(2)
                assert {seen.source for seen in clients.reads[-3:]} <= {"file_cache", ""}
                world.server.start()
            took = clients.wait_until_well(time.monotonic())
            assert run_cache_job(service) == "succeeded"
        seen = clients.check()
        service.end(signal.SIGTERM)
    ledger.fault(
        "disk of DATA_DIR full, and PostgreSQL stopped",
        clients_see=f"{seen}; the job `cache` fails, and the old cache answers",
        lost="nothing",
        well_again_after=took,
    )
