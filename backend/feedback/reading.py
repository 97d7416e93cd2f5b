"""An import under way: whose it is, its bounds, and what has come of it so far."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from backend.feedback.files import Bounds, Part
from backend.feedback.records import Film, NewInteraction, Recorded
from backend.feedback.weights import Kind

Row = TypeVar("Row")

NAMED = 20
"""Rejected rows, and films that are not here, that a summary names."""


class UnusableRowError(Exception):
    """A row of a file that can't become an interaction; the message says why."""


class LeftAloneError(Exception):
    """A row that is in order and about no film; the message says what it is about."""


@dataclass(frozen=True)
class Reject:
    """A row that is not usable, and why."""

    file: str
    line: int
    reason: str


@dataclass
class ImportSummary:
    """What an import came to: `read` is the sum of stored, merged, pending, rejected and what was left alone.

    A row that says two things (watched, and rated) is read twice.
    """

    format: str = ""
    read: int = 0
    stored: int = 0
    changed: int = 0
    merged: int = 0
    pending: int = 0
    pending_new: int = 0
    rejected: int = 0
    left_alone: Counter[str] = field(default_factory=Counter)
    pending_films: dict[Film, None] = field(default_factory=dict)
    """The first few, in order."""
    rejects: list[Reject] = field(default_factory=list)
    """The first few."""

    def add(self, recorded: Recorded, batch: list[NewInteraction]) -> None:
        """Count a batch that has been written."""
        self.stored += recorded.stored
        self.changed += recorded.changed
        self.merged += recorded.merged
        self.pending += len(recorded.pending)
        self.pending_new += recorded.pending_new
        for index in recorded.pending:
            if len(self.pending_films) == NAMED:
                break
            self.pending_films[batch[index].film] = None

    def reject(self, file: str, line: int, *, reason: str) -> None:
        """Count a row that is not usable."""
        self.read += 1
        self.rejected += 1
        if len(self.rejects) < NAMED:
            self.rejects.append(Reject(file, line, reason))

    def leave(self, reason: str) -> None:
        """Count a row that is about no film."""
        self.read += 1
        self.left_alone[reason] += 1

    @property
    def reasons(self) -> list[str]:
        """Why rows were rejected, of the first few."""
        return [f"{reject.file}, line {reject.line}: {reject.reason}" for reject in self.rejects]

    def __str__(self) -> str:
        new = self.changed + self.pending_new
        left = ", ".join(f"{number:,} {reason}" for reason, number in self.left_alone.most_common())
        return (
            f"{self.read:,} read: {self.stored:,} stored, {self.merged:,} merged, {self.pending:,} pending, "
            f"{self.rejected:,} rejected" + (f", left alone: {left}" if left else "") + "; "
            f"{f'{new:,} new or changed' if new else 'nothing to do'}"
        )


@dataclass
class Reading:
    """What a reader of a format is given, beside the files."""

    person: str
    bounds: Bounds
    listed_as: Kind | None = None
    """What it means that a film is on a list that does not say so itself."""
    summary: ImportSummary = field(default_factory=ImportSummary)

    def each(
        self, part: Part, rows: Iterable[tuple[int, Row]], parse: Callable[[Row], list[NewInteraction]]
    ) -> Iterator[NewInteraction]:
        """What numbered rows say; those that say nothing usable are counted."""
        for number, row in rows:
            self.bounds.count_row()
            try:
                acts = parse(row)
            except UnusableRowError as error:
                self.summary.reject(part.name, number, reason=str(error))
            except LeftAloneError as error:
                self.summary.leave(str(error))
            else:
                self.summary.read += len(acts)
                yield from acts
