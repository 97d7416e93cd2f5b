"""What is kept of answers: shared parts once, within bounds, and nothing that may have changed."""

import pytest
from prometheus_client import Counter
from starlette.routing import Route

from backend.api.response_cache import Kept, Place, ResponseCache, ResponseCacheConfig
from tests.clock import Clock

COUNTER = Counter("kept_in_tests", "Counts nothing", registry=None)
FILM = b"a film " * 50
ROUTE = Route("/similar/{movie_id}", lambda _: None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ResponseCache:
    """A cache of one megabyte that is told of changes."""
    cache = ResponseCache(ResponseCacheConfig(megabytes=1, addresses=3), clock=clock)
    cache.trust(clock.now)
    return cache


def keep(cache: ResponseCache, key: object, *parts: bytes) -> None:
    cache.keep(key, Kept(parts, COUNTER), generation=cache.generation)


def body(cache: ResponseCache, key: object) -> bytes | None:
    kept = cache.find(key)
    return kept and b"".join(kept.parts)


def test_what_is_kept_is_found(cache: ResponseCache) -> None:
    assert cache.find("toys") is None
    keep(cache, "toys", b"Toy", b" Story")
    assert body(cache, "toys") == b"Toy Story"
    keep(cache, "toys", b"Toy Story 2")
    assert body(cache, "toys") == b"Toy Story 2"


def test_a_change_empties_it(cache: ResponseCache) -> None:
    keep(cache, "toys", FILM)
    cache.note(("/similar/862", b""), Place("toys", ROUTE))
    cache.clear()
    assert cache.find("toys") is None
    assert cache.find_at(("/similar/862", b"")) is None


def test_what_was_read_before_a_change_is_not_kept_after_it(cache: ResponseCache) -> None:
    before = cache.generation
    cache.clear()
    cache.keep("toys", Kept((FILM,), COUNTER), generation=before)
    assert cache.find("toys") is None


def test_nothing_is_older_than_a_second_unless_changes_are_told_of(cache: ResponseCache, clock: Clock) -> None:
    keep(cache, "toys", FILM)
    clock.now += 0.9
    assert cache.find("toys")
    clock.now += 0.2
    assert cache.find("toys") is None
    cache.trust(clock.now)
    assert cache.find("toys")


def test_while_nobody_tells_of_changes_nothing_is_kept(cache: ResponseCache, clock: Clock) -> None:
    keep(cache, "toys", FILM)
    cache.distrust()
    keep(cache, "toys", FILM)
    assert cache.find("toys") is None
    cache.trust(clock.now)
    assert cache.find("toys") is None


def test_films_that_stand_in_many_lists_are_kept_once(cache: ResponseCache) -> None:
    for number in range(1000):
        keep(cache, number, FILM * 10, b"%d" % number)
    assert all(body(cache, number) == FILM * 10 + b"%d" % number for number in range(1000))


def test_those_asked_for_longest_ago_go_first(cache: ResponseCache) -> None:
    for number in range(4):
        keep(cache, number, bytes([number]) * 2**18)
        cache.find(0)
    assert [number for number in range(4) if cache.find(number)] == [0, 2, 3]


def test_bytes_are_given_back(cache: ResponseCache) -> None:
    for number in range(5_000):
        keep(cache, number % 7, bytes([number % 256]) * 1000, FILM, b"%d" % number)
    assert len(cache) == 7
    for number in range(100):
        keep(cache, f"large {number}", bytes([number]) * 2**19)
    assert len(cache) == 1


def test_one_that_is_larger_than_all_room_is_not_kept(cache: ResponseCache) -> None:
    keep(cache, "toys", FILM)
    keep(cache, "everything", bytes(2**21))
    assert cache.find("everything") is None
    keep(cache, "toys", FILM)
    assert body(cache, "toys") == FILM


def test_addresses_lead_to_answers(cache: ResponseCache) -> None:
    keep(cache, "toys", FILM)
    for number in range(5):
        cache.note(("/similar/862", b"n=%d" % number), Place("toys", ROUTE))
    known = [number for number in range(5) if cache.find_at(("/similar/862", b"n=%d" % number))]
    assert known == [2, 3, 4]
    assert cache.find_at(("/similar/862", b"n=4")) == (Kept((FILM,), COUNTER), ROUTE)
