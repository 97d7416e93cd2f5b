"""Work that follows other work: in a thread of its own, done once more for all that came meanwhile."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def behind(work: Callable[[threading.Event], None]) -> Iterator[Callable[[], None]]:
    """What asks for the work; at the end of the block it is done once more, and what it raised is raised.

    Where the block is left by an exception it is not done again, and the event that it was given tells it to end.
    """
    asked, ends, stop = threading.Event(), threading.Event(), threading.Event()

    def follow() -> None:
        last = False
        while not last:
            asked.wait()
            asked.clear()
            last = ends.is_set()
            if not stop.is_set():
                work(stop)

    pool = ThreadPoolExecutor(1, thread_name_prefix="behind")
    following = pool.submit(follow)
    try:
        yield asked.set
    except BaseException:
        stop.set()
        raise
    finally:
        ends.set()
        asked.set()
        pool.shutdown(wait=True)
    following.result()
