"""Hearing of changes, which the database tells every process that listens, and whether it still tells of anything.

The thread that listens asks again and again, so it is also the process's pulse.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg2
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from backend.database import CHANGES, get_engine, pulse, time_budget

log = structlog.get_logger()

QUESTION = "SELECT FROM movies, interactions, item_factors WHERE false"
"""Reads nothing, but waits as answers do where the server is frozen, or something that they read is locked."""
ASK_EVERY = 0.1
"""Seconds from an answer to the next question, where nothing is told in between."""
ANSWER_SECONDS = 5.0
"""What it is given to answer: of one that is busy nothing is lost, and nothing is trusted meanwhile."""
RETRY_SECONDS = 0.1

GONE = (DBAPIError, PoolTimeoutError, psycopg2.Error, OSError)
"""What a database that is away, or a connection that ends, makes of a wait for it."""


class Hearer(Protocol):
    """Who wants to know of changes."""

    def clear(self) -> None:
        """Something changed."""

    def trust(self, moment: float) -> None:
        """At that moment (`time.monotonic`) everything that had changed had been told."""

    def distrust(self) -> None:
        """Nothing is told any more."""


def follow_changes(hearer: Hearer, changed: threading.Event, stop: threading.Event) -> None:
    """Pass on what the database tells, until `stop` is set; the body of a thread.

    `changed` is set when something changed: for who works on it in a thread of its own, and may take long.
    """
    heard = True
    while not stop.is_set():
        try:
            with _listening() as driver:
                heard = True
                # What happened before was told to nobody.
                hearer.clear()
                changed.set()
                _hear(driver, hearer, changed, stop)
        except GONE as error:
            pulse.asks()
            if heard:
                log.warning("changes_not_heard", reason=type(error).__name__)
            heard = False
        finally:
            hearer.distrust()
        stop.wait(RETRY_SECONDS)
    pulse.answered()


@contextmanager
def _listening() -> Iterator[Any]:
    with get_engine().connect() as connection:
        driver: Any = connection.connection.driver_connection
        # Not one of the pool's any more: those are for answers.
        connection.detach()
        driver.autocommit = True
        # Before it listens, which a standby refuses.
        _ask(driver)
        with time_budget(ANSWER_SECONDS):
            connection.execute(text(f"LISTEN {CHANGES}"))
        yield driver


def _hear(driver: Any, hearer: Hearer, changed: threading.Event, stop: threading.Event) -> None:
    """A server that answers has told first what was committed before it was asked."""
    waiting = select.poll()
    waiting.register(driver, select.POLLIN)
    while not stop.is_set():
        asked = time.monotonic()
        _ask(driver)
        _tell(driver, hearer, changed)
        hearer.trust(asked)
        if waiting.poll(ASK_EVERY * 1000):
            driver.poll()
            _tell(driver, hearer, changed)


def _ask(driver: Any) -> None:
    pulse.asks(driver.fileno())
    with time_budget(ANSWER_SECONDS), driver.cursor() as cursor:
        cursor.execute(QUESTION)
    pulse.answered()


def _tell(driver: Any, hearer: Hearer, changed: threading.Event) -> None:
    payloads = {notice.payload for notice in driver.notifies}
    driver.notifies.clear()
    if "index" in payloads:
        # Settings of an index are taken up by new connections.
        get_engine().dispose()
    if payloads:
        hearer.clear()
        changed.set()
