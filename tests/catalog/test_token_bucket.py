"""The pace: never faster than asked for, no turn lost to waking up late, a pause for all."""

import random

import pytest

from backend.catalog.token_bucket import TokenBucket


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def turns(bucket: TokenBucket, clock: Clock, *, seconds: float, oversleep: float = 0.0) -> int:
    """Turns that someone gets who asks again whenever told, and wakes up somewhat late."""
    end, taken = clock.now + seconds, 0
    while clock.now < end:
        wait = bucket.take()
        taken += not wait
        clock.now += wait + (oversleep if wait else 0)
    return taken


@pytest.mark.parametrize("rate", [0.5, 1, 40, 1000])
def test_so_many_turns_a_second(rate: float) -> None:
    clock = Clock()
    taken = turns(TokenBucket(rate, clock=clock), clock, seconds=100)
    assert 0.957 * 100 * rate <= taken <= 100 * rate + 1


@pytest.mark.parametrize("oversleep", [0.001, 0.002, 0.005])
def test_waking_up_late_costs_nothing(oversleep: float) -> None:
    clock = Clock()
    bucket = TokenBucket(40, clock=clock)
    assert turns(bucket, clock, seconds=100, oversleep=oversleep) >= 0.957 * 4000


def test_no_second_sees_more_turns_than_it_may_have_however_late_someone_wakes_up() -> None:
    clock, rng = Clock(), random.Random(1)
    bucket, taken = TokenBucket(40, clock=clock), []
    while len(taken) < 4000:
        wait = bucket.take()
        if not wait:
            taken.append(clock.now)
        clock.now += wait + rng.choice([0, 0.001, 0.01, 0.2, 2]) * rng.random()
    # A little more than a second, for what is sent does not arrive as evenly.
    assert all(later - first > 1.03 for first, later in zip(taken, taken[40:], strict=False))


def test_idle_time_is_not_made_up_for() -> None:
    clock = Clock()
    bucket = TokenBucket(40, clock=clock)
    clock.now += 3600
    assert turns(bucket, clock, seconds=1) <= 40
    assert turns(bucket, clock, seconds=0.001) <= 5


def test_while_held_there_is_no_turn_and_a_shorter_hold_does_not_end_it() -> None:
    clock = Clock()
    bucket = TokenBucket(40, clock=clock)
    assert bucket.take() == 0
    bucket.hold(5)
    bucket.hold(1)
    assert bucket.take() == pytest.approx(5)
    clock.now += 4.99
    assert bucket.take() == pytest.approx(0.01)
    clock.now += 0.02
    assert bucket.take() == 0
