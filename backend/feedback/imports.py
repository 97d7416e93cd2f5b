"""What people did elsewhere: a MovieLens folder -> interactions."""

import csv
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from backend.database import session_scope
from backend.errors import UsageError
from backend.feedback.records import EARLIEST, Film, NewInteraction, Recorded
from backend.feedback.store import record

BATCH = 20_000
REJECTS_NAMED = 20
YEAR = re.compile(r"(?P<name>.+) \((?P<year>[0-9]{4})\)")
NAME = re.compile(r"(?P<title>.+?)(?:, (?P<article>The|An?))?(?: \(.+\))?")
"""MovieLens writes "American President, The (1995)", and other titles in brackets after the article."""


class UnusableRowError(Exception):
    """A row of a file that can't become an interaction; the message says why."""


@dataclass
class ImportSummary:
    """What an import came to: `read` is the sum of stored, merged, pending and rejected."""

    read: int = 0
    stored: int = 0
    changed: int = 0
    merged: int = 0
    pending: int = 0
    pending_new: int = 0
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)
    """Why rows were rejected, of the first few."""

    def add(self, recorded: Recorded) -> None:
        """Count a batch that has been written."""
        self.stored += recorded.stored
        self.changed += recorded.changed
        self.merged += recorded.merged
        self.pending += len(recorded.pending)
        self.pending_new += recorded.pending_new

    def reject(self, number: int, reason: str) -> None:
        """Count a row that is not usable."""
        self.rejected += 1
        if len(self.reasons) < REJECTS_NAMED:
            self.reasons.append(f"line {number}: {reason}")

    def __str__(self) -> str:
        new = self.changed + self.pending_new
        return (
            f"{self.read:,} read: {self.stored:,} stored, {self.merged:,} merged, {self.pending:,} pending, "
            f"{self.rejected:,} rejected; " + (f"{new:,} new or changed" if new else "nothing to do")
        )


def import_movielens(folder: Path) -> ImportSummary:
    """The ratings of a MovieLens folder, a transaction a batch; what is not usable is counted and named.

    Raises UsageError where ratings.csv or links.csv is missing or is another kind of file.
    """
    summary = ImportSummary()
    with tqdm(desc="ratings", unit=" ratings", unit_scale=True, mininterval=0.5, disable=None) as bar:
        for batch in _batches(read_movielens(folder, summary)):
            with session_scope() as session:
                recorded = record(session, batch)
            summary.add(recorded)
            bar.update(len(batch))
    return summary


def read_movielens(folder: Path, summary: ImportSummary) -> Iterator[NewInteraction]:
    """The usable ratings of a MovieLens folder; the summary counts what was read and what is not usable.

    Raises UsageError where ratings.csv or links.csv is missing or is another kind of file.
    """
    return _usable(folder / "ratings.csv", _read_films(folder), summary)


def _batches(ratings: Iterator[NewInteraction]) -> Iterator[list[NewInteraction]]:
    """Batches that end where a person ends: ratings.csv is sorted by person, and two MovieLens ids may be one
    film, so that only what stands in one batch can be counted as merged. A file in another order is imported
    as rightly; merged rows in different batches then count as stored.
    """
    batch: list[NewInteraction] = []
    for rating in ratings:
        if len(batch) >= BATCH and rating.user_id != batch[-1].user_id:
            yield batch
            batch = []
        batch.append(rating)
    if batch:
        yield batch


def _usable(path: Path, films: dict[str, Film], summary: ImportSummary) -> Iterator[NewInteraction]:
    for number, fields in _rows(path, "userId", "movieId", "rating", "timestamp"):
        summary.read += 1
        try:
            yield _parse_rating(fields, films)
        except UnusableRowError as error:
            summary.reject(number, str(error))


def _parse_rating(fields: list[str], films: dict[str, Film]) -> NewInteraction:
    if len(fields) != 4:
        raise UnusableRowError(f"{len(fields)} columns in place of 4")
    user_id, movie_id, value, timestamp = fields
    if not re.fullmatch(r"[0-9]{1,128}", user_id):
        raise UnusableRowError(f"userId {user_id!r} is not a number")
    if movie_id not in films:
        raise UnusableRowError(f"movieId {movie_id!r} is neither in links.csv nor in movies.csv")
    return NewInteraction(user_id, "rating", _parse_value(value), _parse_time(timestamp), *films[movie_id])


def _parse_value(raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        raise UnusableRowError(f"rating {raw!r} is not a number") from None
    if not 0.5 <= value <= 5:
        raise UnusableRowError(f"rating {raw!r} is not between 0.5 and 5")
    return value


def _parse_time(raw: str) -> dt.datetime:
    try:
        at = dt.datetime.fromtimestamp(int(raw), dt.UTC)
    except (ValueError, OverflowError, OSError):
        raise UnusableRowError(f"timestamp {raw!r} is not a number of seconds since 1970") from None
    if not EARLIEST <= at <= dt.datetime.now(dt.UTC):
        raise UnusableRowError(f"timestamp {raw!r} is in the future, or before 1900")
    return at


def _read_films(folder: Path) -> dict[str, Film]:
    """MovieLens id -> what else the film is known by: its TMDB id; else its IMDb id; else title and year."""
    films = {}
    if (folder / "movies.csv").exists():
        for movie_id, title, _ in _whole_rows(folder / "movies.csv", "movieId", "title", "genres"):
            if title:
                films[movie_id] = _parse_title(title)
    for movie_id, imdb_id, tmdb_id in _whole_rows(folder / "links.csv", "movieId", "imdbId", "tmdbId"):
        if re.fullmatch("[1-9][0-9]{0,17}", tmdb_id):
            films[movie_id] = Film(tmdb_id=int(tmdb_id))
        elif re.fullmatch("[0-9]{1,12}", imdb_id):
            films[movie_id] = Film(imdb_id=f"tt{imdb_id:0>7}")
    return films


def _parse_title(raw: str) -> Film:
    """A MovieLens title without its year and its other titles, and with its article in front."""
    dated = YEAR.fullmatch(raw)
    name = NAME.fullmatch(dated["name"] if dated else raw)
    assert name is not None
    title = f"{name['article']} {name['title']}" if name["article"] else name["title"]
    return Film(title=title, year=int(dated["year"]) if dated else None)


def _whole_rows(path: Path, *header: str) -> Iterator[list[str]]:
    """The rows that have all columns; ratings of a film whose row has not are rejected by its number."""
    return (fields for _, fields in _rows(path, *header) if len(fields) == len(header))


def _rows(path: Path, *header: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields below the header; line by line, so that a stray quote spoils only its own."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            if _split(file.readline()) != list(header):
                raise UsageError(f"{path} is not MovieLens': its first line is not {','.join(header)}")
            for number, line in enumerate(file, start=2):
                if line.strip():
                    yield number, _split(line)
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error


def _split(line: str) -> list[str]:
    try:
        return [value.strip() for value in next(csv.reader([line.replace("\0", "")]), [])]
    except csv.Error:
        return []
