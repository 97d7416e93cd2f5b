"""The SQL over what is to be fetched: the order of the queue, what comes into it and what does not."""

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from backend.catalog.queue_store import (
    FIRST,
    LAST,
    RECORD_BYTES,
    Queued,
    count_queued,
    enqueue,
    enqueue_export,
    enqueue_known,
    enqueue_pending,
    enqueue_stale,
    find_awaited,
    find_next,
    find_position,
    find_rejected,
    find_rejects,
    hide,
    hide_stale,
    move_position,
    postpone,
    reject,
    settle,
    stage_export,
)

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def put(session: Session, film: int, *, source: str = "tmdb", days_ago: float | None = 0, **fields: Any) -> None:
    """A film that was fetched so long ago, or never."""
    fetched = None if days_ago is None else NOW - days_ago * DAY
    values = {"id": film, "title": "A film", "source": source, "fetched_at": fetched} | fields
    names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
    session.execute(text(f"INSERT INTO movies ({names}) VALUES ({marks})"), values)  # noqa: S608


def queue(session: Session) -> dict[int, tuple[str, float]]:
    """What is to be fetched, in order."""
    rows = session.execute(text("SELECT id, reason, priority FROM fetch_queue ORDER BY priority DESC, id"))
    return {row.id: (row.reason, row.priority) for row in rows}


def read(session: Session, *, limit: int) -> list[int]:
    """The whole queue, so many films at a time."""
    found: list[int] = []
    last: Queued | None = None
    while films := find_next(session, after=last, limit=limit):
        found += [film.id for film in films]
        last = films[-1]
    return found


# The queue


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_it_is_read_by_priority_whatever_the_numbers_and_however_many_are_alike(
    session: Session, limit: int
) -> None:
    # Of these no one but 0.5 is a number that `real` holds exactly.
    priorities = [0.1, 12.345, 0.1, 33_333.334, 0.5, 0.1, 1e-7, 12.345, FIRST, -1.0, 12.345, 0.6, FIRST, LAST]
    enqueue(session, dict(enumerate(priorities, start=1)), "export")
    expected = sorted(range(1, 15), key=lambda film: (-priorities[film - 1], film))
    assert read(session, limit=limit) == expected


def test_a_film_is_in_it_once_with_the_greatest_priority_and_its_reason(session: Session) -> None:
    enqueue(session, {1: 5.0, 2: 5.0}, "list")
    enqueue(session, {1: 7.0, 2: 3.0}, "export")
    assert queue(session) == {1: ("export", 7.0), 2: ("list", 5.0)}
    before = session.scalar(text("SELECT ctid::text FROM fetch_queue WHERE id = 1"))
    assert enqueue(session, {1: 7.0}, "export") == 0
    assert session.scalar(text("SELECT ctid::text FROM fetch_queue WHERE id = 1")) == before


def test_what_has_been_dealt_with_leaves_it_and_what_was_usable_is_no_reject(session: Session) -> None:
    enqueue(session, {1: 1.0, 2: 1.0, 3: 1.0}, "list")
    for film in (1, 2):
        reject(session, "tmdb", f"film {film}", "title is missing", "{}")
    settle(session, [1, 2], usable=[1])
    assert list(queue(session)) == [3]
    assert [row.name for row in find_rejects(session, limit=9)] == ["film 2"]
    assert count_queued(session) == 1


def test_what_was_not_delivered_comes_last(session: Session) -> None:
    enqueue(session, {1: 9.0, 2: 1.0}, "list")
    enqueue(session, {3: -1.0}, "gone")
    postpone(session, [1])
    assert read(session, limit=9) == [2, 3, 1]


# What comes into it


def await_film(session: Session, film: int | None, imdb_id: str | None = None) -> None:
    session.execute(text("INSERT INTO users (external_id) VALUES ('1') ON CONFLICT DO NOTHING"))
    insert = """
        INSERT INTO pending_interactions (user_id, tmdb_id, imdb_id, kind)
        SELECT id, :film, :imdb_id, kind FROM users, unnest(ARRAY['like', 'watched']) AS kind
    """
    session.execute(text(insert), {"film": film, "imdb_id": imdb_id})


def test_films_that_people_wait_for_come_first_and_those_that_tmdb_lacks_rest(session: Session) -> None:
    enqueue(session, {1: 9.0, 2: 8.0}, "list")
    for film in (2, 7, 8):
        await_film(session, film)
    await_film(session, None, "tt0000001")
    reject(session, "tmdb", "film 7", "gone", "")
    enqueue_pending(session, again_after=DAY)
    assert [film.id for film in find_awaited(session)] == [2, 8]
    assert read(session, limit=9) == [2, 8, 1]
    assert queue(session)[2] == ("pending", FIRST)
    session.execute(text("UPDATE rejects SET rejected_at = now() - interval '2 days'"))
    enqueue_pending(session, again_after=DAY)
    assert [film.id for film in find_awaited(session)] == [2, 7, 8]


