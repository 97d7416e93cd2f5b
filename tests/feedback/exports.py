"""Exports as the services write them, with films of a small catalogue and of none; nobody did any of this."""

import io
import json
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

FILMS: list[dict[str, Any]] = [
    {"id": 862, "imdb_id": "tt0114709", "title": "Toy Story", "release_year": 1995},
    {"id": 603, "imdb_id": "tt0133093", "title": "The Matrix", "release_year": 1999},
    {"id": 578, "imdb_id": "tt0073195", "title": "Jaws", "release_year": 1975},
    {"id": 161, "imdb_id": "tt0240772", "title": "Ocean's Eleven", "release_year": 2001},
    {
        "id": 129,
        "imdb_id": "tt0245429",
        "title": "Spirited Away",
        "original_title": "千と千尋の神隠し",
        "release_year": 2001,
    },
]

# Name, with its comma, needs quotes; a tag may have a line end in it.
WATCHED = """Date,Name,Year,Letterboxd URI
2024-01-01,Toy Story,1995,https://boxd.it/a1
2024-01-02,The Matrix,1999,https://boxd.it/a2
2024-01-03,Jaws,1975,https://boxd.it/a3
2024-01-04,"A Film, Never Made",2003,https://boxd.it/a4
"""
RATINGS = """Date,Name,Year,Letterboxd URI,Rating
2024-02-01,Toy Story,1995,https://boxd.it/a1,4.5
2024-02-02,The Matrix,1999,https://boxd.it/a2,0.5
2024-02-03,Jaws,1975,https://boxd.it/a3,6
"""
DIARY = """Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date
2024-03-01,Toy Story,1995,https://boxd.it/b1,,Yes,"with
the children",2024-02-28
2024-02-02,The Matrix,1999,https://boxd.it/b2,3,,,2024-02-02
"""
LIKES = """Date,Name,Year,Letterboxd URI
2024-02-01,Ocean’s Eleven,2001,https://boxd.it/a5
"""
WATCHLIST = """Date,Name,Year,Letterboxd URI
2024-04-01,Spirited Away,2001,https://boxd.it/a6
2024-04-02,Nameless,,https://boxd.it/a7
"""
LETTERBOXD = {
    "profile.csv": "Date Joined,Username,Given Name\n2020-01-01,someone,Some\n",
    "watched.csv": WATCHED,
    "ratings.csv": RATINGS,
    "diary.csv": DIARY,
    "reviews.csv": DIARY.replace("Tags", "Review,Tags").replace("Yes,", "Yes,Fine!,").replace(",,,", ",,,,"),
    "watchlist.csv": WATCHLIST,
    "likes/films.csv": LIKES,
    "likes/lists.csv": "Date,Name,Year,Letterboxd URI\n2024-01-01,Heat,1995,https://boxd.it/z\n",
    "deleted/watched.csv": "Date,Name,Year,Letterboxd URI\n2024-01-01,Heat,1995,https://boxd.it/z\n",
    "lists/best.csv": "Letterboxd list export v7\nDate,Name,Tags,URL,Description\n",
}

IMDB_RATINGS = """Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Year,Genres
tt0114709,9,2024-02-01,Toy Story,Toy Story,https://x/tt0114709,Movie,8.3,1995,"Animation, Comedy"
tt0133093,1,2024-02-02,The Matrix,The Matrix,https://x/tt0133093,movie,8.7,1999,Action
tt9999991,8,2024-02-03,A Series,A Series,https://x/tt9999991,TV Series,9.0,2008,Drama
tt9999992,8,2024-02-03,An Episode,An Episode,https://x/tt9999992,tvEpisode,9.0,2008,Drama
tt9999993,7,2024-02-04,Made for Television,Made for Television,https://x/tt9999993,TV Movie,6.0,2011,Drama
nm0000001,7,2024-02-04,No Film,No Film,https://x/nm0000001,Movie,6.0,2011,Drama
tt0073195,11,2024-02-05,Jaws,Jaws,https://x/tt0073195,Movie,8.1,1975,Thriller
"""
IMDB_WATCHLIST = """Position,Const,Created,Modified,Description,Title,URL,Title Type,Year,Your Rating,Date Rated
1,tt0245429,2024-04-01,2024-04-01,,Spirited Away,https://x/tt0245429,Movie,2001,,
2,tt0073195,2024-04-02,2024-04-02,,Jaws,https://x/tt0073195,Movie,1975,8,2024-05-01
"""


def movie(title: str, year: int, **ids: int | str | None) -> dict[str, Any]:
    """A film as Trakt names it."""
    return {"title": title, "year": year, "ids": {"trakt": 1, "slug": "x", **ids}}


TOY_STORY = movie("Toy Story", 1995, tmdb=862, imdb="tt0114709")
MATRIX = movie("The Matrix", 1999, tmdb=None, imdb="tt0133093")
SHOW = {"title": "A Series", "year": 2008, "ids": {"trakt": 2, "tmdb": 862}}
TRAKT: dict[str, list[Any]] = {
    "ratings-movies.json": [
        {"rated_at": "2024-02-01T10:00:00.000Z", "rating": 9, "type": "movie", "movie": TOY_STORY},
        {"rated_at": "2024-02-02T10:00:00.000Z", "rating": 0, "type": "movie", "movie": MATRIX},
    ],
    "ratings-shows.json": [{"rated_at": "2024-02-01T10:00:00.000Z", "rating": 9, "type": "show", "show": SHOW}],
    "watched-movies.json": [
        {"plays": 2, "last_watched_at": "2024-01-05T20:00:00.000Z", "movie": TOY_STORY},
        {"plays": 1, "last_watched_at": "2024-01-06T20:00:00.000Z", "movie": movie("Never Made", 2003, tmdb=4242)},
    ],
    "watched-history-1.json": [
        {"id": 1, "watched_at": "2023-01-05T20:00:00.000Z", "type": "movie", "movie": TOY_STORY},
        {"id": 2, "watched_at": "2023-01-06T20:00:00.000Z", "type": "episode", "episode": {}, "show": SHOW},
    ],
    "watched-playback.json": [{"progress": 25, "paused_at": "2024-01-06T20:00:00.000Z", "movie": TOY_STORY}],
    "lists-watchlist.json": [
        {"rank": 1, "listed_at": "2024-04-01T00:00:00.000Z", "type": "movie", "movie": MATRIX},
    ],
    "lists-favorites.json": [
        {"rank": 1, "listed_at": "2024-04-01T00:00:00.000Z", "type": "movie", "movie": movie("Jaws", 1975)},
    ],
    "lists-list-7-other.json": [
        {"rank": 1, "listed_at": "2024-04-01T00:00:00.000Z", "type": "movie", "movie": MATRIX},
    ],
    "collection-movies.json": [{"collected_at": "2024-04-01T00:00:00.000Z", "movie": MATRIX}],
    "hidden-progress-watched.json": [{"hidden_at": "2024-05-09T14:53:35.000Z", "type": "show", "show": SHOW}],
    "comments-movies.json": [],
}


def packed(files: dict[str, str] | dict[str, list[Any]], *, below: str = "") -> bytes:
    """A ZIP of texts, or of JSON."""
    content = io.BytesIO()
    with ZipFile(content, "w", ZIP_DEFLATED) as archive:
        for name, told in files.items():
            archive.writestr(below + name, told if isinstance(told, str) else json.dumps(told))
    return content.getvalue()
