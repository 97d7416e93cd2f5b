"""Work behind other work: once for all that came meanwhile, once more at the end, but not after a failure."""

import threading

import pytest

from backend.operations.behind import behind

WAIT = 30


class Work:
    """Notes how far the block was at each time; holds until it is let go."""

    def __init__(self, *, holds: bool = False) -> None:
        self.done: list[int] = []
        self.block = 0
        self.began = threading.Event()
        self.free = threading.Event()
        if not holds:
            self.free.set()

    def __call__(self, stop: threading.Event) -> None:
        at = self.block
        self.began.set()
        while not self.free.wait(0.01) and not stop.is_set():
            pass
        self.done.append(at)


def test_it_is_done_once_more_at_the_end() -> None:
    work = Work()
    with behind(work):
        work.block = 1
    assert work.done == [1]


def test_what_came_while_it_was_being_done_is_done_at_once_and_nothing_is_left_at_the_end() -> None:
    work = Work(holds=True)
    with behind(work) as ask:
        ask()
        assert work.began.wait(WAIT)
        for _ in range(3):
            work.block += 1
            ask()
        # The block ends while the first round lasts: what it is at by now is left to the second.
        threading.Timer(0.05, work.free.set).start()
    assert work.done == [0, 3]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_block_that_is_left_by_an_exception_ends_it(error: type[BaseException]) -> None:
    work = Work(holds=True)

    def leave() -> None:
        with behind(work) as ask:
            ask()
            assert work.began.wait(WAIT)
            raise error

    with pytest.raises(error):
        leave()
    assert work.done == [0]


def test_what_it_raised_is_raised_at_the_end() -> None:
    def fail(stop: threading.Event) -> None:
        raise ValueError("no encoder")

    def run() -> None:
        with behind(fail) as ask:
            ask()
            ran.append(1)

    ran: list[int] = []
    with pytest.raises(ValueError, match="no encoder"):
        run()
    assert ran == [1]
