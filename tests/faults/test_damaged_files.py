"""Exports of other services, cut, scrambled or made up: read as far as they can be, or refused in order."""

import random
from collections import Counter

import pytest
import requests

from tests.faults.ledger import Ledger
from tests.faults.world import World, wait_until_well
from tests.feedback.exports import IMDB_RATINGS, LETTERBOXD, RATINGS, TRAKT, packed

pytestmark = pytest.mark.faults

FILES = 4_000
WHOLE = [packed(LETTERBOXD), packed(TRAKT), RATINGS.encode(), IMDB_RATINGS.encode()]


def damaged(chance: random.Random) -> bytes:
    """One of the exports with some bytes changed, a piece repeated, cut off, or only its first bytes left."""
    content = bytearray(chance.choice(WHOLE))
    for _ in range(chance.randint(0, 6)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    if chance.random() < 0.3:
        start = chance.randrange(len(content))
        content[start:start] = content[start : start + chance.randint(1, 400)] * chance.randint(1, 20)
    if chance.random() < 0.3:
        del content[chance.randint(1, len(content)) :]
    if chance.random() < 0.1:
        content[4:] = chance.randbytes(chance.randint(0, 2_000))
    return bytes(content)


@pytest.mark.timeout(900)
def test_a_damaged_file_is_no_error_of_the_service(world: World, ledger: Ledger) -> None:
    chance = random.Random(20)
    statuses: Counter[int] = Counter()
    with world.serving("--no-scheduler") as service, requests.Session() as session:
        wait_until_well(service)
        for _ in range(FILES):
            sent = session.post(f"{service.address}/users/ada/import", data=damaged(chance), timeout=30)
            assert sent.status_code == 200 or sent.json()["errors"][0]["field"] == "body", sent.text
            statuses[sent.status_code] += 1
        assert service.ask("/similar/862").status_code == 200
    assert set(statuses) <= {200, 413, 422}
    assert statuses[200] > FILES / 10
    ledger.inputs(
        "exports of Letterboxd, IMDb and Trakt, damaged at random, for import",
        tried=FILES,
        refused=FILES - statuses[200],
        errors_5xx=sum(number for status, number in statuses.items() if status >= 500),
    )
