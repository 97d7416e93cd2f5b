"""What TMDB says has changed: films by day, in windows of two weeks at most."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from backend.catalog.tmdb import TmdbClient
from backend.catalog.tmdb_answers import JsonObject, total_pages
from backend.catalog.values import MAX_INTEGER

DAY = dt.timedelta(days=1)
WINDOW = 14 * DAY
"""TMDB tells no more at a time."""


def fetch_changed(client: TmdbClient, *, since: dt.date, until: dt.date) -> Iterator[dict[int, bool]]:
    """The films that changed on these days, both included, a page at a time: by id, whether it is adult.

    Raises TmdbError.
    """
    for begin, end in windows(since, until):
        yield from _fetch_window(client, begin, end)


def windows(since: dt.date, until: dt.date) -> Iterator[tuple[dt.date, dt.date]]:
    """The days from one to another, parted so that TMDB answers for each part.

    Each part begins with the last day of the one before: nothing is missed, whether TMDB counts that day or not.
    """
    begin = since
    while begin <= until:
        end = min(begin + WINDOW - DAY, until)
        yield begin, end
        if end == until:
            return
        begin = end


def _fetch_window(client: TmdbClient, begin: dt.date, end: dt.date) -> Iterator[dict[int, bool]]:
    """The films of a window; of its halves, where it has more pages than TMDB serves."""
    page = _fetch_page(client, begin, end, 1)
    last = total_pages(page)
    if last >= client.config.page_limit and end - begin > DAY:
        middle = begin + (end - begin) // 2
        yield from _fetch_window(client, begin, middle)
        yield from _fetch_window(client, middle, end)
        return
    yield _films(page)
    for number in range(2, min(last, client.config.page_limit) + 1):
        page = _fetch_page(client, begin, end, number, unlike=page.get("results"))
        yield _films(page)


def _fetch_page(
    client: TmdbClient, begin: dt.date, end: dt.date, number: int, *, unlike: Any = None
) -> JsonObject:
    days = {"start_date": begin.isoformat(), "end_date": end.isoformat()}
    return client.fetch_page("/movie/changes", number, unlike=unlike, **days)


def _films(page: JsonObject) -> dict[int, bool]:
    rows = page.get("results")
    films = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    found = {film.get("id"): bool(film.get("adult")) for film in films}
    return {id: adult for id, adult in found.items() if isinstance(id, int) and 1 <= id <= MAX_INTEGER}
