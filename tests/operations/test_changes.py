"""Changes reach whoever listens, at once; who can't listen knows that."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from backend.database import CONNECT_ARGS, pulse, session_scope
from backend.operations import changes
from backend.operations.changes import follow_changes
from tests.test_embedded_postgres import eventually


class Heard:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.changes = 0
        self.trusted = 0
        self.trusts = False
        self.changed = threading.Event()

    def clear(self) -> None:
        self.changes += 1

    def trust(self, moment: float) -> None:
        self.trusted += 1
        self.trusts = True

    def distrust(self) -> None:
        self.trusts = False


@pytest.fixture
def heard(own_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """Someone who listens to a database of its own."""
    monkeypatch.setattr(changes, "get_engine", lambda: own_engine)
    monkeypatch.setattr(changes, "RETRY_SECONDS", 0.01)
    heard, stop = Heard(), threading.Event()
    thread = threading.Thread(target=follow_changes, args=(heard, heard.changed, stop))
    thread.start()
    eventually(lambda: heard.trusts, "nobody listens")
    yield heard
    stop.set()
    thread.join(10)
    assert not heard.trusts


def settled(heard: Heard) -> int:
    """How many changes it heard of, once all that was committed has been told."""
    for _ in range(2):
        before = heard.trusted
        eventually(lambda now=before: heard.trusted > now, "the server is not asked any more")  # type: ignore[misc]
    return heard.changes


def change(*statements: str) -> None:
    with session_scope() as session:
        for statement in statements:
            session.execute(text(statement))


def end_the_listener() -> None:
    change(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE query LIKE 'SELECT FROM movies, %' AND datname = current_database() AND pid <> pg_backend_pid()"
    )


FILM = "INSERT INTO movies (id, title) VALUES (1, 'One'), (2, 'Two')"

CHANGES = {
    "new films": [FILM],
    "a film": ["UPDATE movies SET title = 'Uno' WHERE id = 1"],
    "an embedding": ["UPDATE movies SET embedding = array_fill(1, ARRAY[384])::vector WHERE id = 2"],
    "films that go": ["DELETE FROM movies WHERE id = 1"],
    "all films that go": ["TRUNCATE movies CASCADE"],
    "the model in force": ["INSERT INTO active_model (version) VALUES ('a')"],
    "a switch back": ["UPDATE active_model SET version = 'b'"],
    "the index": ["INSERT INTO index_measurements (kind, movies, recall_at_10) VALUES ('hnsw', 2, 1)"],
}


def test_each_change_is_told_of_once(heard: Heard) -> None:
    for what, statements in CHANGES.items():
        before = settled(heard)
        change(*statements)
        assert settled(heard) == before + 1, what


def test_who_works_on_changes_is_woken_by_each(heard: Heard) -> None:
    for what, statements in CHANGES.items():
        settled(heard)
        heard.changed.clear()
        change(*statements)
        assert heard.changed.wait(10), what
    settled(heard)
    heard.changed.clear()
    end_the_listener()
    assert heard.changed.wait(10), "what happened unheard"


def test_a_transaction_is_one_change(heard: Heard) -> None:
    before = settled(heard)
    change(FILM, *[CHANGES["a film"][0]] * 50)
    assert settled(heard) == before + 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE movies SET title = 'Nobody' WHERE id = 424242",
        "INSERT INTO movies (id, title) VALUES (1, 'One') ON CONFLICT DO NOTHING",
        "INSERT INTO users (external_id) VALUES ('ada')",
    ],
)
def test_what_changes_nothing_is_not_told_of(heard: Heard, statement: str) -> None:
    change(FILM)
    before = settled(heard)
    change(statement)
    assert settled(heard) == before


def test_what_is_rolled_back_is_not_told_of(heard: Heard, own_engine: Engine) -> None:
    before = settled(heard)
    with own_engine.connect() as connection:
        connection.execute(text(FILM))
        connection.rollback()
    assert settled(heard) == before


def test_after_a_connection_that_was_lost_everything_may_have_changed(heard: Heard) -> None:
    before = settled(heard)
    end_the_listener()
    eventually(lambda: heard.changes > before, "nobody listens again")
    before = settled(heard)
    change(FILM)
    assert settled(heard) == before + 1


def test_without_a_database_nothing_is_trusted(
    heard: Heard, own_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none", connect_args=CONNECT_ARGS)
    monkeypatch.setattr(changes, "get_engine", lambda: nowhere)
    end_the_listener()
    eventually(lambda: not heard.trusts, "what is not heard is trusted")
    monkeypatch.setattr(changes, "get_engine", lambda: own_engine)
    eventually(lambda: heard.trusts, "a database that is back is not found")


@pytest.mark.parametrize("table", ["movies", "interactions"])
def test_a_table_that_is_locked_makes_silence_and_an_answer_ends_it(
    heard: Heard, own_engine: Engine, table: str
) -> None:
    settled(heard)
    with own_engine.begin() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        eventually(lambda: pulse.silence > 0.2, "nobody notices")
    eventually(lambda: pulse.silence == 0, "it is not noticed that all is well again")


def test_a_server_that_is_away_is_silent(
    heard: Heard, own_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none", connect_args=CONNECT_ARGS)
    monkeypatch.setattr(changes, "get_engine", lambda: nowhere)
    end_the_listener()
    eventually(lambda: pulse.silence > 0.2, "nobody notices")
    monkeypatch.setattr(changes, "get_engine", lambda: own_engine)
    eventually(lambda: pulse.silence == 0, "a server that is back is not heard")


def test_a_new_index_makes_new_connections(heard: Heard, own_engine: Engine) -> None:
    def server_process() -> Any:
        with own_engine.connect() as connection:
            return connection.scalar(text("SELECT pg_backend_pid()"))

    before = server_process()
    assert server_process() == before
    change(*CHANGES["the index"])
    eventually(lambda: server_process() != before, "the settings of the old index are still in force")
