"""Films from TMDB come in: the best-known first, nothing fetched twice, what fails counted, named and kept."""

import datetime as dt
import threading
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from backend.catalog import fetching
from backend.catalog.fetching import GIVE_UP_AFTER
from backend.catalog.pipeline import load_starter_if_empty
from backend.catalog.planning import GONE_FOR, Wanted
from backend.catalog.store import Upserted
from backend.errors import TmdbError, TmdbKeyError, TmdbUnreachableError
from tests.catalog.fetch import UNDER_WAY, await_films, change, everything, fetch, rows
from tests.tmdb_stand_in import KINDS, Chance, Fault, TmdbStandIn, make_film, numbered_films

FILMS = 250


@pytest.fixture
def tmdb() -> Iterator[TmdbStandIn]:
    """A TMDB with some hundred films: film 1 is the best-known."""
    with TmdbStandIn(numbered_films(FILMS)) as stand_in:
        yield stand_in


class Interruption:
    """Ends a run after so many transactions."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


# What comes, and in which order


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


@pytest.mark.parametrize("everything_there_is", [False, True])
def test_the_best_known_come_first_and_are_there_while_others_are_being_fetched(
    own_engine: Engine, tmdb: TmdbStandIn, everything_there_is: bool
) -> None:
    there: list[int] = []

    def look() -> None:
        stored = rows(own_engine, "title")
        assert max(stored) <= len(stored) + UNDER_WAY
        there.append(len(stored))

    summary = fetch(tmdb, everything(tmdb) if everything_there_is else Wanted(lists=True), on_stored=look)
    assert there[0] <= UNDER_WAY
    assert there[-1] == FILMS
    assert str(summary) == "250 new, 0 changed, 0 unchanged, 0 failed"
    assert sorted(tmdb.details()) == sorted(tmdb.films)


def test_films_that_people_wait_for_come_before_all(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    await_films(own_engine, 240, 249)
    fetch(tmdb, everything(tmdb))
    assert {240, 249} <= set(tmdb.details()[:UNDER_WAY])
    assert len(tmdb.details()) == FILMS


def test_a_film_that_someone_begins_to_wait_for_meanwhile_is_next(
    own_engine: Engine, tmdb: TmdbStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(fetching, "READ_AHEAD", 20)
    asked: list[int] = []

    def wait_for_one() -> None:
        if not asked:
            await_films(own_engine, 250)
            asked.append(len(tmdb.details()))

    fetch(tmdb, everything(tmdb), on_stored=wait_for_one)
    assert tmdb.details().index(250) <= asked[0] + 20 + 2 * UNDER_WAY
    assert sorted(tmdb.details()) == sorted(tmdb.films)


def test_starter_facts_yield_to_tmdb_as_they_arrive(own_engine: Engine) -> None:
    load_starter_if_empty()
    change(own_engine, "UPDATE movies SET overview = 'Ours.', keywords = '{ours}' WHERE id IN (11, 13)")
    raw = {"id": 11, "title": "Star Wars", "overview": "Theirs.", "keywords": ["theirs"], "vote_count": 1}
    films = [
        make_film(raw),
        make_film({"id": 13, "title": "Forrest Gump", "vote_count": 2}) | {"overview": ""},
    ]
    runtime = rows(own_engine, "runtime")[11]
    with TmdbStandIn(films) as tmdb:
        assert fetch(tmdb, Wanted(lists=True, pages=1)).upserted == Upserted(changed=2)
    shown = rows(own_engine, "overview, keywords, runtime, vote_count, source")
    assert shown[11] == ("Theirs.", ["theirs"], runtime, 1, "tmdb")
    assert shown[13][:2] == ("Ours.", ["ours"])
    assert {row[-1] for number, row in shown.items() if number not in (11, 13)} == {"starter"}


# Nothing twice


def test_a_second_run_fetches_no_film_again_and_touches_no_row(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    fetch(tmdb)
    before = rows(own_engine, "ctid")
    assert str(fetch(tmdb)) == "0 new, 0 changed, 250 unchanged, 0 failed"
    assert tmdb.details() == []
    assert rows(own_engine, "ctid") == before


@pytest.mark.parametrize("transactions", [1, 3, 9])
@pytest.mark.parametrize("everything_there_is", [False, True])
def test_an_interrupted_run_is_taken_up_where_it_was(
    own_engine: Engine, tmdb: TmdbStandIn, transactions: int, everything_there_is: bool
) -> None:
    wanted = everything(tmdb) if everything_there_is else Wanted(lists=True)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmdb, wanted, on_stored=Interruption(transactions))
    first, stored = tmdb.details(), set(rows(own_engine, "title"))
    assert 0 < len(stored) < FILMS
    assert len(set(first) - stored) <= UNDER_WAY
    assert fetch(tmdb, wanted).upserted.new == FILMS - len(stored)
    assert sorted(tmdb.details()) == sorted(tmdb.films.keys() - stored)
    assert rows(own_engine, "id", "fetch_queue") == {}


def test_what_an_interrupted_run_left_is_brought_by_one_that_wants_something_else(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(tmdb, everything(tmdb), on_stored=Interruption(2))
    fetch(tmdb, Wanted())
    assert sorted(rows(own_engine, "title")) == sorted(tmdb.films)


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


# What does not come


def test_a_film_that_tmdb_no_longer_has_is_hidden_and_one_that_is_back_is_shown(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb)
    today = dt.datetime.now(dt.UTC).date()
    tmdb.gone = {5}
    for film in (5, 6):
        tmdb.change(film, today)
    summary = fetch(tmdb, Wanted(since=today))
    assert (summary.gone, summary.failed, str(summary)) == (
        *(1, 0),
        "0 new, 0 changed, 1 unchanged, 0 failed, 1 gone",
    )
    assert [film for film, hidden in rows(own_engine, "hidden").items() if hidden] == [5]
    tmdb.gone = set()
    fetch(tmdb, Wanted(since=today))
    assert not any(rows(own_engine, "hidden").values())
    assert rows(own_engine, "reason", "rejects") == {}


def test_where_the_only_news_is_that_a_film_is_gone_the_run_has_not_failed(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb)
    tmdb.gone = {5}
    tmdb.change(5, dt.datetime.now(dt.UTC).date())
    assert fetch(tmdb, Wanted(since=dt.datetime.now(dt.UTC).date())).gone == 1


def test_a_film_that_was_merged_into_another_is_hidden_and_the_other_comes(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    fetch(tmdb)
    tmdb.films[5] = make_film({"id": 500, "title": "Another", "vote_count": 99})
    tmdb.changed[dt.datetime.now(dt.UTC).date()] = [5]
    summary = fetch(tmdb, Wanted(since=dt.datetime.now(dt.UTC).date()))
    assert (summary.upserted.new, summary.gone) == (1, 1)
    assert [film for film, hidden in rows(own_engine, "hidden").items() if hidden] == [5]
    assert rows(own_engine, "title")[500] == "Another"


def test_a_film_of_a_file_is_not_hidden_because_tmdb_lacks_it(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    change(own_engine, "INSERT INTO movies (id, title, source) VALUES (9999, 'Ours', 'file')")
    tmdb.changed[dt.datetime.now(dt.UTC).date()] = [9999]
    assert fetch(tmdb, Wanted(since=dt.datetime.now(dt.UTC).date())).gone == 1
    assert rows(own_engine, "hidden")[9999] is False


def test_what_can_not_be_used_is_kept_with_its_reason_until_it_can(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.films[60] |= {"title": "", "original_title": ""}
    tmdb.fail("/movie/70", Fault(200, body=b'{"id": 70}'), forever=True)
    summary = fetch(tmdb)
    assert str(summary) == "248 new, 0 changed, 0 unchanged, 2 failed"
    assert rows(own_engine, "source, reason", "rejects") == {
        "film 60": ("tmdb", "title is missing"),
        "film 70": ("tmdb", "title is missing"),
    }
    assert rows(own_engine, "record", "rejects")["film 70"] == '{"id": 70}'
    assert summary.reasons == [f"film {film}: title is missing" for film in (60, 70)]
    assert fetch(tmdb).upserted == Upserted(unchanged=248)
    assert tmdb.details() == []
    tmdb.heal()
    tmdb.films[60]["title"] = "Now it has one"
    today = dt.datetime.now(dt.UTC).date()
    change(own_engine, "UPDATE rejects SET rejected_at = now() - interval '8 days'")
    assert fetch(tmdb, Wanted(lists=True, since=today)).upserted.new == 2
    assert rows(own_engine, "reason", "rejects") == {}


def test_a_film_that_tmdb_lacks_is_not_asked_for_again_though_someone_waits_for_it(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    await_films(own_engine, 999)
    assert fetch(tmdb).gone == 1
    assert fetch(tmdb).gone == 0
    assert dt.timedelta(days=30) == GONE_FOR
    change(own_engine, "UPDATE rejects SET rejected_at = now() - interval '31 days'")
    assert fetch(tmdb).gone == 1


def test_what_tmdb_fails_to_deliver_stays_for_the_next_run_and_comes_last_there(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    broken = [3, 4, 50]
    for film in broken:
        tmdb.fail(f"/movie/{film}", Fault(500), forever=True)  # and those that begin so
    summary = fetch(tmdb)
    failed = {film for film in tmdb.films if str(film).startswith(("3", "4", "50"))}
    assert summary.failed == len(failed) > GIVE_UP_AFTER
    assert rows(own_engine, "priority", "fetch_queue") == dict.fromkeys(sorted(failed), -2.0)
    assert any(reason.startswith("film 3: TMDB answered 500 to /movie/3") for reason in summary.reasons)
    tmdb.heal()
    tmdb.films |= {film["id"]: film for film in numbered_films(FILMS + 1)[FILMS:]}
    assert fetch(tmdb, everything(tmdb)).upserted.new == len(failed) + 1
    assert rows(own_engine, "id", "fetch_queue") == {}


def test_passing_trouble_of_every_kind_costs_no_film_and_is_counted(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.chance, tmdb.slow = Chance(0.2, seed=3), 0.6
    summary = fetch(tmdb, timeout=0.3, tries=9)
    assert str(summary) == "250 new, 0 changed, 0 unchanged, 0 failed"
    # Few requests are for a page that has another before it.
    assert set(tmdb.chance.dealt) >= set(KINDS) - {"duplicate"}
    assert summary.faults.total() == tmdb.chance.dealt.total()
    assert summary.faults["HTTP 429"] == tmdb.chance.dealt["limit"]
    assert summary.faults["HTTP 500"] == tmdb.chance.dealt["html"] + tmdb.chance.dealt["burst"]
    assert summary.faults["another page"] == tmdb.chance.dealt["duplicate"]


# What ends a run


def test_a_list_that_fails_is_counted_and_named_and_the_others_are_read(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.fail("/discover", Fault(500), forever=True)
    tmdb.fail("/movie/top_rated", Fault(404), forever=True)
    summary = fetch(tmdb)
    assert (summary.failed, summary.upserted.new) == (2, 100)
    assert summary.reasons[0].startswith("list discover: TMDB answered 500")
    assert summary.reasons[1].startswith("list top_rated: TMDB has no /movie/top_rated")
    tmdb.heal()
    assert fetch(tmdb).upserted.new == FILMS - 100
    assert not tmdb.asked("/movie/popular")


def test_where_every_list_fails_the_run_has_failed(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    tmdb.fail("/", Fault(500), forever=True)
    with pytest.raises(TmdbError, match=r"No film could be fetched.*answered 500"):
        fetch(tmdb)


def test_a_refused_key_ends_the_run_at_once(own_engine: Engine, tmdb: TmdbStandIn) -> None:
    with pytest.raises(TmdbKeyError):
        fetch(tmdb, key="another")
    assert len(tmdb.requests) == 1


def test_a_key_refused_on_the_way_ends_the_run_and_what_came_before_stays(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.fail("/movie/150", Fault(401), forever=True)
    summary = fetch(tmdb)
    assert isinstance(summary.ended_by, TmdbKeyError)
    stored = rows(own_engine, "title")
    assert len(stored) == summary.upserted.new >= 149 - UNDER_WAY
    assert len(set(tmdb.details()) - set(stored)) <= UNDER_WAY
    assert 150 in rows(own_engine, "reason", "fetch_queue")


def test_a_tmdb_that_goes_away_ends_the_run_and_what_came_before_stays(own_engine: Engine) -> None:
    with TmdbStandIn(numbered_films(FILMS)) as tmdb:
        ended = threading.Thread(target=tmdb.close)
        summary = fetch(tmdb, on_stored=lambda: ended.is_alive() or ended.ident or ended.start())
        ended.join()
    assert isinstance(summary.ended_by, TmdbUnreachableError)
    assert 0 < summary.upserted.new == len(rows(own_engine, "title")) < FILMS


def test_a_film_whose_answer_always_breaks_off_keeps_no_other_from_coming(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.fail("/movie/7", Fault(drops=True), forever=True)  # and 70 to 79
    summary = fetch(tmdb)
    assert (summary.upserted.new, summary.failed, summary.ended_by) == (FILMS - 11, 11, None)


def test_a_tmdb_that_only_fails_is_left_alone_after_a_while_and_the_order_stays(
    own_engine: Engine, tmdb: TmdbStandIn
) -> None:
    tmdb.fail("/movie/", Fault(503), forever=True)
    with pytest.raises(TmdbError, match="503"):
        fetch(tmdb)
    assert GIVE_UP_AFTER <= len(set(tmdb.details())) <= GIVE_UP_AFTER + 2 * UNDER_WAY
    assert min(rows(own_engine, "priority", "fetch_queue").values()) > 0
