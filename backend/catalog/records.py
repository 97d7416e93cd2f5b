"""TMDB-shaped JSON to MovieRecord: pure, and forgiving of everything but a missing id or title."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GENRES = {
    28: "Action",
    12: "Adventure",
    16: "Animation",
    35: "Comedy",
    80: "Crime",
    99: "Documentary",
    18: "Drama",
    10751: "Family",
    14: "Fantasy",
    36: "History",
    27: "Horror",
    10402: "Music",
    9648: "Mystery",
    10749: "Romance",
    878: "Science Fiction",
    10770: "TV Movie",
    53: "Thriller",
    10752: "War",
    37: "Western",
}
"""TMDB's genres of films, by id."""

GENRE_IDS = {name: number for number, name in GENRES.items()}

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
ACTORS_KEPT = 10
IMDB_ID = re.compile(r"tt[0-9]{7,10}")
FIRST_FILM = 1870
"""An earlier year is a mistake."""
MOST_VOTES = 10**9
"""`quality` reckons with integers, and so with less than the type holds."""


class UnusableRecordError(ValueError):
    """A record that can't become a film; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MovieRecord:
    """A film as it goes into the table; None and () mean unknown."""

    id: int
    title: str
    imdb_id: str | None = None
    original_title: str | None = None
    original_language: str | None = None
    overview: str | None = None
    tagline: str | None = None
    genres: list[str] = field(default_factory=list)
    keywords: list[str] = field(default_factory=list)
    directors: list[str] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)
    collection: str | None = None
    release_date: dt.date | None = None
    release_year: int | None = None
    runtime: int | None = None
    budget: int | None = None
    revenue: int | None = None
    popularity: float = 0.0
    vote_average: float = 0.0
    vote_count: int = 0
    status: str | None = None
    adult: bool = False
    poster_path: str | None = None
    backdrop_path: str | None = None


def parse_record(raw: Any) -> MovieRecord:
    """A film from TMDB's JSON, detail or list form; names may stand bare or inside objects.

    Raises UnusableRecordError where id or title is missing or unusable.
    """
    if not isinstance(raw, Mapping):
        raise UnusableRecordError("not a JSON object")
    date = _date(raw.get("release_date"))
    imdb_id = _text(raw.get("imdb_id"))
    return MovieRecord(
        id=_identifier(raw.get("id")),
        title=_title(raw),
        imdb_id=imdb_id if imdb_id and IMDB_ID.fullmatch(imdb_id) else None,
        original_title=_text(raw.get("original_title")),
        original_language=_text(raw.get("original_language")),
        overview=_text(raw.get("overview")),
        tagline=_text(raw.get("tagline")),
        genres=_genres(raw),
        keywords=_names(raw.get("keywords"), inside="keywords"),
        directors=_directors(raw),
        actors=_actors(raw),
        collection=_name(raw.get("belongs_to_collection") or raw.get("collection")),
        release_date=date,
        release_year=date.year if date else _whole(raw.get("release_year"), low=FIRST_FILM, high=9999),
        runtime=_whole(raw.get("runtime"), low=1),
        budget=_whole(raw.get("budget"), low=1, high=MAX_BIGINT),
        revenue=_whole(raw.get("revenue"), low=1, high=MAX_BIGINT),
        popularity=_number(raw.get("popularity")),
        vote_average=min(_number(raw.get("vote_average")), 10.0),
        vote_count=_whole(raw.get("vote_count"), low=0, high=MOST_VOTES) or 0,
        status=_text(raw.get("status")),
        adult=str(raw.get("adult")).lower() == "true",
        poster_path=_text(raw.get("poster_path")),
        backdrop_path=_text(raw.get("backdrop_path")),
    )


def figures(record: MovieRecord) -> MovieRecord:
    """Only what changes from day to day; the rest is unknown."""
    return MovieRecord(
        id=record.id,
        title=record.title,
        popularity=record.popularity,
        vote_average=record.vote_average,
        vote_count=record.vote_count,
    )


def _identifier(value: Any) -> int:
    number = _whole(value, low=1)
    if number is None or (isinstance(value, float) and value != number):
        raise UnusableRecordError("id is missing or not a TMDB id")
    return number


def _title(raw: Mapping[str, Any]) -> str:
    title = _text(raw.get("title")) or _text(raw.get("original_title"))
    if title is None:
        raise UnusableRecordError("title is missing")
    return title


def _text(value: Any) -> str | None:
    """Text without surrounding space; PostgreSQL can't store a NUL or a lone surrogate."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode("utf-8", "ignore").decode().strip() or None


def _whole(value: Any, *, low: int, high: int = MAX_INTEGER) -> int | None:
    """A whole number within bounds, else None: TMDB writes 0 for unknown."""
    if isinstance(value, bool):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if low <= number <= high else None


def _number(value: Any) -> float:
    """A finite number from 0 up; anything else counts as 0."""
    if isinstance(value, bool):
        return 0.0
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if 0 <= number < float("inf") else 0.0


def _date(value: Any) -> dt.date | None:
    if not isinstance(value, str):
        return None
    try:
        date = dt.date.fromisoformat(value[:10])
    except ValueError:
        return None
    return date if date.year >= FIRST_FILM else None


def _name(value: Any) -> str | None:
    return _text(value.get("name") if isinstance(value, Mapping) else value)


def _names(value: Any, *, inside: str = "") -> list[str]:
    """Distinct names, in order, from `[{"name": …}]`, `["…"]`, or either under a key."""
    if isinstance(value, Mapping):
        value = value.get(inside)
    if not isinstance(value, list):
        return []
    return list(dict.fromkeys(name for item in value if (name := _name(item))))


def _genres(raw: Mapping[str, Any]) -> list[str]:
    """Names; a list page has only `genre_ids`."""
    names = _names(raw.get("genres"))
    ids = raw.get("genre_ids")
    if names or not isinstance(ids, list):
        return names
    known = [GENRES[number] for number in ids if isinstance(number, int) and number in GENRES]
    return list(dict.fromkeys(known))


def _credits(raw: Mapping[str, Any], part: str) -> list[Any]:
    credits = raw.get("credits")
    people = credits.get(part) if isinstance(credits, Mapping) else None
    return people if isinstance(people, list) else []


def _directors(raw: Mapping[str, Any]) -> list[str]:
    crew = [p for p in _credits(raw, "crew") if isinstance(p, Mapping) and p.get("job") == "Director"]
    return _names(raw.get("directors")) or _names(crew)


def _actors(raw: Mapping[str, Any]) -> list[str]:
    return (_names(raw.get("cast")) or _names(_credits(raw, "cast")))[:ACTORS_KEPT]
