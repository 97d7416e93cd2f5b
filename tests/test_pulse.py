"""The pulse: anyone can tell for how long the database has been silent."""

import socket

import pytest

from backend.pulse import Pulse
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(clock=clock)


def test_where_nobody_asks_there_is_no_silence(pulse: Pulse, clock: Clock) -> None:
    clock.now += 100
    assert pulse.silence == 0


def test_silence_lasts_from_the_question_to_its_answer(pulse: Pulse, clock: Clock) -> None:
    for _ in range(2):
        pulse.asks()
        clock.now += 3
        assert pulse.silence == 3
        pulse.answered()
        assert pulse.silence == 0
        clock.now += 100


def test_asking_again_does_not_end_it(pulse: Pulse, clock: Clock) -> None:
    pulse.asks()
    clock.now += 3
    pulse.asks()
    clock.now += 1
    assert pulse.silence == 4


def test_an_answer_that_nobody_has_come_to_read_is_one(pulse: Pulse, clock: Clock) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pulse.asks(ours.fileno())
        clock.now += 3
        assert pulse.silence == 3
        theirs.send(b"answer")
        assert pulse.silence == 0
