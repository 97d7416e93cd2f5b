"""The circuit breaker: who fails again and again is left alone, and tried by one at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.ml.breaker import Breaker, BreakerConfig
from tests.clock import Clock

FAILURES, SLOW, PAUSE = 3, 7, 5.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(BreakerConfig(failures=FAILURES, slow=SLOW, pause=PAUSE), clock=clock)


@pytest.fixture
def opened(breaker: Breaker) -> Breaker:
    """One that is open since this moment."""
    for _ in range(FAILURES):
        breaker.failed()
    return breaker


def in_threads(ask: Callable[[], bool], *, threads: int = 16) -> list[bool]:
    """What each of many threads is told that ask at the same moment."""
    together = threading.Barrier(threads)

    def ask_together() -> bool:
        together.wait()
        return ask()

    with ThreadPoolExecutor(threads) as pool:
        asked = [pool.submit(ask_together) for _ in range(threads)]
        return [one.result() for one in asked]


def test_who_works_is_always_asked(breaker: Breaker) -> None:
    for _ in range(10):
        assert breaker.lets_through()
        breaker.worked()
    assert not breaker.is_open


def test_a_few_failures_do_no_harm(breaker: Breaker) -> None:
    for _ in range(FAILURES - 1):
        breaker.failed()
        assert breaker.lets_through()
    assert not breaker.is_open


def test_only_failures_in_a_row_count(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.failed()
        breaker.failed()
        breaker.worked()
    assert not breaker.is_open


def test_the_last_of_so_many_failures_opens_it(breaker: Breaker) -> None:
    for expected in [False] * (FAILURES - 1) + [True] * 3:
        breaker.failed()
        assert breaker.is_open is expected


def test_of_answers_that_take_too_long_it_takes_more(breaker: Breaker, clock: Clock) -> None:
    for _ in range(2):
        for expected in [False] * (SLOW - 1) + [True]:
            breaker.failed(slowly=True)
            assert breaker.is_open is expected
        clock.now += PAUSE
        breaker.worked()
        assert not breaker.is_open


def test_while_it_is_open_nobody_asks_until_the_pause_is_over(opened: Breaker, clock: Clock) -> None:
    assert not opened.lets_through()
    clock.now += PAUSE - 0.001
    assert not opened.lets_through()
    clock.now += 0.001
    assert opened.lets_through()


def test_one_asks_and_the_others_wait_for_another_pause(opened: Breaker, clock: Clock) -> None:
    clock.now += PAUSE
    assert opened.lets_through()
    assert not opened.lets_through()
    # Nothing is known of the try: it was a film that is not there, or a bug.
    clock.now += PAUSE
    assert opened.lets_through()


def test_a_try_that_fails_costs_a_whole_pause_from_then_on(opened: Breaker, clock: Clock) -> None:
    clock.now += PAUSE
    assert opened.lets_through()
    clock.now += PAUSE / 2
    opened.failed()
    clock.now += PAUSE / 2
    assert not opened.lets_through()
    clock.now += PAUSE / 2
    assert opened.lets_through()


def test_an_answer_closes_it(opened: Breaker, clock: Clock) -> None:
    clock.now += PAUSE
    assert opened.lets_through()
    opened.worked()
    assert not opened.is_open
    assert all(opened.lets_through() for _ in range(10))
    for expected in [False] * (FAILURES - 1) + [True]:
        opened.failed()
        assert opened.is_open is expected


def test_of_many_that_come_at_once_exactly_one_is_the_try(opened: Breaker, clock: Clock) -> None:
    for _ in range(5):
        assert sum(in_threads(opened.lets_through)) == 0
        clock.now += PAUSE
        assert sum(in_threads(opened.lets_through)) == 1


def test_an_answer_that_was_on_its_way_when_it_opened_does_not_close_it(opened: Breaker, clock: Clock) -> None:
    opened.worked()
    clock.now += PAUSE - 0.001
    opened.worked()
    assert opened.is_open
    clock.now += 0.001
    assert opened.lets_through()
    opened.worked()
    assert not opened.is_open


def test_by_itself_it_tries_every_second(clock: Clock) -> None:
    breaker = Breaker(clock=clock)
    for _ in range(3):
        assert breaker.lets_through()
        breaker.failed()
    assert not breaker.lets_through()
    clock.now += 1
    assert breaker.lets_through()
