"""The pace: never faster than asked for, no turn lost to waking up late, a pause for all."""

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
    assert turns(TokenBucket(rate, clock=clock), clock, seconds=10) == pytest.approx(10 * rate, abs=1)


def test_waking_up_late_costs_nothing() -> None:
    clock = Clock()
    assert turns(TokenBucket(40, clock=clock), clock, seconds=10, oversleep=0.003) == pytest.approx(400, abs=1)


def test_idle_time_is_not_made_up_for() -> None:
    clock = Clock()
    bucket = TokenBucket(40, clock=clock)
    clock.now += 3600
    assert turns(bucket, clock, seconds=1) <= 42


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
