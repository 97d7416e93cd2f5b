"""Interactions: kept once, newest first to count, held for films to come, gone when asked."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from backend.database import session_scope
from backend.feedback import store
from backend.feedback.records import Counts, NewInteraction, Recorded
from backend.feedback.weights import Kind
from backend.models import Movie

NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
HEAT = {"id": 949, "imdb_id": "tt0113277", "title": "Heat", "release_year": 1995, "vote_count": 7000}
ALIEN = {"id": 348, "imdb_id": "tt0078748", "title": "Alien", "release_year": 1979, "vote_count": 14000}
REFERENCES: list[dict[str, Any]] = [{"tmdb_id": 949}, {"imdb_id": "tt0113277"}, {"title": "heat", "year": 1995}]


def act(kind: Kind = "rating", value: float | None = None, *, days: float = 0, **film: Any) -> NewInteraction:
    """What `ann` did `days` after noon, with a film (Heat unless told) that nothing else is known of."""
    blank = dict.fromkeys(("tmdb_id", "imdb_id", "title", "year"))
    value = 4.0 if kind == "rating" and value is None else value
    return NewInteraction(
        "ann", kind, value, NOON + dt.timedelta(days=days), **(blank | (film or {"tmdb_id": 949}))
    )


def add(session: Session, *films: dict[str, Any]) -> None:
    """Films that arrive in the catalogue."""
    session.add_all(Movie(**film) for film in films)
    session.flush()


def kept(session: Session, user_id: str = "ann") -> list[tuple[int | None, str, float | None, bool]]:
    """What is held of a person, in brief, newest first."""
    items, total = store.history(session, user_id, limit=100, offset=0)
    assert len(items) == total
    return [(item.movie_id, item.kind, item.value, item.pending) for item in items]


@contextmanager
def statements(session: Session) -> Iterator[list[str]]:
    """The statements that the session sends meanwhile."""
    seen: list[str] = []
    connection = session.connection()

    def see(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(connection, "before_cursor_execute", see)
    yield seen
    event.remove(connection, "before_cursor_execute", see)


@pytest.mark.parametrize("film", REFERENCES)
def test_a_film_is_found_by_each_of_its_names(session: Session, film: dict[str, Any]) -> None:
    add(session, HEAT)
    recorded = store.record(session, [act(**film)])
    assert (recorded.stored, recorded.changed, recorded.pending) == (1, 1, ())
    assert kept(session) == [(949, "rating", 4.0, False)]


def test_of_two_films_with_one_title_and_year_the_one_with_more_votes_is_meant(session: Session) -> None:
    add(session, HEAT | {"id": 1, "imdb_id": None, "vote_count": 3}, HEAT)
    store.record(session, [act(title="HEAT", year=1995)])
    assert kept(session) == [(949, "rating", 4.0, False)]


@pytest.mark.parametrize("film", REFERENCES)
def test_what_is_pending_counts_the_moment_its_film_arrives(session: Session, film: dict[str, Any]) -> None:
    recorded = store.record(session, [act(**film)])
    assert (recorded.stored, recorded.pending, recorded.pending_new) == (0, (0,), 1)
    assert [item[3] for item in kept(session)] == [True]
    add(session, ALIEN, HEAT)
    assert kept(session) == [(949, "rating", 4.0, False)]


def test_a_pending_film_is_shown_as_far_as_it_is_known(session: Session) -> None:
    store.record(session, [act(title="Heat", year=1995)])
    (item,), _ = store.history(session, "ann", limit=10, offset=0)
    assert (item.pending, item.movie_id, item.title, item.release_year) == (True, None, "Heat", 1995)


def test_of_several_in_one_call_the_newest_wins(session: Session) -> None:
    add(session, HEAT)
    given = [
        act(value=3.0, days=1),
        act(value=5.0, days=2),
        act(value=1.0),
        act("like"),
        act(imdb_id="tt0113277", value=2.0),
    ]
    recorded = store.record(session, given)
    assert (recorded.stored, recorded.changed, recorded.merged) == (2, 2, 3)
    assert kept(session) == [(949, "rating", 5.0, False), (949, "like", None, False)]


def test_of_two_at_the_same_instant_the_later_in_line_wins(session: Session) -> None:
    add(session, HEAT)
    assert store.record(session, [act(value=2.0), act(value=3.0)]).merged == 1
    assert kept(session) == [(949, "rating", 3.0, False)]


def test_nothing_given_is_lost_from_the_count(session: Session) -> None:
    add(session, HEAT)
    given = [act(), act(days=1), act(tmdb_id=5), act("like", tmdb_id=5), act(tmdb_id=5, days=1)]
    recorded = store.record(session, given)
    assert (recorded.stored, recorded.merged, recorded.pending) == (1, 2, (3, 4))


@pytest.mark.parametrize("arrived", [True, False])
def test_a_repeat_changes_nothing(session: Session, arrived: bool) -> None:
    if arrived:
        add(session, HEAT)
    given = [replace(act(), recommendation_id="r", position=3), act("like")]
    first, second = store.record(session, given), store.record(session, given)
    assert first.changed + first.pending_new == 2
    assert second == replace(first, changed=0, pending_new=0)


@pytest.mark.parametrize("arrived", [True, False])
def test_a_newer_act_replaces_and_an_older_never_does(session: Session, arrived: bool) -> None:
    if arrived:
        add(session, HEAT)
    for value, days in [(2.0, 5), (4.5, 6), (1.0, 0)]:
        store.record(session, [act(value=value, days=days)])
    assert kept(session) == [(949, "rating", 4.5, not arrived)]


def test_a_pending_act_that_is_older_does_not_replace_a_newer_when_its_film_arrives(session: Session) -> None:
    store.record(session, [act(value=1.0, title="Heat", year=1995), act(value=5.0, days=1)])
    add(session, HEAT)
    assert kept(session) == [(949, "rating", 5.0, False)]


def test_thousands_at_once_take_as_many_statements_as_one(session: Session) -> None:
    add(session, *({"id": number, "title": f"Film {number}"} for number in range(1, 101)))
    given = [replace(act(tmdb_id=1 + n % 100), user_id=f"p{n // 100}") for n in range(5000)]
    with statements(session) as seen:
        recorded = store.record(session, given)
    assert (recorded.stored, recorded.changed, recorded.merged) == (5000, 5000, 0)
    assert len(seen) == 2
    with statements(session) as seen:
        store.record(session, given[:1])
    assert len(seen) == 2
    with statements(session) as seen:
        store.record(session, [act(), act(tmdb_id=1)])
    assert len(seen) == 5, "film not there, lock, look again, store, store as pending"


def test_no_interactions_take_no_statement(session: Session) -> None:
    with statements(session) as seen:
        assert store.record(session, []) == Recorded()
    assert seen == []


def test_history_comes_newest_first_in_pages_that_tell_the_total(session: Session) -> None:
    add(session, HEAT | {"poster_path": "/heat.jpg"}, ALIEN)
    store.record(session, [act(), act(tmdb_id=348, days=2), act("watched", tmdb_id=77, days=1)])
    with statements(session) as seen:
        items, total = store.history(session, "ann", limit=2, offset=1)
    assert len(seen) == 1
    assert total == 3
    assert [(item.movie_id, item.title, item.at) for item in items] == [
        (77, None, NOON + dt.timedelta(days=1)),
        (949, "Heat", NOON),
    ]
    assert (items[1].poster_path, items[1].release_year, items[1].imdb_id) == ("/heat.jpg", 1995, "tt0113277")
    assert store.history(session, "ann", limit=2, offset=9) == ([], 3)
    assert store.history(session, "nobody", limit=2, offset=0) == ([], 0)


def test_one_film_can_be_undone_whole_or_by_kind(session: Session) -> None:
    add(session, HEAT, ALIEN)
    store.record(session, [act(), act("like"), act("watched"), act(tmdb_id=348), act(tmdb_id=77)])
    assert store.remove(session, "ann", 949, kind="like") == 1
    assert store.remove(session, "ann", 949, kind="like") == 0
    assert store.remove(session, "ann", 949) == 2
    assert store.remove(session, "ann", 77) == 1
    assert store.remove(session, "nobody", 348) == 0
    assert kept(session) == [(348, "rating", 4.0, False)]


def test_an_export_holds_everything(session: Session) -> None:
    add(session, HEAT)
    store.record(session, [act(days=1), act("click", title="Unknown", year=2001)])
    with statements(session) as seen:
        export = store.export(session, "ann")
    assert len(seen) == 1
    assert export is not None
    assert export.user_id == "ann"
    assert export.created_at is not None
    assert [(item.title, item.kind, item.pending) for item in export.interactions] == [
        ("Unknown", "click", True),
        ("Heat", "rating", False),
    ]
    assert store.export(session, "nobody") is None


def test_someone_who_undid_everything_is_still_exported(session: Session) -> None:
    store.record(session, [act()])
    store.remove(session, "ann", 949)
    export = store.export(session, "ann")
    assert export is not None
    assert export.interactions == []


def test_an_erased_person_leaves_no_row_in_any_table(session: Session) -> None:
    add(session, HEAT)
    given = [act(), act("like"), act(tmdb_id=77)]
    store.record(session, given + [replace(item, user_id="bob") for item in given])
    ann = session.scalar(text("SELECT id FROM users WHERE external_id = 'ann'"))
    assert store.erase(session, "ann") == 4
    left = rows_of(session, ann)
    # That a number, which names nobody any more, is gone: what the file cache has to learn.
    assert left.pop("people_changes") > 0
    assert left == {"users": 0, "interactions": 0, "pending_interactions": 0}
    assert store.export(session, "ann") is None
    assert len(kept(session, "bob")) == 3
    assert store.erase(session, "ann") == 0


def rows_of(session: Session, user_id: Any) -> dict[str, int]:
    """How many rows each table that knows people holds of one."""
    tables = session.execute(
        text("""
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema()
            AND (column_name = 'user_id' OR table_name = 'users' AND column_name = 'id')
        """)
    ).all()
    return {
        table: session.scalar(text(f"SELECT count(*) FROM {table} WHERE {column} = :id"), {"id": user_id})  # noqa: S608
        for table, column in tables
    }


def test_the_counts_come_in_one_statement(session: Session) -> None:
    before = store.counts(session)
    add(session, HEAT)
    store.record(session, [act(), act("like"), act(tmdb_id=77)])
    with statements(session) as seen:
        after = store.counts(session)
    assert len(seen) == 1
    assert after == Counts(before.interactions + 2, before.people + 1, before.pending + 1)


def record_apart(interactions: Sequence[NewInteraction]) -> Recorded:
    """Record in a transaction of its own."""
    with session_scope() as session:
        return store.record(session, interactions)


def add_apart(*films: dict[str, Any]) -> None:
    """Let films arrive in a transaction of its own."""
    with session_scope() as session:
        add(session, *films)


def meanwhile(engine: Engine, hold: Session, act_: Callable[..., Any], *arguments: Any) -> Any:
    """Let another transaction run into what `hold` has not committed, commit that, and give the other's result."""
    with ThreadPoolExecutor(1) as pool:
        future: Future[Any] = pool.submit(act_, *arguments)
        wait_until_blocked(engine)
        hold.commit()
        return future.result(timeout=20)


