"""The daily export: the newest there is, whole or not at all, with whatever stands in its lines."""

import datetime as dt
import gzip
from collections import Counter
from collections.abc import Iterator

import pytest

from backend.catalog import export
from backend.catalog.export import TRIES, fetch_export
from backend.errors import TmdbError
from tests.tmdb_stand_in import Chance, Fault, TmdbStandIn, make_film, numbered_films


@pytest.fixture
def tmdb(monkeypatch: pytest.MonkeyPatch) -> Iterator[TmdbStandIn]:
    """A TMDB with some films, of which nobody waits for a further try."""
    monkeypatch.setattr(export, "WAIT", 0.001)
    with TmdbStandIn(numbered_films(300)) as stand_in:
        yield stand_in


def films(
    tmdb: TmdbStandIn, *, include_adult: bool = False, faults: Counter[str] | None = None, days: int = 0
) -> dict[int, float]:
    """What the export tells of films by id, as of so many days from now."""
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    counted = Counter() if faults is None else faults
    with fetch_export(tmdb.export_url, now=now, include_adult=include_adult, faults=counted) as found:
        return dict(found)


def test_every_film_is_told_with_its_popularity(tmdb: TmdbStandIn) -> None:
    assert films(tmdb) == {number: film["popularity"] for number, film in tmdb.films.items()}
    assert len(tmdb.requests) == 1


def test_adult_films_are_left_out_unless_they_are_wanted(tmdb: TmdbStandIn) -> None:
    tmdb.films[7]["adult"] = True
    assert set(tmdb.films) - set(films(tmdb)) == {7}
    assert 7 in films(tmdb, include_adult=True)


def test_where_the_newest_is_not_there_yet_an_earlier_one_is_taken(tmdb: TmdbStandIn) -> None:
    assert len(films(tmdb, days=2)) == 300
    assert len(tmdb.requests) > 1


def test_where_there_is_none_for_days_it_says_so(tmdb: TmdbStandIn) -> None:
    with pytest.raises(TmdbError, match="There is no export of ids at http"):
        films(tmdb, days=30)


def test_lines_of_any_kind_do_no_harm(tmdb: TmdbStandIn) -> None:
    lines = [
        '{"id": 1, "popularity": 2.5, "adult": false, "original_title": "\\ud83d"}',
        '{"id": 2}',
        '{"id": 3, "popularity": "much"}',
        '{"id": 4, "popularity": 1e300}',
        '{"id": 0, "popularity": 1}',
        '{"id": 99999999999}',
        '{"id": null}',
        "[1]",
        "no JSON",
        "",
        '{"id": 5, "popularity": 7}',
    ]
    tmdb.fail("/p/exports", Fault(200, body=gzip.compress("\n".join(lines).encode())))
    assert films(tmdb) == {1: 2.5, 2: 0.0, 3: 0.0, 4: 0.0, 5: 7.0}


WHOLE = gzip.compress(b'{"id": 1}\n' * 100)
BROKEN = [
    Fault(500),
    Fault(503),
    Fault(drops=True),
    Fault(200, body=WHOLE[:-9]),
    Fault(200, body=WHOLE[: len(WHOLE) // 2], cut=True),
    Fault(200, body=b"<html>Not found</html>"),
    Fault(200, body=b""),
    Fault(200, body=gzip.compress(b"")),
    Fault(200, body=WHOLE[:20] + b"\xff" + WHOLE[21:]),
]


@pytest.mark.parametrize("fault", BROKEN)
def test_what_does_not_come_whole_is_asked_for_again_and_counted(tmdb: TmdbStandIn, fault: Fault) -> None:
    tmdb.fail("/p/exports", fault, fault)
    faults: Counter[str] = Counter()
    assert len(films(tmdb, faults=faults)) == 300
    assert (len(tmdb.requests), faults.total()) == (3, 2)


@pytest.mark.parametrize("fault", BROKEN)
def test_of_what_never_comes_whole_nothing_is_told(tmdb: TmdbStandIn, fault: Fault) -> None:
    tmdb.fail("/p/exports", fault, forever=True)
    with pytest.raises(TmdbError, match="can't be fetched whole"):
        films(tmdb)
    assert len(tmdb.requests) == TRIES


def test_passing_trouble_of_every_kind_costs_no_film(tmdb: TmdbStandIn) -> None:
    tmdb.chance = Chance(0.5, seed=1, kinds=("reset", "truncated", "html", "burst", "limit"))
    for _ in range(5):
        tmdb.chance.share = 0.5 if len(tmdb.requests) % 3 else 0.0
        assert len(films(tmdb)) == 300


def test_nobody_there_is_said_with_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "WAIT", 0.001)
    with TmdbStandIn([make_film({"id": 1, "title": "One"})]) as gone:
        pass
    with pytest.raises(TmdbError, match=r"http://127\.0\.0\.1.*\(ConnectionError\)"):
        films(gone)
