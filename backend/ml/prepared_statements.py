"""Statements that are built once, and planned once a connection: from answer to answer only values differ.

To build such a statement takes SQLAlchemy up to 8 ms, and to parse and plan it takes the server 1 to 2 ms: more
than to run it. So a statement is built with stand-ins for the values and kept as text, and the server prepares it
for whoever asks for the like a second time.
"""

import itertools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from psycopg2.extensions import AsIs
from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.orm import Session

from backend.ml.answer import Rows

KEPT = 256
"""Statements that a process keeps; one that was not asked for for longest is built anew."""
PREPARED = 64
"""Of those, how many a connection has prepared: each takes memory of the server till the connection is renewed."""

LARGEST = 2**63 - 1

Value = int | str | None
Build = Callable[..., Select[Any]]

_names = itertools.count()


def run_prepared(session: Session, build: Build, values: tuple[Value, ...], *shape: Hashable) -> Rows:
    """The rows of `build(*values, *shape)`, where calls of the same shape share one statement.

    `build` may look at the type of a value, but has to hand its value on as it is.
    """
    statement = _kept(build, tuple(type(value) for value in values), shape)
    return statement.run(session.connection(), values)


@lru_cache(KEPT)
def _kept(build: Build, kinds: tuple[type, ...], shape: tuple[Hashable, ...]) -> "_Statement":
    stand_ins = [_STAND_INS[kind](place) for place, kind in enumerate(kinds)]
    built = build(*stand_ins, *shape)
    dialect: Dialect = PGDialect_psycopg2()  # type: ignore[no-untyped-call] # SQLAlchemy does not say
    compiled = built.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    slots = {name: value.place for name, value in compiled.params.items() if isinstance(value, _Number | _Text)}
    used = tuple(stand_in for stand_in in stand_ins if stand_in is not None)
    if set(slots.values()) != {stand_in.place for stand_in in used}:
        raise TypeError(f"{build.__name__} does not hand on every value as it is")
    return _Statement(str(compiled), compiled.params, slots, tuple(stand_in.declared for stand_in in used))


class _Number(int):
    declared = "bigint"
    place: int

    def __new__(cls, place: int) -> "_Number":
        number = super().__new__(cls, 1)
        number.place = place
        return number


class _Text(str):
    declared = "text"
    place: int

    def __new__(cls, place: int) -> "_Text":
        words = super().__new__(cls, "-")
        words.place = place
        return words


_STAND_INS: dict[type, Callable[[int], Any]] = {int: _Number, str: _Text, type(None): lambda place: None}


@dataclass(eq=False)
class _Statement:
    """One statement for many values."""

    text: str
    """With the driver's placeholders."""
    params: Mapping[str, Any]
    slots: Mapping[str, int]
    """Of the placeholders that values go into, which value."""
    declared: tuple[str, ...]
    """The types of the values that are given."""
    asked: bool = False

    def run(self, connection: Connection, values: tuple[Value, ...]) -> Rows:
        """The rows with these values."""
        prepared: dict[_Statement, str] = connection.info.setdefault("prepared", {})
        given = tuple(_in_bigint(value) for value in values if value is not None)
        if name := prepared.get(self):
            return self._rows(connection, self._execution(name), given)
        # What is asked for once, as with filters of its own, is not worth the server's memory.
        worth, self.asked = self.asked and len(prepared) < PREPARED, True
        if not worth:
            filled = {name: values[place] for name, place in self.slots.items()}
            return self._rows(connection, self.text, dict(self.params) | filled)
        # Of a name that was in use when something failed nobody knows whether it still is.
        name = f"marquee_{next(_names)}"
        rows = self._rows(connection, f"{self._preparation(connection, name)}; {self._execution(name)}", given)
        prepared[self] = name
        return rows

    def _rows(self, connection: Connection, text: str, values: Any) -> Rows:
        result = connection.exec_driver_sql(text, values)
        keys = tuple(result.keys())
        return [dict(zip(keys, row, strict=True)) for row in result.all()]

    def _execution(self, name: str) -> str:
        return f"EXECUTE {name} ({', '.join(['%s'] * len(self.declared))})" if self.declared else f"EXECUTE {name}"

    def _preparation(self, connection: Connection, name: str) -> str:
        parameters = {place: f"${number}" for number, place in enumerate(sorted(set(self.slots.values())), 1)}
        numbered = {slot: AsIs(parameters[place]) for slot, place in self.slots.items()}
        driver: Any = connection.connection.driver_connection
        with driver.cursor() as cursor:
            text: str = cursor.mogrify(self.text, dict(self.params) | numbered).decode()
        declared = f"({', '.join(self.declared)}) " if self.declared else ""
        return f"PREPARE {name} {declared}AS {text.replace('%', '%%')}"


def _in_bigint(value: int | str) -> int | str:
    """A number that is no film's is to be not found, and not to be an error."""
    return max(-LARGEST, min(value, LARGEST)) if isinstance(value, int) else value
