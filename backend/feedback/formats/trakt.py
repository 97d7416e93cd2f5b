"""Trakt: the JSON files of its export, in a ZIP or one by one; films by TMDB or IMDb id, ratings from 1 to 10."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import orjson

from backend.errors import UnusableFileError
from backend.feedback.files import Part
from backend.feedback.formats.values import (
    IMDB_ID,
    MAX_TMDB_ID,
    find_title,
    find_year,
    parse_moment,
    parse_rating,
)
from backend.feedback.reading import LeftAloneError, Reading, UnusableRowError
from backend.feedback.records import Film, NewInteraction
from backend.feedback.weights import Kind

NAME = "Trakt"
MANY_PEOPLE = False
ROWS = re.compile(r'\s*\[\s*(\{.*"(movie|show|episode|season)"\s*:|\])', re.DOTALL)
FILES = re.compile(r"(lists-)?(ratings|watched|history|watchlist|favorites)\b(?!-(shows|seasons|episodes)).*")
"""Those of an export that are about films rated, watched or listed: not what was hidden, collected or said, and
nothing that is about series alone, which may be large."""
OTHERS = ("episode", "season", "show", "person", "list")
"""What else a row may be about; one about an episode names its show too."""
MOMENTS: dict[str, Kind] = {"rated_at": "rating", "watched_at": "watched", "last_watched_at": "watched"}


def knows(start: str) -> bool:
    """Whether a file begins like one of Trakt's."""
    return ROWS.match(start) is not None


def read(parts: Sequence[Part], reading: Reading) -> Iterator[NewInteraction]:
    """What the person did, file by file."""
    for part in parts:
        if len(parts) == 1 or FILES.fullmatch(PurePosixPath(part.name.lower()).name):
            parse = partial(_parse, listed_as=_meaning(part, reading), person=reading.person)
            yield from reading.each(part, enumerate(_rows(part), start=1), parse)


def _meaning(part: Part, reading: Reading) -> Kind:
    liked = "favorites" in PurePosixPath(part.name.lower()).name
    return "like" if liked else reading.listed_as or "watchlist"


def _rows(part: Part) -> list[Any]:
    try:
        rows = orjson.loads(part.content())
    except orjson.JSONDecodeError as error:
        raise UnusableFileError(f"{part.name} looks like {NAME}'s, but is no JSON: {error}") from None
    if not isinstance(rows, list):
        raise UnusableFileError(f"{part.name} looks like {NAME}'s, but is no list.")
    return rows


def _parse(row: Any, *, listed_as: Kind, person: str) -> list[NewInteraction]:
    if not isinstance(row, dict):
        raise UnusableRowError("not an object")
    about = next((name for name in OTHERS if name in row), None)
    if about is not None and "movie" not in row:
        raise LeftAloneError(about)
    film = _film(row.get("movie"))
    for name, kind in (MOMENTS | {"listed_at": listed_as}).items():
        if row.get(name):
            value = parse_rating(row.get("rating"), best=10) if kind == "rating" else None
            return [NewInteraction(person, kind, value, parse_moment(row[name]), *film)]
    raise LeftAloneError("neither rated, watched nor listed")


def _film(movie: Any) -> Film:
    if not isinstance(movie, dict):
        raise UnusableRowError("no film")
    ids = movie.get("ids")
    if not isinstance(ids, dict):
        ids = {}
    tmdb_id, imdb_id = ids.get("tmdb"), str(ids.get("imdb"))
    film = Film(
        tmdb_id=tmdb_id if type(tmdb_id) is int and 1 <= tmdb_id <= MAX_TMDB_ID else None,
        imdb_id=imdb_id if IMDB_ID.fullmatch(imdb_id) else None,
        title=find_title(movie.get("title")),
        year=find_year(movie.get("year")),
    )
    if film.tmdb_id is None and film.imdb_id is None and (film.title is None or film.year is None):
        raise UnusableRowError("neither an id nor a title with its year")
    return film
