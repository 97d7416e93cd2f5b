"""The lists: the most-voted first, each once, past the wall of pages, whatever a server takes no notice of."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from backend.catalog.listings import CURATED, CURATED_PAGES, Rows, discover, listings, walk
from backend.catalog.tmdb import TmdbClient, TmdbConfig
from tests.tmdb_stand_in import KEY, Film, TmdbStandIn, make_film, numbered_films


@contextmanager
def tmdb_of(films: list[Film], *, page_limit: int = 500) -> Iterator[tuple[TmdbStandIn, TmdbClient]]:
    """A TMDB that serves so many pages of a list, and a client that knows it."""
    with TmdbStandIn(films, page_limit=page_limit) as stand_in:
        config = TmdbConfig(key=KEY, base_url=stand_in.url, rate=1000, page_limit=page_limit)
        with TmdbClient(config) as client:
            yield stand_in, client


def ids(pages: Iterator[Rows]) -> list[int]:
    """The films of all pages."""
    return [row["id"] for rows in pages for row in rows]


def film(number: int, **fields: Any) -> Film:
    """A film with enough votes."""
    return make_film({"id": number, "title": f"Film {number}", "vote_count": 100} | fields)


def test_the_most_voted_come_first_and_the_little_known_and_adult_ones_not_at_all() -> None:
    films = [film(1), film(2, vote_count=900), film(3, vote_count=49), film(4, adult=True), film(5, vote_count=50)]
    with tmdb_of(films) as (_, client):
        assert ids(discover(client)) == [2, 1, 5]


@pytest.mark.parametrize("alike", [1, 7, 40])
def test_beyond_the_last_page_it_goes_on_by_votes_and_brings_each_film_once(alike: int) -> None:
    films = [film(number, vote_count=50 + number // alike) for number in range(1, 301)]
    with tmdb_of(films, page_limit=3) as (stand_in, client):
        found = ids(discover(client))
    votes = [stand_in.films[number]["vote_count"] for number in found]
    assert sorted(found) == sorted(stand_in.films)
    assert votes == sorted(votes, reverse=True)
    assert max(int(request.query["page"]) for request in stand_in.requests) == 3


@pytest.mark.parametrize("ignored", [{"vote_count.lte"}, {"vote_count.lte", "vote_count.gte", "sort_by"}])
def test_a_server_that_takes_no_notice_of_parameters_is_not_asked_for_ever(ignored: set[str]) -> None:
    with tmdb_of(numbered_films(300), page_limit=3) as (stand_in, client):
        stand_in.ignored = ignored
        assert len(ids(discover(client))) == 60
    assert len(stand_in.requests) == 6


def test_a_list_ends_where_it_says_so() -> None:
    with tmdb_of(numbered_films(50)) as (stand_in, client):
        assert len(ids(walk(client, "/movie/popular", pages=10))) == 50
    assert len(stand_in.requests) == 3


def test_with_pages_only_the_curated_lists_are_read_so_far() -> None:
    with tmdb_of(numbered_films(200)) as (stand_in, client):
        found = {name: ids(pages) for name, pages in listings(client, pages=2).items()}
    assert list(found) == [f"list {name}" for name in CURATED]
    assert {len(films) for films in found.values()} == {40}
    assert not stand_in.asked("/discover")


def test_by_default_all_known_films_come_before_some_curated_ones() -> None:
    with tmdb_of(numbered_films(200)) as (_, client):
        found = {name: ids(pages) for name, pages in listings(client).items()}
    assert list(found) == ["list discover", *(f"list {name}" for name in CURATED)]
    assert [len(films) for films in found.values()] == [200, *[CURATED_PAGES * 20] * 4]


def test_an_answer_of_another_shape_is_an_empty_list() -> None:
    with tmdb_of([]) as (stand_in, client):
        assert ids(discover(client)) == []
        assert len(stand_in.requests) == 1
