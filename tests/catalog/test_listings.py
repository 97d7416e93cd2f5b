"""The lists: the most-voted first, each once, past the wall of pages, whatever a server takes no notice of."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from backend.catalog.listings import CURATED, CURATED_PAGES, DISCOVER, Place, fetch_rows
from backend.catalog.tmdb import TmdbClient
from backend.errors import TmdbError
from tests.catalog.fetch import connect
from tests.tmdb_stand_in import Chance, Fault, Film, TmdbStandIn, make_film, numbered_films

MOST_VOTED = Place(lists=(DISCOVER,), pages=CURATED_PAGES)


@contextmanager
def tmdb_of(films: list[Film], *, page_limit: int = 500) -> Iterator[tuple[TmdbStandIn, TmdbClient]]:
    """A TMDB that serves so many pages of a list, and a client that knows it."""
    with TmdbStandIn(films, page_limit=page_limit) as stand_in, connect(stand_in, page_limit=page_limit) as client:
        yield stand_in, client


def walk(client: TmdbClient, place: Place | None) -> Iterator[tuple[str, int]]:
    """The films from a place on, each with its list."""
    rows: list[Any] = []
    while place:
        name = place.name
        rows, place = fetch_rows(client, place, unlike=rows)
        yield from ((name, row["id"]) for row in rows)


def ids(client: TmdbClient, place: Place = MOST_VOTED) -> list[int]:
    """The films from a place on."""
    return [film for _, film in walk(client, place)]


def film(number: int, **fields: Any) -> Film:
    """A film with enough votes."""
    return make_film({"id": number, "title": f"Film {number}", "vote_count": 100} | fields)


def test_the_most_voted_come_first_and_the_little_known_and_adult_ones_not_at_all() -> None:
    films = [film(1), film(2, vote_count=900), film(3, vote_count=49), film(4, adult=True), film(5, vote_count=50)]
    with tmdb_of(films) as (_, client):
        assert ids(client) == [2, 1, 5]


@pytest.mark.parametrize("alike", [1, 7, 40])
def test_beyond_the_last_page_it_goes_on_by_votes_and_brings_each_film(alike: int) -> None:
    films = [film(number, vote_count=50 + number // alike) for number in range(1, 301)]
    with tmdb_of(films, page_limit=3) as (stand_in, client):
        found = list(dict.fromkeys(ids(client)))
    votes = [stand_in.films[number]["vote_count"] for number in found]
    assert sorted(found) == sorted(stand_in.films)
    assert votes == sorted(votes, reverse=True)
    assert max(int(request.query["page"]) for request in stand_in.requests) == 3


@pytest.mark.parametrize("ignored", [{"vote_count.lte"}, {"vote_count.lte", "vote_count.gte", "sort_by"}])
def test_a_server_that_takes_no_notice_of_parameters_is_not_asked_for_ever(ignored: set[str]) -> None:
    with tmdb_of(numbered_films(300), page_limit=3) as (stand_in, client):
        stand_in.ignored = ignored
        assert len(set(ids(client))) == 60
    assert len(stand_in.requests) == 6


def test_a_server_that_gives_one_page_again_and_again_is_not_asked_for_ever() -> None:
    with tmdb_of(numbered_films(300)) as (stand_in, client):
        stand_in.ignored = {"page"}
        with pytest.raises(TmdbError, match="another page"):
            ids(client)


@pytest.mark.parametrize("told", [True, False])
def test_a_page_that_is_given_twice_is_asked_for_again(told: bool) -> None:
    with tmdb_of(numbered_films(100)) as (stand_in, client):
        if told:
            stand_in.chance = Chance(0.3, kinds=("duplicate",))
        else:
            page = client.fetch_page("/discover/movie", 1, sort_by="vote_count.desc")
            again = json.dumps(page | {"page": 2}).encode()
            rows, place = fetch_rows(client, MOST_VOTED)
            assert place is not None
            stand_in.fail("/discover", Fault(200, body=again))
            rows, _ = fetch_rows(client, place, unlike=rows)
            assert [row["id"] for row in rows] == list(range(21, 41))
        assert ids(client) == list(range(1, 101))
        assert client.faults["another page"] > 0


def test_a_list_ends_where_it_says_so() -> None:
    with tmdb_of(numbered_films(50)) as (stand_in, client):
        assert len(ids(client, Place(lists=("popular",), pages=10))) == 50
    assert len(stand_in.requests) == 3


def test_with_pages_only_the_curated_lists_are_read_so_far() -> None:
    with tmdb_of(numbered_films(200)) as (stand_in, client):
        found = [name for name, _ in walk(client, Place.first(2))]
    assert list(dict.fromkeys(found)) == list(CURATED)
    assert [found.count(name) for name in CURATED] == [40] * 4
    assert not stand_in.asked("/discover")


def test_by_default_all_known_films_come_before_some_curated_ones() -> None:
    with tmdb_of(numbered_films(200)) as (_, client):
        found = [name for name, _ in walk(client, Place.first())]
    assert list(dict.fromkeys(found)) == [DISCOVER, *CURATED]
    assert [found.count(name) for name in (DISCOVER, *CURATED)] == [200, *[CURATED_PAGES * 20] * 4]


def test_whoever_stood_at_a_place_reads_on_from_there() -> None:
    with tmdb_of(numbered_films(200), page_limit=3) as (_, client):
        whole, place, read = list(walk(client, Place.first())), Place.first(), 0
        for _ in range(14):
            rows, following = fetch_rows(client, place)
            assert following is not None
            place, read = Place.from_position(following.to_position()), read + len(rows)
            assert list(walk(client, place)) == whole[read:]


def test_an_answer_of_another_shape_is_an_empty_list() -> None:
    with tmdb_of([]) as (stand_in, client):
        stand_in.fail("/discover", Fault(200, body=b'{"results": 7}'))
        assert ids(client) == []
        assert len(stand_in.requests) == 1
