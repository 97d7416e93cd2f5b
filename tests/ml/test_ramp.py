"""The ramp: a layer that is back is asked by one at a time, and then by more and more."""

from contextlib import ExitStack, suppress

from backend.ml.ramp import STEP, Ramp

MOST = 4


def answer(ramp: Ramp, times: int = 1) -> None:
    for _ in range(times):
        with ramp.asking():
            pass


class FullError(Exception):
    """So many ask."""


def places(ramp: Ramp) -> int:
    """How many may ask at once, twice the most if it is all; that nobody is answered widens nothing."""
    asking = 0
    with suppress(FullError), ExitStack() as stack:
        while ramp.has_room and asking < 2 * MOST:
            stack.enter_context(ramp.asking())
            asking += 1
        raise FullError
    return asking


def test_without_trouble_there_is_room_for_all() -> None:
    assert places(Ramp(MOST)) == 2 * MOST


def test_after_trouble_there_is_room_for_one_and_with_answers_for_more() -> None:
    ramp = Ramp(MOST)
    ramp.begin_anew()
    found = [places(ramp)]
    while found[-1] <= MOST:
        answer(ramp, round(1 / STEP))
        found.append(places(ramp))
    assert found == [1, 2, 3, 2 * MOST]
