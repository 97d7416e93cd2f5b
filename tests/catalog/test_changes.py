"""What changed: every day asked for, in parts that TMDB answers to, however many pages it has."""

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise

import pytest

from backend.catalog.changes import fetch_changed, windows
from backend.errors import TmdbError
from tests.catalog.fetch import connect
from tests.tmdb_stand_in import CHANGES_SIZE, Chance, Fault, TmdbStandIn, numbered_films

FIRST = dt.date(2026, 1, 1)


@pytest.fixture
def tmdb() -> Iterator[TmdbStandIn]:
    """A TMDB without films, in which everything may change."""
    with TmdbStandIn(numbered_films(3)) as stand_in:
        yield stand_in


def changed(tmdb: TmdbStandIn, since: dt.date, until: dt.date, *, page_limit: int = 500) -> dict[int, bool]:
    """All that changed."""
    with connect(tmdb, page_limit=page_limit, tries=9) as client:
        return {
            film: adult for page in fetch_changed(client, since=since, until=until) for film, adult in page.items()
        }


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


@pytest.mark.parametrize("days", [0, 1, 12, 13, 14, 15, 27, 28, 100, 366])
def test_windows_have_every_day_and_none_has_more_than_fourteen(days: int) -> None:
    parts = list(windows(FIRST, day(days)))
    assert (parts[0][0], parts[-1][1]) == (FIRST, day(days))
    assert all((end - begin).days < 14 for begin, end in parts)
    # With or without its last day a window leaves no gap.
    assert all(end == begin for (_, end), (begin, _) in pairwise(parts))


def test_until_a_day_before_the_first_there_is_nothing(tmdb: TmdbStandIn) -> None:
    assert list(windows(FIRST, day(-1))) == []
    assert changed(tmdb, FIRST, day(-1)) == {}
    assert not tmdb.requests


def test_what_changed_on_any_day_of_a_long_gap_is_told(tmdb: TmdbStandIn) -> None:
    for number in range(-1, 62):
        tmdb.changed[day(number)].append(100 + number)
    assert sorted(changed(tmdb, FIRST, day(60))) == list(range(100, 161))
    assert len(tmdb.requests) == 5


def test_every_page_is_read(tmdb: TmdbStandIn) -> None:
    tmdb.changed[FIRST] = list(range(1, 2 * CHANGES_SIZE + 2))
    assert sorted(changed(tmdb, FIRST, FIRST)) == tmdb.changed[FIRST]
    assert [request.query["page"] for request in tmdb.requests] == ["1", "2", "3"]


def test_of_more_pages_than_tmdb_serves_none_is_lost(tmdb: TmdbStandIn) -> None:
    tmdb.page_limit = 3
    for number in range(14):
        tmdb.changed[day(number)] = list(range(100 * number + 1, 100 * number + 81))
    found = changed(tmdb, FIRST, day(13), page_limit=3)
    assert sorted(found) == sorted(film for films in tmdb.changed.values() for film in films)


def test_a_page_given_twice_loses_nothing(tmdb: TmdbStandIn) -> None:
    tmdb.changed[FIRST] = list(range(1, 10 * CHANGES_SIZE))
    tmdb.chance = Chance(0.3, kinds=("duplicate",))
    assert sorted(changed(tmdb, FIRST, FIRST)) == tmdb.changed[FIRST]
    assert tmdb.chance.dealt["duplicate"] > 0


def test_whether_a_film_is_adult_is_told_and_what_is_no_film_passed_over(tmdb: TmdbStandIn) -> None:
    rows = '{"id": 1, "adult": true}, {"id": 2, "adult": null}, {"id": null}, 7, {"id": 99999999999}, {"id": "x"}'
    tmdb.fail("/movie/changes", Fault(200, body=f'{{"results": [{rows}], "total_pages": 1}}'.encode()))
    assert changed(tmdb, FIRST, FIRST) == {1: True, 2: False}


def test_what_tmdb_does_not_tell_is_an_error(tmdb: TmdbStandIn) -> None:
    tmdb.fail("/movie/changes", Fault(500), forever=True)
    with pytest.raises(TmdbError, match="500"):
        changed(tmdb, FIRST, FIRST)
