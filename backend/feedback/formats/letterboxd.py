"""Letterboxd: the ZIP of "Export your data", or one file of it; films by title and year, ratings from 0.5 to 5."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath

from backend.errors import UnusableFileError
from backend.feedback.files import Part
from backend.feedback.formats.table import Record, Row, Table, columns
from backend.feedback.formats.values import find_year, parse_moment, parse_rating, parse_title
from backend.feedback.reading import Reading, UnusableRowError
from backend.feedback.records import Film, NewInteraction
from backend.feedback.weights import Kind

NAME = "Letterboxd"
MANY_PEOPLE = False
FILES = ("watched.csv", "diary.csv", "ratings.csv", "likes/films.csv", "watchlist.csv")
"""Those of an export that are about films, in the order they are read: of two ratings of one day the one in
ratings.csv is what the person thinks now."""
LISTS: dict[str, Kind] = {"watchlist": "watchlist", "watched": "watched", "films": "like", "likes": "like"}
"""What it means that a film is in a file whose name begins so: their columns are all the same."""


def knows(start: str) -> bool:
    """Whether a file begins like one of Letterboxd's."""
    found = set(columns(start))
    return "letterboxd uri" in found or {"date", "name", "year"} <= found


def read(parts: Sequence[Part], reading: Reading) -> Iterator[NewInteraction]:
    """What the person did, file by file."""
    for part in _wanted(parts):
        table = Table.open(part, "Date", "Name", "Year", service=NAME)
        listed_as = None if "rating" in table.columns else _meaning(part, reading)
        parse = partial(_parse, table=table, listed_as=listed_as, person=reading.person)
        yield from reading.each(part, table.records(), parse)


def _wanted(parts: Sequence[Part]) -> list[Part]:
    """One file is read whatever its name; of an export only those that are known, and none that was deleted."""
    if len(parts) == 1:
        return list(parts)
    named = {name: part for part in parts for name in FILES if _is_called(part, name)}
    return [named[name] for name in FILES if name in named]


def _is_called(part: Part, name: str) -> bool:
    path, wanted = PurePosixPath(part.name.lower()), PurePosixPath(name)
    away = {"deleted", "orphaned", "lists"} | ({"likes"} - set(wanted.parts))
    return path.parts[-len(wanted.parts) :] == wanted.parts and not away & set(path.parts)


def _meaning(part: Part, reading: Reading) -> Kind:
    stem = PurePosixPath(part.name.lower()).name
    for beginning, kind in LISTS.items():
        if stem.startswith(beginning):
            return kind
    if reading.listed_as is None:
        raise UnusableFileError(
            f"{part.name} is a list of films by Letterboxd that does not say what it lists: name the file "
            "watched.csv, watchlist.csv or films.csv (likes), or send ?kind=watched, watchlist or like along."
        )
    return reading.listed_as


def _parse(fields: Record, *, table: Table, listed_as: Kind | None, person: str) -> list[NewInteraction]:
    row = table.row(fields)
    film = _film(row)
    noted = parse_moment(row["date"])
    if listed_as is not None:
        return [NewInteraction(person, listed_as, None, noted, *film)]
    acts = []
    if row["rating"]:
        acts.append(NewInteraction(person, "rating", parse_rating(row["rating"], best=5), noted, *film))
    if row.get("watched date") or not row["rating"]:
        # Not rated says nothing of whether it was liked.
        watched = parse_moment(row.get("watched date") or row["date"])
        acts.append(NewInteraction(person, "watched", None, watched, *film))
    return acts


def _film(row: Row) -> Film:
    title, year = parse_title(row["name"]), find_year(row["year"])
    if year is None:
        raise UnusableRowError(f"year {row['year']!r}: a title alone does not tell which film it is")
    return Film(title=title, year=year)
