"""TMDB's lists of films, page by page: the most-voted of all, and the curated ones."""

from collections.abc import Iterator
from typing import Any

from backend.catalog.tmdb import JsonObject, TmdbClient

MIN_VOTES = 50
"""Films with fewer votes are left out, unless a curated list names them."""
CURATED = ("popular", "top_rated", "now_playing", "upcoming")
CURATED_PAGES = 5
"""Pages of each curated list, where nothing else is asked for: a hundred films."""

Rows = list[Any]
"""The films of a page, best first, as TMDB wrote them."""


def listings(client: TmdbClient, *, pages: int | None = None) -> dict[str, Iterator[Rows]]:
    """The lists of a run, by name: all known films and then some curated ones; with `pages`, only the latter."""
    curated = {f"list {name}": walk(client, f"/movie/{name}", pages=pages or CURATED_PAGES) for name in CURATED}
    return curated if pages else {"list discover": discover(client), **curated}


def discover(client: TmdbClient) -> Iterator[Rows]:
    """Films with at least MIN_VOTES votes, most-voted first, each once.

    Where TMDB serves no further page, the list is asked for anew from the least votes seen on.
    """
    wanted: dict[str, str | int] = {
        "sort_by": "vote_count.desc",
        "vote_count.gte": MIN_VOTES,
        "include_adult": "false",
    }
    seen: set[Any] = set()
    goes_on = True
    while goes_on:
        known, number = len(seen), 0
        pages = walk(client, "/discover/movie", pages=client.config.page_limit, **wanted)
        for number, rows in enumerate(pages, start=1):  # noqa: B007 - the last number is what counts
            yield [row for row in rows if _identity(row) not in seen]
            seen.update(map(_identity, rows))
            if votes := _votes(rows):
                wanted["vote_count.lte"] = votes[-1]
        goes_on = number == client.config.page_limit and len(seen) > known


def walk(client: TmdbClient, path: str, *, pages: int, **parameters: str | int) -> Iterator[Rows]:
    """The pages of one list: as many as there are, `pages` and TMDB's limit at most."""
    last = min(pages, client.config.page_limit)
    number = 0
    while number < last:
        number += 1
        page = client.fetch_page(path, number, **parameters)
        last = min(last, _total_pages(page))
        rows = page.get("results")
        yield rows if isinstance(rows, list) else []


def _total_pages(page: JsonObject) -> int:
    """How many pages a list says it has; one that does not say has no more."""
    total = page.get("total_pages")
    return total if isinstance(total, int) else 0


def _identity(row: Any) -> Any:
    """The id of a row; whatever has none is as good as any other."""
    number = row.get("id") if isinstance(row, dict) else None
    return number if isinstance(number, int) else None


def _votes(rows: Rows) -> list[int]:
    votes = [row.get("vote_count") for row in rows if isinstance(row, dict)]
    return [number for number in votes if isinstance(number, int)]
