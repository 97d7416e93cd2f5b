"""What is kept of answers: films once, within bounds, and nothing that may have changed."""

import pytest
from prometheus_client import Counter
from starlette.routing import Route

from backend.api.response_cache import Kept, ResponseCache, ResponseCacheConfig
from tests.clock import Clock

COUNTER = Counter("kept_in_tests", "Counts nothing", registry=None)
FILM = b"a film " * 50
ROUTE = Route("/similar/{movie_id}", lambda _: None)
TOYS = "toys"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> ResponseCache:
    """A cache of one megabyte that is told of changes."""
    cache = ResponseCache(ResponseCacheConfig(megabytes=1), clock=clock)
    cache.trust(clock.now)
    return cache


def answer(*films: bytes, around: bytes = b"") -> Kept:
    return Kept(films, around, COUNTER, ROUTE)


def keep(cache: ResponseCache, name: object, *films: bytes, around: bytes = b"") -> None:
    cache.keep((f"/{name}", b""), answer(*films, around=around), generation=cache.generation)


def find(cache: ResponseCache, name: object) -> Kept | None:
    return cache.find((f"/{name}", b""))


def test_what_is_kept_is_found(cache: ResponseCache) -> None:
    assert find(cache, TOYS) is None
    keep(cache, TOYS, b"Toy", b" Story")
    assert find(cache, TOYS) == answer(b"Toy", b" Story")
    keep(cache, TOYS, b"Toy Story 2", around=b"list")
    assert find(cache, TOYS) == answer(b"Toy Story 2", around=b"list")
    assert cache.find((f"/{TOYS}", b"n=2")) is None


def test_a_change_empties_it(cache: ResponseCache) -> None:
    keep(cache, TOYS, FILM)
    cache.clear()
    assert find(cache, TOYS) is None


def test_what_was_read_before_a_change_is_not_kept_after_it(cache: ResponseCache) -> None:
    before = cache.generation
    cache.clear()
    cache.keep((f"/{TOYS}", b""), answer(FILM), generation=before)
    assert find(cache, TOYS) is None


def test_nothing_is_older_than_a_second_unless_changes_are_told_of(cache: ResponseCache, clock: Clock) -> None:
    keep(cache, TOYS, FILM)
    clock.now += 0.9
    assert find(cache, TOYS)
    clock.now += 0.2
    assert find(cache, TOYS) is None
    cache.trust(clock.now)
    assert find(cache, TOYS)


def test_while_nobody_tells_of_changes_nothing_is_kept(cache: ResponseCache, clock: Clock) -> None:
    keep(cache, TOYS, FILM)
    cache.distrust()
    keep(cache, TOYS, FILM)
    assert find(cache, TOYS) is None
    cache.trust(clock.now)
    assert find(cache, TOYS) is None


def test_films_that_stand_in_many_lists_are_kept_once(cache: ResponseCache) -> None:
    for number in range(1000):
        keep(cache, number, FILM * 10, around=b"%d" % number)
    assert all(find(cache, n) == answer(FILM * 10, around=b"%d" % n) for n in range(1000))


def test_those_asked_for_longest_ago_go_first(cache: ResponseCache) -> None:
    for number in range(4):
        keep(cache, number, bytes([number]) * 2**18)
        find(cache, 0)
    assert [number for number in range(4) if find(cache, number)] == [0, 2, 3]


def test_bytes_are_given_back(cache: ResponseCache) -> None:
    for number in range(5_000):
        keep(cache, number % 7, bytes([number % 256]) * 1000, FILM, around=b"%d" % number)
    assert len(cache) == 7
    for number in range(100):
        keep(cache, f"large {number}", bytes([number]) * 2**19)
    assert len(cache) == 1


def test_one_that_is_larger_than_all_room_is_not_kept(cache: ResponseCache) -> None:
    keep(cache, TOYS, FILM)
    keep(cache, "everything", bytes(2**21))
    assert find(cache, "everything") is None
    keep(cache, TOYS, FILM)
    assert find(cache, TOYS) == answer(FILM)
