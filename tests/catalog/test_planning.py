"""What a run is to bring: the changes since the last, the export by popularity, the lists from time to time."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from backend.catalog import listings
from backend.catalog.planning import Wanted, tonight
from backend.catalog.store import Upserted
from backend.catalog.summary import LoadSummary
from backend.database import session_scope
from backend.errors import TmdbError
from tests.catalog.fetch import UNDER_WAY, change, everything, fetch, rows
from tests.tmdb_stand_in import Fault, TmdbStandIn, make_film, numbered_films

FILMS = 120
TODAY = dt.datetime.now(dt.UTC).date()
NO_TIME = dt.timedelta()
HALF_A_YEAR = dt.timedelta(days=166)


@pytest.fixture
def tmdb() -> Iterator[TmdbStandIn]:
    """A TMDB with some films: film 1 is the best-known."""
    with TmdbStandIn(numbered_films(FILMS)) as stand_in:
        yield stand_in


def days(number: int) -> dt.timedelta:
    return dt.timedelta(days=number)


def night(
    tmdb: TmdbStandIn, *, later: dt.timedelta = NO_TIME, stale_after: dt.timedelta = HALF_A_YEAR
) -> LoadSummary:
    """A nightly run, planned as of so long from now."""
    now = dt.datetime.now(dt.UTC) + later
    with session_scope() as session:
        wanted = tonight(session, now=now, stale_after=stale_after, include_adult=False)
    return fetch(tmdb, wanted)


def position(engine: Engine, source: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = rows(engine, "position", "fetch_positions").get(source)
    return found


def night_was(engine: Engine, day: dt.date) -> None:
    """The last night was then."""
    moved = "UPDATE fetch_positions SET position = jsonb_build_object('day', :day) WHERE source = 'changes'"
    change(engine, moved, day=day.isoformat())


def change_film(tmdb: TmdbStandIn, film: int, day: dt.date = TODAY) -> None:
    tmdb.change(film, day, overview=f"Told anew on {day}.")


# Changes


def test_changes_bring_what_is_here_and_only_that(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    fetch(tmdb)
    tmdb.films |= {film["id"]: film for film in numbered_films(130)[FILMS:]}
    change(own_engine, "UPDATE movies SET source = 'starter' WHERE id = 9")
    for film in (5, 7, 9, 125):
        change_film(tmdb, film)
    assert fetch(tmdb, Wanted(since=TODAY)).upserted == Upserted(changed=2)
    assert sorted(tmdb.details()) == [5, 7]
    assert rows(own_engine, "overview")[5].startswith("Told anew")


def test_a_night_after_some_changes_costs_a_request_each_and_the_pages_of_changes(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb)
    before = rows(own_engine, "ctid")
    for film in range(1, 101):
        change_film(tmdb, film)
    assert night(tmdb).upserted == Upserted(changed=100)
    assert len(tmdb.requests) == 100 + len(tmdb.asked("/movie/changes"))
    assert len(tmdb.asked("/movie/changes")) <= 2
    after = rows(own_engine, "ctid")
    assert [film for film in before if before[film] != after[film]] == list(range(1, 101))


@pytest.mark.parametrize("first", ["lists", "everything"])
def test_what_changes_between_the_first_load_and_the_first_night_is_brought(
    own_engine: Engine, tmdb: TmdbStandIn, first: str
) -> None:
    fetch(tmdb, Wanted(lists=True) if first == "lists" else everything(tmdb))
    change_film(tmdb, 5)
    assert night(tmdb).upserted == Upserted(changed=1)
    assert not tmdb.asked("/discover")


def test_after_a_gap_of_weeks_no_day_is_missed(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    fetch(tmdb)
    night_was(own_engine, TODAY - days(40))
    for ago in range(42):
        change_film(tmdb, 1 + ago, TODAY - days(ago))
    assert night(tmdb).upserted == Upserted(changed=41)
    assert sorted(tmdb.details()) == list(range(1, 42))
    assert len(tmdb.asked("/movie/changes")) == 4
    assert position(own_engine, "changes") == {"day": TODAY.isoformat()}


def test_changes_that_tmdb_does_not_tell_are_asked_for_again_and_the_rest_of_the_night_goes_on(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb)
    night_was(own_engine, TODAY - days(3))
    change(own_engine, "UPDATE movies SET fetched_at = now() - interval '170 days' WHERE id = 3")
    change_film(tmdb, 5, TODAY - days(2))
    tmdb.fail("/movie/changes", Fault(500), forever=True)
    summary = night(tmdb)
    assert (summary.failed, summary.reasons[0][:8], tmdb.details()) == (1, "changes:", [3])
    assert position(own_engine, "changes") == {"day": (TODAY - days(3)).isoformat()}
    tmdb.heal()
    assert night(tmdb).upserted == Upserted(changed=1)


def test_whoever_asked_for_everything_gets_new_films_by_their_changes_but_no_adult_ones(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb, everything(tmdb))
    tmdb.films[500] = make_film({"id": 500, "title": "New"})
    body = b'{"results": [{"id": 500}, {"id": 501, "adult": true}, {"id": 3, "adult": true}], "total_pages": 1}'
    tmdb.fail("/movie/changes", Fault(200, body=body))
    assert night(tmdb).upserted == Upserted(new=1, unchanged=1)
    assert sorted(tmdb.details()) == [3, 500]


# The export


def test_everything_comes_by_popularity_and_what_the_export_lacks_is_asked_for_last(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb)
    change(own_engine, "UPDATE movies SET fetched_at = now() - interval '8 days'")
    del tmdb.films[4]
    gone = fetch(tmdb, everything(tmdb)).gone
    assert gone == 1
    assert 4 in tmdb.details()[-UNDER_WAY:]
    assert [film for film, hidden in rows(own_engine, "hidden").items() if hidden] == [4]


def test_after_everything_was_asked_for_only_what_is_not_fresh_comes_again(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.gone = {7, 8}
    assert fetch(tmdb, everything(tmdb)).gone == 2
    fetch(tmdb, everything(tmdb))
    assert tmdb.details() == []
    change(own_engine, "UPDATE movies SET fetched_at = now() - interval '8 days' WHERE id = 3")
    fetch(tmdb, everything(tmdb))
    assert tmdb.details() == [3]


def test_without_an_export_a_run_for_everything_says_so_and_plans_nothing(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.skew = days(-60)
    with pytest.raises(TmdbError, match="There is no export of ids"):
        fetch(tmdb, everything(tmdb))
    assert rows(own_engine, "id", "fetch_queue") == {}
    assert position(own_engine, "export") is None


# Nights


def test_what_has_grown_old_is_fetched_again(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    fetch(tmdb)
    change(own_engine, "UPDATE movies SET fetched_at = now() - id * interval '10 days' + interval '1 day'")
    assert night(tmdb, stale_after=days(1000)).upserted == Upserted(unchanged=20)
    assert sorted(tmdb.details()) == list(range(101, 121))


def test_by_night_the_lists_are_read_once_a_week(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    assert night(tmdb).upserted == Upserted(new=FILMS)
    night(tmdb, later=days(6))
    assert not tmdb.asked("/discover")
    night(tmdb, later=days(8))
    assert tmdb.asked("/discover")


def test_a_list_that_failed_is_read_on_the_next_night(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.fail("/movie/upcoming", Fault(500), forever=True)
    assert night(tmdb).failed == 1
    tmdb.heal()
    night(tmdb)
    assert {request.path for request in tmdb.requests} == {"/movie/changes", "/movie/upcoming"}
    night(tmdb)
    assert {request.path for request in tmdb.requests} == {"/movie/changes"}


def test_some_pages_of_the_curated_lists_are_not_the_lists(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    fetch(tmdb, Wanted(lists=True, pages=1))
    assert night(tmdb).upserted.new == FILMS - 20


def test_the_film_that_a_list_adds_meanwhile_is_not_missed_for_ever(
    own_engine: Engine, tmdb: TmdbStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "CURATED_PAGES", 1)
    fetch(tmdb)
    tmdb.films[500] = make_film({"id": 500, "title": "New", "vote_count": 999})
    assert night(tmdb, later=days(8)).upserted.new == 1