def test_of_what_changed_the_known_films_come_the_best_known_first(session: Session) -> None:
    put(session, 1, vote_count=5)
    put(session, 2, vote_count=50)
    put(session, 3, source="starter", days_ago=None)
    put(session, 4, source="file", days_ago=None)
    put(session, 5, hidden=True)
    enqueue_known(session, [1, 2, 3, 4, 5, 6], "change")
    assert read(session, limit=9) == [2, 1, 4, 5]


def test_what_has_grown_old_comes_the_oldest_first_and_after_all_that_is_new(session: Session) -> None:
    for film, days in ((1, 170), (2, 200), (3, 5000), (4, 170.01)):
        put(session, film, days_ago=days)
    put(session, 5, days_ago=300, hidden=True)
    put(session, 6, days_ago=300, source="starter")
    put(session, 7, days_ago=10)
    enqueue_stale(session, fetched_before=NOW - 166 * DAY)
    enqueue(session, {8: 0.01}, "export")
    assert read(session, limit=9) == [8, 3, 2, 4, 1]


def test_of_an_export_comes_what_is_not_fresh_by_popularity_and_last_what_it_does_not_have(
    session: Session,
) -> None:
    put(session, 1, days_ago=1)
    put(session, 2, days_ago=9)
    put(session, 3, days_ago=None, source="starter")
    put(session, 4, days_ago=9)  # not in the export
    put(session, 5, days_ago=1)  # neither, and fresh
    put(session, 6, days_ago=9, hidden=True)  # neither, and known to be gone
    put(session, 7, days_ago=None, source="file")  # neither, and not TMDB's
    reject(session, "tmdb", "film 9", "gone", "")
    session.execute(text("UPDATE rejects SET rejected_at = :at"), {"at": NOW})
    rows = [(1, 99.0), (2, 3.0), (3, 5.5), (8, 0.25), (8, 0.75), (9, 50.0), (10, 1.0)]
    assert stage_export(session, iter(rows)) == 7
    enqueue_export(session, fetched_before=NOW - 7 * DAY)
    assert queue(session) == {
        3: ("export", 5.5),
        2: ("export", 3.0),
        10: ("export", 1.0),
        8: ("export", 0.75),
        4: ("gone", -1.0),
    }


def test_an_export_is_staged_in_a_process_that_keeps_to_budgets_and_however_long_it_is(session: Session) -> None:
    assert stage_export(session, ((film, film / 7) for film in range(1, 50_001))) == 50_000
    enqueue_export(session, fetched_before=NOW)
    assert count_queued(session) == 50_000


# Positions, rejects, what is hidden


def test_a_position_is_kept_and_moved(session: Session) -> None:
    assert find_position(session, "lists") is None
    move_position(session, "lists", {"page": 1})
    move_position(session, "changes", {"day": "2026-06-01"})
    move_position(session, "lists", {"page": 2, "votes": None})
    assert find_position(session, "lists") == {"page": 2, "votes": None}


def test_what_was_rejected_is_kept_with_its_newest_reason_and_record(session: Session) -> None:
    reject(session, "tmdb", "film 1", "id is missing", "{}")
    reject(session, "tmdb", "film 1", "title is missing", '{"id": 1, "overview": "\0\ud83d' + "ä" * RECORD_BYTES)
    reject(session, "films.jsonl", "line 7", "not a JSON object", None)
    first, second = sorted(find_rejects(session, limit=9), key=lambda row: row.source)
    assert (first.source, first.name, first.record) == ("films.jsonl", "line 7", None)
    assert (second.name, second.reason) == ("film 1", "title is missing")
    assert second.record.startswith('{"id": 1, "overview": "?ä')
    assert len(find_rejects(session, limit=1)) == 1


def test_whether_something_was_rejected_lately_can_be_asked(session: Session) -> None:
    reject(session, "tmdb", "film 1", "gone", "")
    reject(session, "a file", "film 2", "gone", "")
    now = dt.datetime.now(dt.UTC)
    assert find_rejected(session, "tmdb", ["film 1", "film 2"], since=now - DAY) == {"film 1"}
    assert find_rejected(session, "tmdb", ["film 1"], since=now + DAY) == set()


def hidden(session: Session) -> list[int]:
    return list(session.scalars(text("SELECT id FROM movies WHERE hidden ORDER BY id")))


def test_only_what_came_from_tmdb_is_hidden(session: Session) -> None:
    for film, source in enumerate(("tmdb", "starter", "file"), start=1):
        put(session, film, source=source)
    assert hide(session, [1, 2, 3, 4]) == 1
    assert hide(session, [1]) == hide(session, []) == 0
    assert hidden(session) == [1]


def test_what_may_not_be_shown_any_longer_is_hidden(session: Session) -> None:
    for film, (days, source) in enumerate(
        [(181, "tmdb"), (179, "tmdb"), (500, "starter"), (None, "tmdb")], start=1
    ):
        put(session, film, days_ago=days, source=source)
    assert hide_stale(session, fetched_before=NOW - 180 * DAY) == 1
    assert hidden(session) == [1]
