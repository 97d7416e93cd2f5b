"""Rows of CSV, by the names of their columns."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from backend.errors import UnusableFileError
from backend.feedback.files import Part
from backend.feedback.reading import UnusableRowError

Row = dict[str, str]
Record = list[str] | None
"""Fields in order; none where a quote does not end before the longest text that a field may have."""


def columns(start: str) -> list[str]:
    """The names in a first line, in lower case; of a file that is no CSV, whatever stands there."""
    return [name.lower() for name in split((start.splitlines() or [""])[0])]


def split(line: str) -> list[str]:
    """The fields of one line; none where it is not readable."""
    try:
        return [value.strip() for value in next(csv.reader([line]), [])]
    except csv.Error:
        return []


@dataclass(frozen=True)
class Table:
    """A CSV file with its columns, in lower case."""

    part: Part
    columns: list[str]

    @classmethod
    def open(cls, part: Part, *needed: str, service: str) -> "Table":
        """Read the first line. Raises UnusableFileError where a column is not there that is needed."""
        found = columns(next(part.lines(), ""))
        if missing := [name for name in needed if name.lower() not in found]:
            raise UnusableFileError(f"{part.name} looks like {service}'s, but has no column {', '.join(missing)}.")
        return cls(part, found)

    def records(self) -> Iterator[tuple[int, Record]]:
        """What stands below the first line, and on which line it begins: a quoted field may go on over several."""
        reader = csv.reader(self.part.lines())
        line = 1
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:
                fields = None
            if line > 1 and (fields is None or any(fields)):
                yield line, fields
            line = reader.line_num + 1

    def row(self, fields: Record) -> Row:
        """A record by columns. Raises UnusableRowError where it has more or fewer."""
        if fields is None:
            raise UnusableRowError("a quote that does not end")
        if len(fields) != len(self.columns):
            raise UnusableRowError(f"{len(fields)} columns in place of {len(self.columns)}")
        return dict(zip(self.columns, (value.strip() for value in fields), strict=True))
