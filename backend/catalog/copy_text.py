"""Films as COPY's text form has them: a line a film, a tab between columns."""

from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any

from backend.catalog.records import MovieRecord

COLUMNS = tuple(field.name for field in fields(MovieRecord))
"""What a record fills, in the order of a line."""

_values = attrgetter(*COLUMNS)


def copy_text(records: Iterable[MovieRecord]) -> str:
    """The lines of films."""
    return "".join(["\t".join([_column(value) for value in _values(record)]) + "\n" for record in records])


def _column(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return _escaped(value)
    return _escaped(_array(value)) if isinstance(value, list) else str(value)


def _escaped(value: str) -> str:
    # The backslash first, for the others bring some in.
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _array(names: list[str]) -> str:
    """PostgreSQL's literal of a text array; in quotes nothing but a quote and a backslash means anything."""
    quoted = ['"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names]
    return "{" + ",".join(quoted) + "}"
