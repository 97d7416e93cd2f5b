"""Films from TMDB come in: the best-known first, nothing fetched twice, what fails counted and named."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from backend.catalog.arrivals import GIVE_UP_AFTER
from backend.catalog.pipeline import FETCH_BATCH, fetch_catalogue, load_starter_if_empty
from backend.catalog.store import Upserted
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbClient, TmdbConfig
from backend.errors import TmdbError, TmdbKeyError, TmdbUnreachableError
from tests.tmdb_stand_in import KEY, Fault, TmdbStandIn, make_film, numbered_films

FILMS = 250


@pytest.fixture
def tmdb() -> Iterator[TmdbStandIn]:
    """A TMDB with some hundred films: film 1 is the best-known."""
    with TmdbStandIn(numbered_films(FILMS)) as stand_in:
        yield stand_in


def fetch(tmdb: TmdbStandIn, *, key: str = KEY, **options: Any) -> LoadSummary:
    """A run of its own, that forgets what was asked for before."""
    tmdb.requests.clear()
    config = TmdbConfig(key=key, base_url=tmdb.url, rate=1000, backoff=0.001, tries=2)
    with TmdbClient(config) as client:
        return fetch_catalogue(client, **options)


def rows(engine: Engine, columns: str) -> dict[int, Any]:
    """Columns of every film."""
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT id, {columns} FROM movies ORDER BY id"))  # noqa: S608
        return {row[0]: tuple(row[1:]) if len(row) > 2 else row[1] for row in found}


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_films_come_in_with_their_details(own_engine: Engine) -> None:
    raw = {"id": 862, "title": "Toy Story", "overview": "Toys.", "vote_count": 900, "genres": ["Animation"]}
    facts = {"directors": ["John Lasseter"], "cast": ["Tom Hanks"], "keywords": ["toy"], "imdb_id": "tt0114709"}
    with TmdbStandIn([make_film(raw | facts)]) as tmdb:
        assert fetch(tmdb).upserted == Upserted(new=1)
    columns = "title, overview, genres, directors, actors, keywords, imdb_id, source, fetched_at IS NOT NULL"
    assert rows(own_engine, columns) == {
        862: (
            *("Toy Story", "Toys.", ["Animation"], ["John Lasseter"], ["Tom Hanks"], ["toy"]),
            *("tt0114709", "tmdb", True),
        )
    }


def test_the_best_known_are_there_after_the_first_batch_while_others_are_being_fetched(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    there: list[list[int]] = []

    def look() -> None:
        there.append(list(rows(own_engine, "title")))
        eventually(lambda: len(tmdb.details()) > (200 if len(there) == 1 else 0))

    summary = fetch(tmdb, on_batch=look)
    assert there == [list(range(1, last + 1)) for last in (FETCH_BATCH, 2 * FETCH_BATCH, FILMS)]
    assert str(summary) == "250 new, 0 changed, 0 unchanged, 0 failed"
    assert sorted(tmdb.details()) == sorted(tmdb.films)


def test_a_second_run_fetches_no_film_again_and_touches_no_row(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    fetch(tmdb)
    before = rows(own_engine, "ctid")
    assert str(fetch(tmdb)) == "0 new, 0 changed, 250 unchanged, 0 failed"
    assert tmdb.details() == []
    assert rows(own_engine, "ctid") == before


def test_an_interrupted_run_is_taken_up_where_it_was(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(tmdb, on_batch=interrupt)
    assert list(rows(own_engine, "title")) == list(range(1, FETCH_BATCH + 1))
    assert str(fetch(tmdb)) == "150 new, 0 changed, 100 unchanged, 0 failed"
    assert sorted(tmdb.details()) == list(range(FETCH_BATCH + 1, FILMS + 1))


def test_new_votes_of_a_fresh_film_are_taken_from_the_list(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    fetch(tmdb)
    before = rows(own_engine, "fetched_at, genres, overview")
    tmdb.films[7] |= {"vote_count": 5000, "vote_average": 8.5, "popularity": 77.0, "genre_ids": [], "overview": ""}
    assert str(fetch(tmdb)) == "0 new, 1 changed, 249 unchanged, 0 failed"
    assert tmdb.details() == []
    assert rows(own_engine, "vote_count, vote_average, popularity")[7] == (5000, 8.5, 77.0)
    assert rows(own_engine, "fetched_at, genres, overview") == before


def test_after_a_week_details_are_fetched_again_and_the_same_ones_count_as_unchanged(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb)
    change(own_engine, "UPDATE movies SET fetched_at = now() - interval '8 days' WHERE id <= 10")
    tmdb.films[3]["overview"] = "Another overview."
    before = rows(own_engine, "updated_at, ctid")
    assert str(fetch(tmdb)) == "0 new, 1 changed, 249 unchanged, 0 failed"
    assert sorted(tmdb.details()) == list(range(1, 11))
    after = rows(own_engine, "updated_at, ctid")
    assert [number for number in after if after[number][0] != before[number][0]] == [3]
    assert [number for number in after if after[number] != before[number]] == list(range(1, 11))
    fresh = rows(own_engine, "fetched_at > now() - interval '1 day'")
    assert all(fresh.values())
    assert fetch(tmdb).upserted == Upserted(unchanged=FILMS)
    assert tmdb.details() == []


def test_starter_facts_yield_to_tmdb_as_they_arrive(own_engine: Engine) -> None:
    load_starter_if_empty()
    change(own_engine, "UPDATE movies SET overview = 'Ours.', keywords = '{ours}' WHERE id IN (11, 13)")
    films = [
        make_film(
            {"id": 11, "title": "Star Wars", "overview": "Theirs.", "keywords": ["theirs"], "vote_count": 1}
        ),
        make_film({"id": 13, "title": "Forrest Gump", "vote_count": 2}) | {"overview": ""},
    ]
    runtime = rows(own_engine, "runtime")[11]
    with TmdbStandIn(films) as tmdb:
        assert fetch(tmdb, pages=1).upserted == Upserted(changed=2)
    shown = rows(own_engine, "overview, keywords, runtime, vote_count, source")
    assert shown[11] == ("Theirs.", ["theirs"], runtime, 1, "tmdb")
    assert shown[13][:2] == ("Ours.", ["ours"])
    assert {row[-1] for number, row in shown.items() if number not in (11, 13)} == {"starter"}


def test_films_that_fail_are_counted_and_named_and_the_others_come(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.fail("/movie/3", Fault(404), forever=True)  # and 30 to 39
    tmdb.fail("/movie/50", Fault(500), forever=True)
    tmdb.films[60] |= {"title": "", "original_title": ""}
    tmdb.fail("/movie/70", Fault(200, body=b'{"id": 70}'), forever=True)
    summary = fetch(tmdb)
    assert str(summary) == "236 new, 0 changed, 0 unchanged, 14 failed"
    reasons = "\n".join(summary.reasons)
    assert "film 3 (Film 3): TMDB has no /movie/3" in reasons
    assert "film 50 (Film 50): TMDB answered 500 to /movie/50" in reasons
    assert "list discover: title is missing" in reasons
    assert "film 70 (Film 70): title is missing" in reasons
    tmdb.heal()
    assert fetch(tmdb).upserted.new == 13


def test_a_list_that_fails_is_counted_and_named_and_the_others_are_read(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.fail("/discover", Fault(500), forever=True)
    tmdb.fail("/movie/top_rated", Fault(404), forever=True)
    summary = fetch(tmdb)
    assert (summary.failed, summary.upserted.new) == (2, 100)
    assert summary.reasons[0].startswith("list discover: TMDB answered 500")
    assert summary.reasons[1].startswith("list top_rated: TMDB has no /movie/top_rated")


def test_where_every_list_fails_the_run_has_failed(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.fail("/", Fault(500), forever=True)
    with pytest.raises(TmdbError, match=r"No film could be fetched.*answered 500"):
        fetch(tmdb)


def test_passing_trouble_costs_no_film(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    cut = Fault(200, body=b"{", cut=True)
    for number, fault in enumerate([Fault(429), Fault(500), Fault(drops=True), cut], start=1):
        tmdb.fail(f"/movie/{number}1", fault)
        tmdb.fail("/discover", fault, Fault(503)) if number == 1 else None
    config = TmdbConfig(key=KEY, base_url=tmdb.url, rate=1000, backoff=0.001)
    with TmdbClient(config) as client:
        assert str(fetch_catalogue(client)) == "250 new, 0 changed, 0 unchanged, 0 failed"


def test_a_refused_key_ends_the_run_at_once(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    with pytest.raises(TmdbKeyError):
        fetch(tmdb, key="another")
    assert len(tmdb.requests) == 1


def test_a_key_refused_on_the_way_ends_the_run_and_what_came_before_stays(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.fail("/movie/150", Fault(401), forever=True)
    assert isinstance(fetch(tmdb).ended_by, TmdbKeyError)
    assert list(rows(own_engine, "title")) == list(range(1, FETCH_BATCH + 1))


def test_a_tmdb_that_is_gone_ends_the_run_at_once(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.fail("/movie/1", Fault(drops=True), forever=True)
    with pytest.raises(TmdbUnreachableError):
        fetch(tmdb)


def test_a_tmdb_that_only_fails_is_left_alone_after_a_while(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.fail("/movie/", Fault(503), forever=True)
    with pytest.raises(TmdbError, match="503"):
        fetch(tmdb)
    assert len(set(tmdb.details())) < FILMS
    assert GIVE_UP_AFTER < FILMS
