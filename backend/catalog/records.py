"""TMDB-shaped JSON to MovieRecord: pure, and forgiving of everything but a missing id or title."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.catalog.values import FIRST_FILM, LAST_FILM, MAX_BIGINT, date, flag, line, number, prose, whole

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

ACTORS_KEPT = 10
IMDB_ID = re.compile(r"tt[0-9]{7,10}")
MOST_VOTES = 10**9
"""`quality` reckons with integers, and so with less than the type holds."""
MOST_POPULAR = 10**6
"""More is a mistake: TMDB's numbers end at some thousands."""


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
    original_overview: str | None = None
    """In the film's own language."""


def parse_record(raw: Any) -> MovieRecord:
    """A film from TMDB's JSON, detail or list form; names may stand bare or inside objects.

    Where there is no overview in the language that was asked for, the one in the film's own stands in.
    Raises UnusableRecordError where id or title is missing or unusable.
    """
    if not isinstance(raw, Mapping):
        raise UnusableRecordError("not a JSON object")
    released = _release_date(raw)
    imdb_id = line(raw.get("imdb_id"))
    language = line(raw.get("original_language"))
    original_overview = prose(raw.get("original_overview")) or _overview_in(raw, language)
    return MovieRecord(
        id=_identifier(raw.get("id")),
        title=_title(raw),
        imdb_id=imdb_id if imdb_id and IMDB_ID.fullmatch(imdb_id) else None,
        original_title=line(raw.get("original_title")),
        original_language=language,
        overview=prose(raw.get("overview")) or original_overview or _overview_in(raw, "en"),
        tagline=prose(raw.get("tagline")),
        genres=_genres(raw),
        keywords=_names(raw.get("keywords"), inside="keywords"),
        directors=_directors(raw),
        actors=_actors(raw),
        collection=_name(raw.get("belongs_to_collection") or raw.get("collection")),
        release_date=released,
        release_year=released.year if released else whole(raw.get("release_year"), low=FIRST_FILM, high=LAST_FILM),
        runtime=whole(raw.get("runtime"), low=1),
        budget=whole(raw.get("budget"), low=1, high=MAX_BIGINT),
        revenue=whole(raw.get("revenue"), low=1, high=MAX_BIGINT),
        popularity=number(raw.get("popularity"), high=MOST_POPULAR),
        vote_average=min(number(raw.get("vote_average")), 10.0),
        vote_count=whole(raw.get("vote_count"), low=0, high=MOST_VOTES) or 0,
        status=line(raw.get("status")),
        adult=flag(raw.get("adult")),
        poster_path=line(raw.get("poster_path")),
        backdrop_path=line(raw.get("backdrop_path")),
        original_overview=original_overview,
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
    found = whole(value, low=1)
    if found is None or (isinstance(value, float) and value != found):
        raise UnusableRecordError("id is missing or not a TMDB id")
    return found


def _title(raw: Mapping[str, Any]) -> str:
    title = line(raw.get("title")) or line(raw.get("original_title"))
    if title is None:
        raise UnusableRecordError("title is missing")
    return title


def _release_date(raw: Mapping[str, Any]) -> dt.date | None:
    """The date of release, else the first of those in single countries."""
    return date(raw.get("release_date")) or min(_dates_of_countries(raw), default=None)


def _dates_of_countries(raw: Mapping[str, Any]) -> Iterator[dt.date]:
    for country in _objects(raw.get("release_dates"), "results"):
        for release in _objects(country, "release_dates"):
            if day := date(release.get("release_date")):
                yield day


def _overview_in(raw: Mapping[str, Any], language: str | None) -> str | None:
    """A film's overview in a language, where translations came along."""
    for translation in _objects(raw.get("translations"), "translations"):
        data = translation.get("data") if translation.get("iso_639_1") == language else None
        if isinstance(data, Mapping) and (overview := prose(data.get("overview"))):
            return overview
    return None


def _objects(value: Any, inside: str) -> list[Mapping[str, Any]]:
    """The objects of the list that stands under a key."""
    found = value.get(inside) if isinstance(value, Mapping) else None
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _name(value: Any) -> str | None:
    return line(value.get("name") if isinstance(value, Mapping) else value)


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
    known = [GENRES[id] for id in ids if isinstance(id, int) and id in GENRES]
    return list(dict.fromkeys(known))


def _directors(raw: Mapping[str, Any]) -> list[str]:
    crew = [person for person in _objects(raw.get("credits"), "crew") if person.get("job") == "Director"]
    return _names(raw.get("directors")) or _names(crew)


def _actors(raw: Mapping[str, Any]) -> list[str]:
    return (_names(raw.get("cast")) or _names(raw.get("credits"), inside="cast"))[:ACTORS_KEPT]
