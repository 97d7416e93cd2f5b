"""MovieLens: ratings.csv and links.csv, of many people; films by TMDB or IMDb id, or by title and year."""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from backend.errors import UsageError
from backend.feedback.files import Part
from backend.feedback.formats.table import columns, split
from backend.feedback.formats.values import MAX_TITLE, MAX_TMDB_ID, parse_rating
from backend.feedback.reading import Reading, UnusableRowError
from backend.feedback.records import EARLIEST, Film, NewInteraction

NAME = "MovieLens"
MANY_PEOPLE = True
RATINGS = ("userId", "movieId", "rating", "timestamp")
YEAR = re.compile(r"(?P<name>.+) \((?P<year>[0-9]{4})\)")
TITLE = re.compile(r"(?P<title>.+?)(?:, (?P<article>The|An?))?(?: \(.+\))?")
"""MovieLens writes "American President, The (1995)", and other titles in brackets after the article."""


def knows(start: str) -> bool:
    """Whether a file begins like one of MovieLens'."""
    found = set(columns(start))
    return {"userid", "movieid"} <= found or {"movieid", "imdbid", "tmdbid"} <= found


def read(parts: Sequence[Part], reading: Reading) -> Iterator[NewInteraction]:
    """The usable ratings. Raises UsageError where ratings.csv or links.csv is missing or is of another kind."""
    from_below = sorted(parts, key=lambda part: -part.name.count("/"))
    by_name = {PurePosixPath(part.name).name: part for part in from_below}
    films = _read_films(by_name)
    for number, fields in _rows(by_name, "ratings.csv", *RATINGS):
        try:
            rating = _parse_rating(fields, films)
        except UnusableRowError as error:
            reading.summary.reject("ratings.csv", number, reason=str(error))
        else:
            reading.summary.read += 1
            yield rating


def _parse_rating(fields: list[str], films: dict[str, Film]) -> NewInteraction:
    if len(fields) != 4:
        raise UnusableRowError(f"{len(fields)} columns in place of 4")
    user_id, movie_id, value, timestamp = fields
    if not re.fullmatch(r"[0-9]{1,128}", user_id):
        raise UnusableRowError(f"userId {user_id!r} is not a number")
    if movie_id not in films:
        raise UnusableRowError(f"movieId {movie_id!r} is neither in links.csv nor in movies.csv")
    return NewInteraction(user_id, "rating", parse_rating(value, best=5), _parse_time(timestamp), *films[movie_id])


def _parse_time(raw: str) -> dt.datetime:
    try:
        at = dt.datetime.fromtimestamp(int(raw), dt.UTC)
    except (ValueError, OverflowError, OSError):
        raise UnusableRowError(f"timestamp {raw!r} is not a number of seconds since 1970") from None
    if not EARLIEST <= at <= dt.datetime.now(dt.UTC):
        raise UnusableRowError(f"timestamp {raw!r} is in the future, or before 1900")
    return at


def _read_films(by_name: dict[str, Part]) -> dict[str, Film]:
    """MovieLens id -> what else the film is known by: its TMDB id; else its IMDb id; else title and year."""
    films = {}
    if "movies.csv" in by_name:
        for movie_id, title, _ in _whole_rows(by_name, "movies.csv", "movieId", "title", "genres"):
            if title and len(title) <= MAX_TITLE:
                films[movie_id] = _parse_title(title)
    for movie_id, imdb_id, tmdb_id in _whole_rows(by_name, "links.csv", "movieId", "imdbId", "tmdbId"):
        if re.fullmatch("[1-9][0-9]{0,9}", tmdb_id) and int(tmdb_id) <= MAX_TMDB_ID:
            films[movie_id] = Film(tmdb_id=int(tmdb_id))
        elif re.fullmatch("[0-9]{1,10}", imdb_id):
            films[movie_id] = Film(imdb_id=f"tt{imdb_id:0>7}")
    return films


def _parse_title(raw: str) -> Film:
    """A MovieLens title without its year and its other titles, and with its article in front."""
    dated = YEAR.fullmatch(raw)
    name = TITLE.fullmatch(dated["name"] if dated else raw)
    assert name is not None
    title = f"{name['article']} {name['title']}" if name["article"] else name["title"]
    return Film(title=title, year=int(dated["year"]) if dated else None)


def _whole_rows(by_name: dict[str, Part], name: str, *header: str) -> Iterator[list[str]]:
    """The rows that have all columns; ratings of a film whose row has not are rejected by its number."""
    return (fields for _, fields in _rows(by_name, name, *header) if len(fields) == len(header))


def _rows(by_name: dict[str, Part], name: str, *header: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields below the header; line by line, so that a stray quote spoils only its own."""
    if name not in by_name:
        raise UsageError(f"There is no file {name}: give the whole folder of {NAME}, or its ZIP")
    lines = by_name[name].lines()
    if split(next(lines, "")) != list(header):
        raise UsageError(f"{name} is not {NAME}': its first line is not {','.join(header)}")
    for number, line in enumerate(lines, start=2):
        if line.strip():
            yield number, split(line)
