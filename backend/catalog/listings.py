"""TMDB's lists of films, page by page: the most-voted of all, and the curated ones.

Where a reader stands is a value, which can be kept: whoever comes later reads on from there.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from backend.catalog.tmdb import TmdbClient
from backend.catalog.tmdb_answers import total_pages

MIN_VOTES = 50
"""Films with fewer votes are left out, unless a curated list names them."""
DISCOVER = "discover"
CURATED = ("popular", "top_rated", "now_playing", "upcoming")
CURATED_PAGES = 5
"""Pages of each curated list, where nothing else is asked for: a hundred films."""

Rows = list[Any]
"""The films of a page, best first, as TMDB wrote them."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A page of a list that is to be read next, and what comes after."""

    lists: tuple[str, ...]
    """This list, and those still to be read after it."""
    pages: int
    """Pages of each curated list."""
    page: int = 1
    votes: int | None = None
    """Of the most-voted films those with at most so many votes: TMDB serves no more than 500 pages of a list."""

    @classmethod
    def first(cls, pages: int | None = None) -> Self:
        """All known films and then some curated ones; with `pages`, so many of each curated list alone."""
        return cls(lists=CURATED, pages=pages) if pages else cls(lists=(DISCOVER, *CURATED), pages=CURATED_PAGES)

    @classmethod
    def from_position(cls, position: Mapping[str, Any]) -> Self:
        """What `to_position` gave."""
        return cls(**{**position, "lists": tuple(position["lists"])})

    def to_position(self) -> dict[str, Any]:
        """In JSON's words."""
        return asdict(self)

    @property
    def name(self) -> str:
        """The list."""
        return self.lists[0]

    def next_list(self) -> Self | None:
        """The beginning of the list after this one; None where this is the last."""
        return replace(self, lists=self.lists[1:], page=1, votes=None) if len(self.lists) > 1 else None


def fetch_rows(client: TmdbClient, place: Place, *, unlike: Rows | None = None) -> tuple[Rows, Place | None]:
    """The films of a page, and the place of the next; None where that was the last. Raises TmdbError.

    A page unlike the one before: TMDB may give that twice.
    """
    if place.name == DISCOVER:
        page = client.fetch_page("/discover/movie", place.page, unlike=unlike, **_most_voted(place.votes))
        last = client.config.page_limit
    else:
        page = client.fetch_page(f"/movie/{place.name}", place.page, unlike=unlike)
        last = min(place.pages, client.config.page_limit)
    found = page.get("results")
    rows = found if isinstance(found, list) else []
    if place.page < min(last, total_pages(page)):
        return rows, replace(place, page=place.page + 1)
    return rows, _beyond_the_wall(place, rows, client.config.page_limit) or place.next_list()


def _beyond_the_wall(place: Place, rows: Rows, page_limit: int) -> Place | None:
    """The most-voted films from the least votes seen on, where TMDB serves no further page."""
    votes = _votes(rows)
    if place.name != DISCOVER or place.page < page_limit or not votes or votes[-1] == place.votes:
        return None
    return replace(place, page=1, votes=votes[-1])


def _most_voted(votes: int | None) -> dict[str, str | int]:
    wanted: dict[str, str | int] = {
        "sort_by": "vote_count.desc",
        "vote_count.gte": MIN_VOTES,
        "include_adult": "false",
    }
    return wanted if votes is None else wanted | {"vote_count.lte": votes}


def _votes(rows: Rows) -> list[int]:
    votes = [row.get("vote_count") for row in rows if isinstance(row, dict)]
    return [number for number in votes if isinstance(number, int)]