def wait_until_blocked(engine: Engine) -> None:
    """Return when some transaction of this database waits for another."""
    deadline = time.monotonic() + 20
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        blocked = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        while not connection.scalar(blocked):
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.005)


@pytest.mark.parametrize("known", [True, False], ids=["known person", "new person"])
def test_two_writers_of_the_same_row_wait_for_each_other_and_the_newest_wins(
    own_engine: Engine, known: bool
) -> None:
    add_apart(HEAT)
    if known:
        record_apart([act("click")])
    with Session(own_engine) as first:
        store.record(first, [act(value=5.0, days=1)])
        recorded = meanwhile(own_engine, first, record_apart, [act(value=1.0)])
    assert (recorded.stored, recorded.changed) == (1, 0)
    with session_scope() as session:
        assert kept(session)[0] == (949, "rating", 5.0, False)


def test_two_writers_of_many_rows_in_opposite_order_both_get_through(own_engine: Engine) -> None:
    add_apart(*({"id": number, "title": f"Film {number}"} for number in range(1, 201)))
    given = [replace(act(tmdb_id=n), user_id=f"p{n % 40}") for n in range(1, 301)]
    with ThreadPoolExecutor(4) as pool:
        orders = [given, given[::-1], given[150:] + given[:150], sorted(given, key=lambda item: item.user_id)]
        recorded = list(pool.map(record_apart, orders * 5))
    assert {(one.stored, len(one.pending)) for one in recorded} == {(200, 100)}
    assert sum(one.changed for one in recorded) == 200
    assert sum(one.pending_new for one in recorded) == 100


