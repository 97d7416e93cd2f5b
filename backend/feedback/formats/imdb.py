"""IMDb: the exports of ratings, of the watchlist and of other lists; films by IMDb id, ratings from 1 to 10."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from functools import partial

from backend.feedback.files import Part
from backend.feedback.formats.table import Record, Row, Table, columns
from backend.feedback.formats.values import IMDB_ID, find_title, find_year, parse_moment, parse_rating
from backend.feedback.reading import LeftAloneError, Reading, UnusableRowError
from backend.feedback.records import Film, NewInteraction
from backend.feedback.weights import Kind

NAME = "IMDb"
MANY_PEOPLE = False
FILMS = {"movie", "tvmovie", "short", "video", "featurefilm", "film"}
"""Types of title, without gaps and capitals: once `tvMovie`, now `TV Movie`; in some languages `Film`."""


def knows(start: str) -> bool:
    """Whether a file begins like one of IMDb's."""
    found = set(columns(start))
    return "const" in found or {"your rating", "date rated"} <= found


def read(parts: Sequence[Part], reading: Reading) -> Iterator[NewInteraction]:
    """What the person did, file by file."""
    for part in parts:
        table = Table.open(part, "Const", service=NAME)
        is_list = bool({"position", "created"} & set(table.columns))
        if not is_list:
            table = Table.open(part, "Const", "Your Rating", "Date Rated", service=NAME)
        listed_as = (reading.listed_as or "watchlist") if is_list else None
        parse = partial(_parse, table=table, listed_as=listed_as, person=reading.person)
        yield from reading.each(part, table.records(), parse)


def _parse(fields: Record, *, table: Table, listed_as: Kind | None, person: str) -> list[NewInteraction]:
    row = table.row(fields)
    kind = row.get("title type", "")
    if kind and re.sub(r"[\W_]", "", kind.lower()) not in FILMS:
        raise LeftAloneError(kind[:40])
    film = _film(row)
    acts = []
    if listed_as is not None:
        acts.append(NewInteraction(person, listed_as, None, _moment(row, "created", "modified"), *film))
    if row.get("your rating"):
        value = parse_rating(row["your rating"], best=10)
        acts.append(NewInteraction(person, "rating", value, _moment(row, "date rated", "created"), *film))
    if not acts:
        raise UnusableRowError("no rating")
    return acts


def _film(row: Row) -> Film:
    if not IMDB_ID.fullmatch(row["const"]):
        raise UnusableRowError(f"Const {row['const'][:40]!r} is no IMDb id")
    return Film(imdb_id=row["const"], title=find_title(row.get("title")), year=find_year(row.get("year", "")))


def _moment(row: Row, *names: str) -> dt.datetime:
    return parse_moment(next((row[name] for name in names if row.get(name)), ""))
