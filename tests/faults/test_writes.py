"""What was acknowledged is stored, and nothing is half stored, whoever is killed meanwhile."""

import itertools
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import requests
from sqlalchemy import create_engine, text

from backend.embedded_postgres import DATABASE, EmbeddedPostgres
from tests.faults.ledger import Ledger
from tests.test_embedded_postgres import postmaster, temporary_home
from tests.test_serve import FILMS, Service, load, serving

WRITERS = 4
MOST_AT_ONCE = 60
KNOWN = [film["id"] for film in FILMS]
UNKNOWN = range(990_001, 990_020)
"""Films that are not in the catalogue: what is done with them waits, and must be there as well."""
AT = "2026-01-01T00:00:00Z"
WELL_AGAIN_WITHIN = 90
FROZEN_SECONDS = 12.0
"""Longer than a write waits."""
STORED = """
    SELECT u.external_id, movie_id AS film, kind, value::float FROM interactions JOIN users u ON u.id = user_id
    UNION ALL
    SELECT u.external_id, tmdb_id, kind, value::float FROM pending_interactions JOIN users u ON u.id = user_id
"""

Row = tuple[str, int, str, float | None]


class Write(NamedTuple):
    """A request, and the rows that it asks for; the people in it are in no other."""

    body: dict[str, Any]
    rows: frozenset[Row]


class Writers:
    """Clients that write until they are stopped, and what they were told."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._write, args=(seed,)) for seed in range(WRITERS)]
        self.acknowledged: list[Write] = []
        self.refused: list[Write] = []
        self.broken: list[Write] = []
        self.wrong: list[str] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """For the block."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    def _write(self, seed: int) -> None:
        rng, session = random.Random(seed), requests.Session()
        while not self._stop.is_set():
            write = make_write(f"request-{next(self._numbers)}", rng)
            try:
                response = session.post(f"{self._address}/interactions", json=write.body, timeout=30)
            except requests.RequestException:
                self.broken.append(write)
                # Nobody listens while the service starts.
                self._stop.wait(0.05)
                continue
            self._note(write, response)

    def _note(self, write: Write, response: requests.Response) -> None:
        if response.status_code == 200 and not response.json()["rejected"]:
            self.acknowledged.append(write)
        elif response.status_code == 503 and response.headers.get("Retry-After", "0") != "0":
            self.refused.append(write)
            self._stop.wait(0.02)
        else:
            self.wrong.append(f"{response.status_code}: {response.text[:500]}")


def make_write(name: str, rng: random.Random) -> Write:
    """One interaction, or a batch, of people that nobody else writes of."""
    size = rng.choice([1, 1, 2, rng.randrange(3, MOST_AT_ONCE)])
    items = [make_item(f"{name}-{place}", rng) for place in range(size)]
    body = items[0] if size == 1 else {"interactions": items}
    rows = ((item["user_id"], item["movie_id"], item["kind"], item.get("value")) for item in items)
    return Write(body, frozenset(rows))


def make_item(person: str, rng: random.Random) -> dict[str, Any]:
    film = rng.choice(KNOWN if rng.random() < 0.8 else UNKNOWN)
    kind = rng.choice(["rating", "like", "watched", "click"])
    value = {"value": rng.choice([0.5, 3.0, 5.0])} if kind == "rating" else {}
    return {"user_id": person, "movie_id": film, "kind": kind, "at": AT} | value


