"""Half an hour of everything at once: nothing grows, nothing is left open, nothing fails."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import median
from urllib.parse import quote

import psutil
import pytest
import requests

from benchmarks.load_generator import Plan, generate
from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.world import World, wait_until_well
from tests.test_embedded_postgres import eventually
from tests.test_serve import Service
from tests.tmdb_films import numbered_films
from tests.tmdb_stand_in import KEY, TmdbStandIn

pytestmark = pytest.mark.faults

MINUTES = 30
WARM_UP = 10
"""Minutes in which what is kept fills up."""
RATE = 20
"""Requests a second, beside a client that reads and one that writes."""
JOBS = ("ingest", "embeddings", "index", "train", "cache")
POOLS = 2 * 10
"""Connections that the pools of the service and its scheduler may hold."""
ASIDE = 6
"""Connections beside the pools: the two that listen, the pulse, what jobs hold while they run, this test's own."""
FLAT = 0.05
"""By so much memory may have grown between the two halves of what follows the beginning."""


@dataclass
class Watch:
    """What a look at the processes once a minute saw."""

    memory: list[float] = field(default_factory=list)
    """Megabytes of the service and its scheduler."""
    connections: list[int] = field(default_factory=list)
    jobs: list[dict[str, str | None]] = field(default_factory=list)
    """How each job's last run ended."""

    def look(self, service: Service, world: World) -> None:
        """Note how it is."""
        head = psutil.Process(service.process.pid)
        processes = [head, *head.children(recursive=True)]
        self.memory.append(sum(process.memory_info().rss for process in processes) / 2**20)
        self.connections.append(len(connections(world)))
        runs = service.ask("/stats").json()["jobs"]
        self.jobs.append({job: run["outcome"] for job, run in runs.items()})

    @property
    def growth(self) -> float:
        """By how much the later half of memory exceeds the earlier one, warm-up aside."""
        warm = self.memory[WARM_UP:]
        half = len(warm) // 2
        return median(warm[half:]) / median(warm[:half]) - 1


def connections(world: World) -> list[str]:
    """What each connection to the database is doing."""
    rows = world.ask(
        "SELECT state FROM pg_stat_activity WHERE datname = 'marquee' AND backend_type = 'client backend'"
    )
    return [str(state) for (state,) in rows]


def nothing_is_held(service: Service, world: World) -> bool:
    """Whether no connection is on loan from the pool, and none is in a transaction but that of this question."""
    return (
        "marquee_pool_connections_in_use 0.0" in service.ask("/metrics").text
        and connections(world).count("idle in transaction") == 0
        and connections(world).count("active") == 1
    )


@pytest.fixture
def service(world: World) -> Iterator[Service]:
    """A service with its scheduler, and a TMDB to fetch from."""
    with (
        TmdbStandIn(numbered_films(200)) as tmdb,
        world.serving(TMDB_API_KEY=KEY, TMDB_BASE_URL=tmdb.url, TMDB_EXPORT_URL=tmdb.export_url) as service,
    ):
        wait_until_well(service)
        yield service


def mixture(world: World) -> list[str]:
    """All that can be asked for, in turn."""
    paths = []
    for number, film in enumerate(world.films):
        person = quote(f"person {number % len(world.done)}")
        paths += [
            f"/similar/{film}?exclude={number + 1}",
            f"/recommendations/{person}?explain=true",
            f"/rows/{person}",
            f"/search?q=a%20story%20of%20{number}",
            f"/movies?genre=Drama&page={number % 20 + 1}",
            f"/users/{person}/interactions",
            "/stats",
            "/metrics",
        ]
    return paths


@pytest.mark.timeout(60 * (MINUTES + 10))
def test_half_an_hour_of_everything_leaves_all_as_it_was(service: Service, world: World, ledger: Ledger) -> None:
    watch = Watch()
    port = int(service.address.rpartition(":")[2])
    plan = Plan(port=port, paths=mixture(world), rate=RATE, seconds=60 * MINUTES, connections=16)
    with ThreadPoolExecutor(1) as pool, Clients(service, world, pause=0.2) as clients:
        load = pool.submit(generate, plan)
        begun = time.monotonic()
        for minute in range(MINUTES):
            for job in JOBS:
                asked = requests.post(f"{service.address}/jobs/{job}/run", timeout=10)
                assert asked.status_code == 200, asked.text
            time.sleep(max(0.0, begun + 60 * (minute + 1) - time.monotonic()))
            watch.look(service, world)
        outcome = load.result()
    told = clients.check()
    assert outcome.failed == 0
    assert {ended for runs in watch.jobs for ended in runs.values()} <= {
        "succeeded",
        "running",
        "queued",
        "skipped",
    }
    assert watch.growth < FLAT, watch.memory
    assert max(watch.connections) <= POOLS + ASIDE, watch.connections
    eventually(lambda: nothing_is_held(service, world), "connections are still in use")
    ledger.load(
        f"{MINUTES} minutes of everything, with every job each minute",
        requests=outcome.requests,
        failed=outcome.failed,
        clients=told,
        **outcome.percentiles,
        memory_growth_percent=100 * watch.growth,
        megabytes_at_the_end=watch.memory[-1],
        most_connections=max(watch.connections),
        connections_in_a_transaction_at_the_end=connections(world).count("idle in transaction"),
    )
