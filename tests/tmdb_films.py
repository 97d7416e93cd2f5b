"""The films of the stand-in for TMDB: what it knows of each, and how its lists and details show them."""

from collections.abc import Callable, Iterator
from typing import Any

from backend.catalog.records import GENRE_IDS, parse_record
from backend.catalog.sources import read_starter

Film = dict[str, Any]
Query = dict[str, str]

LISTED = (
    *("id", "title", "original_title", "original_language", "overview", "genre_ids", "release_date"),
    *("popularity", "vote_average", "vote_count", "adult", "video", "poster_path", "backdrop_path"),
)
"""What a film shows in a list."""
APPENDED = frozenset({"credits", "keywords", "translations"})
"""What a film's details have only where it is asked for."""


def listed(film: Film) -> Film:
    """A film as a list shows it."""
    return {name: film[name] for name in LISTED}


def exported(film: Film) -> Film:
    """A film as the daily export of ids shows it."""
    return {name: film[name] for name in ("adult", "id", "original_title", "popularity", "video")}


def detail(film: Film, query: Query) -> Film:
    """A film's details, with the parts that were asked for, in the language that was asked for.

    Where it has no overview in that language there is none, and the title is the original one.
    """
    left_out = APPENDED - set(query.get("append_to_response", "").split(",")) | {"genre_ids"}
    shown = {name: value for name, value in film.items() if name not in left_out}
    language = query.get("language", "en").partition("-")[0]
    if language != "en":
        there = {one["iso_639_1"]: one["data"] for one in film["translations"]["translations"]}
        words = there.get(language, {})
        shown["title"] = words.get("title") or film["original_title"]
        shown["overview"] = words.get("overview", "")
    return shown


def discovered(films: list[Film], query: Query) -> list[Film]:
    """The films that a query of /discover/movie names, sorted as it says."""
    least, most = int(query.get("vote_count.gte", 0)), int(query.get("vote_count.lte", 10**9))
    adult = query.get("include_adult") == "true"
    found = [film for film in films if least <= film["vote_count"] <= most and (adult or not film["adult"])]
    what, _, direction = query.get("sort_by", "popularity.desc").rpartition(".")
    return sorted(found, key=lambda film: (film[what], film["id"]), reverse=direction == "desc")


def _sorted_by(*names: str) -> Callable[[list[Film]], list[Film]]:
    return lambda films: sorted(films, key=lambda film: tuple(film[name] for name in names), reverse=True)


CURATED: dict[str, Callable[[list[Film]], list[Film]]] = {
    "popular": _sorted_by("popularity", "id"),
    "top_rated": _sorted_by("vote_average", "id"),
    "now_playing": _sorted_by("release_date", "popularity", "id"),
    "upcoming": _sorted_by("release_date", "popularity", "id"),
}


def make_film(raw: Film) -> Film:
    """A film as TMDB knows it, from TMDB-shaped facts; an overview is made up where there is none."""
    record = parse_record(raw)
    date = record.release_date.isoformat() if record.release_date else ""
    return {
        "adult": record.adult,
        "backdrop_path": record.backdrop_path,
        "belongs_to_collection": {"name": record.collection} if record.collection else None,
        "budget": record.budget or 0,
        "credits": {
            "cast": [{"name": name, "order": order} for order, name in enumerate(record.actors)],
            "crew": [{"name": name, "job": "Director"} for name in record.directors],
        },
        "genre_ids": [GENRE_IDS[name] for name in record.genres if name in GENRE_IDS],
        "genres": [{"id": GENRE_IDS.get(name, 0), "name": name} for name in record.genres],
        "id": record.id,
        "imdb_id": record.imdb_id,
        "keywords": {"keywords": [{"id": len(word), "name": word} for word in record.keywords]},
        "original_language": record.original_language or "en",
        "original_title": record.original_title or record.title,
        "overview": record.overview or made_up_overview(record.title, record.genres, record.actors),
        "popularity": record.popularity,
        "poster_path": record.poster_path,
        "release_date": date,
        "revenue": record.revenue or 0,
        "runtime": record.runtime or 0,
        "status": record.status or "Released",
        "tagline": record.tagline or "",
        "title": record.title,
        "translations": raw.get("translations") or {"translations": []},
        "video": False,
        "vote_average": record.vote_average,
        "vote_count": record.vote_count,
    }


def made_up_overview(title: str, genres: list[str], actors: list[str]) -> str:
    """Some words about a film."""
    kind = " and ".join(genres[:2]).lower() or "unusual"
    who = " and ".join(actors[:2]) or "strangers"
    return f"{title} is a {kind} story of {who}, told by the stand-in, in which nothing ends as it began."


def starter_films() -> Iterator[Film]:
    """The films of the starter catalogue, as TMDB would have them."""
    return (make_film(raw | {"overview": None, "keywords": None}) for _, raw in read_starter())


def numbered_films(total: int) -> list[Film]:
    """Film 1, the best-known, to film `total`, each with a vote less, the last with 50, alike in all lists."""
    votes = range(49 + total, 49, -1)
    figures = ({"vote_count": n, "popularity": n / 10, "vote_average": 5 + n / 1e6} for n in votes)
    return [
        make_film({"id": number, "title": f"Film {number}", "genres": ["Drama"]} | known)
        for number, known in enumerate(figures, start=1)
    ]
