"""What people did, in a file of its own: readable without the database, kept up to date in place.

SQLite, because it lets one process write while others read, and survives the end of either at any moment.
"""

import sqlite3
import threading
import weakref
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import LayerUnavailableError
from backend.feedback.weights import KINDS
from backend.ml.artefact import Draft

ACT = np.dtype([("movie_id", "i4"), ("kind", "u1"), ("value", "f4"), ("at", "f8")])
"""One interaction: kind as its place in KINDS, at in seconds since 1970; value is NaN but for a rating."""
Acts = NDArray[Any]
"""Shape (interactions,), dtype ACT."""

KIND_NUMBER = {kind: number for number, kind in enumerate(KINDS)}
PEOPLE = "people.sqlite"
WAIT_SECONDS = 0.25
"""For a writer to finish, which takes milliseconds; who waits longer asks another layer."""
WRITER_WAITS = 10.0
"""Seconds, for readers to finish."""

SCHEMA = """
CREATE TABLE people (id INTEGER PRIMARY KEY, external_id TEXT NOT NULL UNIQUE, acts BLOB NOT NULL, crc INTEGER);
CREATE TABLE seen (up_to INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Person:
    """Someone and what they did; without an external id, someone who is gone."""

    id: int
    external_id: str | None
    acts: Acts


class PeopleFile:
    """The people of a file. Raises LayerUnavailableError where it can't be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS, check_same_thread=False
            )
            # The driver's cache of statements refers back to it: unclosed, it would wait for the collector.
            self.close = weakref.finalize(self, self._connection.close)
            # Who was erased is not to be found in the file's free pages either.
            self._connection.execute("PRAGMA secure_delete = ON")
            self._one("SELECT up_to FROM seen")
        except sqlite3.Error as error:
            raise LayerUnavailableError(f"{path} is damaged: {error}") from error

    @classmethod
    def create(cls, path: Path, people: Iterable[Person], *, seen: int) -> int:
        """Write a new file; the number of people in it. `seen`: see `seen`."""
        count = 0
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(SCHEMA)
            for person in people:
                _put(connection, person)
                count += 1
            connection.execute("INSERT INTO seen VALUES (?)", (seen,))
        return count

    def acts(self, user_id: str) -> Acts:
        """What a person did; nothing for someone unknown."""
        row = self._one("SELECT acts, crc FROM people WHERE external_id = ?", user_id)
        if row is None:
            return np.empty(0, dtype=ACT)
        if zlib.crc32(row[0]) != row[1]:
            raise LayerUnavailableError(f"{self._path} is damaged")
        return np.frombuffer(row[0], dtype=ACT)

    @property
    def seen(self) -> int:
        """The number of the oldest transaction of the database whose changes may not be in here yet."""
        row = self._one("SELECT up_to FROM seen")
        assert row is not None
        return int(row[0])

    def update(self, people: Sequence[Person], *, seen: int) -> int:
        """Put these people in place of what was here about them, in one transaction; how many are not as before.

        While a transaction stays open in the database, the same people come again with every look.
        """
        people = [person for person in people if self._differs(person)]
        if not people and seen <= self.seen:
            return 0
        ids = [(person.id,) for person in people]
        try:
            with self._held(WRITER_WAITS), self._connection:
                # First: someone who was erased and came back has another id now, and the same name.
                self._connection.executemany("DELETE FROM people WHERE id = ?", ids)
                for person in people:
                    _put(self._connection, person)
                self._connection.execute("UPDATE seen SET up_to = ?", (seen,))
        except sqlite3.Error as error:
            raise LayerUnavailableError(f"{self._path} can't be written: {error}") from error
        return len(people)

    def replace(self, people: Iterable[Person], *, seen: int) -> None:
        """Put these people in place of all that were here, in one transaction."""
        try:
            with self._held(WRITER_WAITS), self._connection:
                self._connection.execute("DELETE FROM people")
                for person in people:
                    _put(self._connection, person)
                self._connection.execute("UPDATE seen SET up_to = ?", (seen,))
        except sqlite3.Error as error:
            raise LayerUnavailableError(f"{self._path} can't be written: {error}") from error

    def _differs(self, person: Person) -> bool:
        known = self._one("SELECT external_id, acts FROM people WHERE id = ?", person.id)
        return known != (None if person.external_id is None else (person.external_id, person.acts.tobytes()))

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        try:
            with self._held(WAIT_SECONDS):
                row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise LayerUnavailableError(f"{self._path} can't be read: {error}") from error
        return row

    @contextmanager
    def _held(self, seconds: float) -> Iterator[None]:
        """The connection for this thread alone, and so much patience with those of other processes."""
        if not self._lock.acquire(timeout=seconds):
            raise LayerUnavailableError(f"{self._path} is busy")
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
            yield
        finally:
            self._lock.release()


def write_people(people: Iterable[Person], draft: Draft, *, seen: int) -> int:
    """Put people into a draft, in a file that is kept up to date after it was published; their number."""
    draft.living.add(PEOPLE)
    return PeopleFile.create(draft.folder / PEOPLE, people, seen=seen)


def _put(connection: sqlite3.Connection, person: Person) -> None:
    if person.external_id is not None:
        acts = person.acts.tobytes()
        connection.execute(
            "INSERT INTO people VALUES (?, ?, ?, ?)", (person.id, person.external_id, acts, zlib.crc32(acts))
        )