@pytest.mark.parametrize("film", REFERENCES)
def test_an_act_that_comes_while_its_film_is_arriving_is_not_lost(
    own_engine: Engine, film: dict[str, Any]
) -> None:
    with Session(own_engine) as arriving:
        add(arriving, HEAT)
        recorded = meanwhile(own_engine, arriving, record_apart, [act(**film)])
    assert (recorded.stored, recorded.pending) == (1, ())
    with session_scope() as session:
        assert kept(session) == [(949, "rating", 4.0, False)]


@pytest.mark.parametrize("film", REFERENCES)
def test_a_film_that_arrives_while_an_act_is_written_finds_it(own_engine: Engine, film: dict[str, Any]) -> None:
    with Session(own_engine) as writing:
        assert store.record(writing, [act(**film)]).pending == (0,)
        meanwhile(own_engine, writing, add_apart, HEAT)
    with session_scope() as session:
        assert kept(session) == [(949, "rating", 4.0, False)]


@pytest.mark.parametrize(
    "forget", [lambda session: store.remove(session, "ann", 949), lambda s: store.erase(s, "ann")]
)
def test_what_is_undone_while_its_film_is_arriving_stays_undone(
    own_engine: Engine, forget: Callable[[Session], int]
) -> None:
    def forget_apart() -> int:
        with session_scope() as session:
            return forget(session)

    record_apart([act()])
    with Session(own_engine) as arriving:
        add(arriving, HEAT)
        assert meanwhile(own_engine, arriving, forget_apart) >= 1
    with session_scope() as session:
        assert kept(session) == []


def test_an_act_that_comes_while_its_person_is_erased_goes_with_the_person(own_engine: Engine) -> None:
    add_apart(HEAT)
    record_apart([act("click")])
    with Session(own_engine) as erasing:
        store.erase(erasing, "ann")
        meanwhile(own_engine, erasing, record_apart, [act()])
    with session_scope() as session:
        assert store.counts(session) == Counts(0, 0, 0)