class Scene:
    """A service on its own server, at one address however often it is started."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._data = data
        self._running = ExitStack()
        self.service = self._start()

    def _start(self) -> Service:
        return self._running.enter_context(serving(self._data, "--no-scheduler", PORT=str(self._port)))

    def kill_service(self) -> None:
        """As `kill -9` does; its server lives on, and another service is started."""
        self.service.process.kill()
        self._running.close()
        self.service = self._start()

    def kill_server(self) -> None:
        """As `kill -9` does; the service brings it back."""
        postmaster(self._data / "postgres").kill()

    def restart_server(self) -> None:
        """In order, as an administrator does; the service brings it back."""
        postmaster(self._data / "postgres").send_signal(signal.SIGINT)

    def freeze_server(self) -> None:
        """All of its processes, for a while."""
        first = postmaster(self._data / "postgres")
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(FROZEN_SECONDS)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def stored(self) -> Counter[Row]:
        """Every row that there is of anyone."""
        engine = create_engine(EmbeddedPostgres(self._data / "postgres").url())
        with engine.connect() as connection:
            rows = Counter(tuple(row) for row in connection.execute(text(STORED)))
        engine.dispose()
        return rows

    def send(self, write: Write) -> requests.Response:
        """Once more."""
        return requests.post(f"{self.service.address}/interactions", json=write.body, timeout=30)

    def end(self) -> None:
        """In order."""
        self.service.end(signal.SIGINT)
        self._running.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A service with a handful of films."""
    with temporary_home() as home:
        load(home, FILMS)
        scene = Scene(home / "data")
        try:
            yield scene
        finally:
            scene.end()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WELL_AGAIN_WITHIN
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def strike(scene: Scene, writers: Writers, rng: random.Random) -> Counter[str]:
    """Kill, freeze and restart in some order, each at some moment of busy writing."""
    faults = ["kill_service"] * 3 + ["kill_server"] * 4 + ["restart_server"] * 2 + ["freeze_server"] * 3
    rng.shuffle(faults)
    for fault in faults:
        before = len(writers.acknowledged)
        wait_for(lambda least=before + 50: len(writers.acknowledged) > least, f"writing goes on before {fault}")  # type: ignore[misc]
        time.sleep(rng.random())
        getattr(scene, fault)()
        assert not writers.wrong, writers.wrong[:3]
    before = len(writers.acknowledged)
    wait_for(lambda: len(writers.acknowledged) > before + 50, "writing goes on after all of it")
    return Counter(faults)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_what_is_acknowledged_is_stored_and_nothing_is_half_stored(scene: Scene, ledger: Ledger) -> None:
    writers = Writers(scene.service.address)
    with writers.at_work():
        faults = strike(scene, writers, random.Random())
    stored = scene.stored()
    assert not writers.wrong, writers.wrong[:3]
    unsure = writers.refused + writers.broken
    assert unsure, "some requests have met a fault"
    lost = [row for write in writers.acknowledged for row in write.rows if row not in stored]
    assert not lost
    kept = [write for write in unsure if any(row in stored for row in write.rows)]
    half = [write for write in kept if not write.rows <= stored.keys()]
    assert not half
    made = {row for write in writers.acknowledged + kept for row in write.rows}
    assert set(stored) == made

    assert {scene.send(write).status_code for write in unsure} == {200}
    complete = scene.stored()
    assert set(complete) == {row for write in writers.acknowledged + unsure for row in write.rows}
    assert set(complete.values()) == {1}
    for write in random.Random(0).sample(writers.acknowledged, 100):
        assert scene.send(write).status_code == 200
    assert scene.stored() == complete

    ledger.load(
        "writes while service and server are killed",
        faults=", ".join(f"{fault.replace('_', ' ')} {times}" for fault, times in sorted(faults.items())),
        acknowledged=len(writers.acknowledged),
        refused_with_503=len(writers.refused),
        broken_off=len(writers.broken),
        unacknowledged_and_stored_whole=len(kept),
        rows_stored=sum(complete.values()),
        acknowledged_and_lost=len(lost),
        half_stored=len(half),
    )


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_while_the_server_takes_no_writes_each_is_a_503_and_nothing_is_written(scene: Scene) -> None:
    before, rng = scene.stored(), random.Random(1)
    engine = create_engine(EmbeddedPostgres(scene.service.postgres).url(), isolation_level="AUTOCOMMIT")
    writes = [make_write(f"later-{number}", rng) for number in range(20)]
    with engine.connect() as connection:
        for setting in ("on", "off"):
            connection.execute(text(f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = {setting}"))
            # Sessions that are there already keep what they began with.
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            )
            if setting == "on":
                told = [scene.send(write) for write in writes]
                assert {response.status_code for response in told} == {503}
                assert all(int(response.headers["Retry-After"]) > 0 for response in told)
                assert scene.stored() == before
    engine.dispose()
    wait_for(lambda: scene.send(writes[0]).status_code == 200, "it is stored when that is over")
    assert {scene.send(write).status_code for write in writes} == {200}
    assert set(scene.stored()) == set(before) | {row for write in writes for row in write.rows}
