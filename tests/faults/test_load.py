"""Under load PostgreSQL goes away for twenty seconds and comes back: no read fails, none waits long."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import pytest

from benchmarks.load_generator import Plan, generate
from tests.faults.clients import Clients
from tests.faults.ledger import Ledger
from tests.faults.test_database_faults import Fault, frozen, killed, stopped_at_once
from tests.faults.world import World, wait_until_well
from tests.test_serve import BACK_WITHIN, Service

pytestmark = pytest.mark.faults

RATE = 200
"""Requests a second."""
BEFORE, AWAY, AFTER = 8, 20, 12
"""Seconds."""
P99_MS = 250
ALIKE = 0.9
"""So much of a list that files give is at least what the database gives."""
POPULAR = 5
FAULTS: dict[str, Fault] = {
    "killed (-9)": killed,
    "frozen (SIGSTOP)": frozen,
    "stopped at once (immediate)": stopped_at_once,
}


@pytest.fixture(scope="module")
def service(world: World) -> Iterator[Service]:
    """One service for all of them."""
    with world.serving("--no-scheduler") as service:
        wait_until_well(service)
        yield service


def mixture(world: World) -> list[str]:
    """Lists that nobody asked for before, some that many ask for, people, films."""
    paths = []
    for number in range(RATE * (BEFORE + AWAY + AFTER + 1)):
        film, person = world.films[number % len(world.films)], f"person {number % len(world.done)}"
        paths.append(
            (
                f"/similar/{film}?exclude={number + 1}",
                f"/recommendations/{quote(person)}?n=20",
                f"/similar/{world.films[number % POPULAR]}",
                f"/movies/{film}",
            )[number % 4]
        )
    return paths


def lists(service: Service, world: World) -> list[set[int]]:
    """What some people, and those who like some films, are given."""
    paths = [f"/recommendations/{quote(person)}" for person in list(world.done)[:10]]
    paths += [f"/similar/{film}?exclude={time.time_ns() % 10**6}" for film in world.films[:10]]
    return [{row["id"] for row in service.ask(path).json()["results"]} for path in paths]


def likeness(some: list[set[int]], others: list[set[int]]) -> float:
    """The share of films that lists have in common."""
    return sum(len(a & b) for a, b in zip(some, others, strict=True)) / sum(map(len, others))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FAULTS)
def test_no_read_fails_and_none_waits(name: str, service: Service, world: World, ledger: Ledger) -> None:
    wait_until_well(service)
    ours = lists(service, world)
    port = int(service.address.rpartition(":")[2])
    plan = Plan(port=port, paths=mixture(world), rate=RATE, seconds=BEFORE + AWAY + AFTER, connections=64)
    calm = generate(replace(plan, paths=plan.paths[::-1], seconds=BEFORE)).percentiles["p99_ms"]
    assert calm < P99_MS, "this machine does not hold the load without a fault either"
    with ThreadPoolExecutor(1) as pool, Clients(service, world, writes=False, pause=0.1) as clients:
        load = pool.submit(generate, plan)
        time.sleep(BEFORE)
        with FAULTS[name](world):
            time.sleep(AWAY)
            alike = likeness(lists(service, world), ours)
        took = clients.wait_until_well(time.monotonic())
        outcome = load.result()
    clients.check()
    figures = outcome.percentiles
    assert outcome.failed == 0
    assert alike >= ALIKE
    assert took < BACK_WITHIN
    assert figures["p99_ms"] < P99_MS
    ledger.load(
        f"{RATE} reads a second, PostgreSQL {name} for {AWAY} seconds",
        requests=outcome.requests,
        failed=outcome.failed,
        p99_ms_before=calm,
        **figures,
        slowest_ms=1000 * max(outcome.latencies),
        films_of_lists_in_common_percent=100 * alike,
        seconds_until_the_database_answers_again=took,
    )
