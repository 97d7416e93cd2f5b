"""Building an index: whatever ends a build, an index answers, and the next build clears away what is left."""

import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from backend.config import Settings
from backend.ml.index_build import INDEX, NEW_INDEX, OLD_INDEX, find_index
from backend.ml.vector_index import ensure_index
from tests.ml.test_vector_index import FILMS, films, index_identity, plan_of_similar, synthetic, wanting
from tests.test_embedded_postgres import eventually

__all__ = ["films", "synthetic"]

SETTINGS = wanting("hnsw")


class Build(threading.Thread):
    """A build in a thread of its own, and how it failed."""

    error: Exception | None = None

    def __init__(self, engine: Engine, settings: Settings = SETTINGS) -> None:
        super().__init__()
        self._engine, self._settings = engine, settings
        self.start()

    def run(self) -> None:
        try:
            ensure_index(self._engine, self._settings, rebuild=True)
        except OperationalError as error:
            self.error = error


def is_there(engine: Engine, name: str) -> bool:
    with engine.connect() as connection:
        return find_index(connection, name) is not None


def kill_the_builder(engine: Engine) -> None:
    """As an operator or a crash would end the session that builds."""
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )


@pytest.fixture
def built(films: Engine) -> Engine:
    """Films with an index."""
    ensure_index(films, SETTINGS)
    return films


@pytest.fixture
def writing(built: Engine) -> Iterator[Callable[[], None]]:
    """Someone who changes a film and does not come to an end, so that a build can't either; called, they end."""
    with built.connect() as connection:
        connection.execute(text("UPDATE movies SET vote_count = vote_count WHERE id = 1"))
        yield connection.rollback


def test_a_build_that_is_killed_leaves_the_old_index_in_force(built: Engine, writing: Callable[[], None]) -> None:
    before = index_identity(built)
    build = Build(built)
    eventually(lambda: is_there(built, NEW_INDEX), "the build has begun")
    kill_the_builder(built)
    build.join()
    assert build.error is not None
    assert is_there(built, NEW_INDEX)
    assert index_identity(built) == before
    assert f"Index Scan using {INDEX}" in plan_of_similar(built)
    writing()
    assert "nothing to do" in ensure_index(built, SETTINGS)
    assert not is_there(built, NEW_INDEX)
    assert index_identity(built) == before


@pytest.mark.usefixtures("writing")
def test_a_build_that_fails_leaves_the_old_index_in_force(built: Engine) -> None:
    before = index_identity(built)
    hasty = create_engine(built.url, connect_args={"options": "-c statement_timeout=500"})
    with pytest.raises(OperationalError, match="statement timeout"):
        ensure_index(hasty, SETTINGS, rebuild=True)
    hasty.dispose()
    assert index_identity(built) == before
    assert f"Index Scan using {INDEX}" in plan_of_similar(built)


def test_a_swap_waits_for_no_reader_and_a_kill_after_it_leaves_the_new_index_in_force(built: Engine) -> None:
    before = index_identity(built)
    with built.connect() as reader:
        reader.execute(text("SELECT id FROM movies LIMIT 1"))
        build = Build(built)
        eventually(lambda: is_there(built, OLD_INDEX), "the new index has taken over")
        assert index_identity(built) != before
        assert f"Index Scan using {INDEX}" in plan_of_similar(built)
        kill_the_builder(built)
        build.join()
    assert is_there(built, OLD_INDEX)
    ensure_index(built, SETTINGS)
    assert not is_there(built, OLD_INDEX)
    assert f"Index Scan using {INDEX}" in plan_of_similar(built)


NO_SHARED_MEMORY = """
    CREATE FUNCTION no_shared_memory() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('max_parallel_maintenance_workers')::integer > 0 THEN
            RAISE EXCEPTION 'could not resize shared memory segment: No space left on device'
            USING ERRCODE = '53100';
        END IF;
    END $$;
    CREATE EVENT TRIGGER no_shared_memory ON ddl_command_start WHEN TAG IN ('CREATE INDEX')
    EXECUTE FUNCTION no_shared_memory();
"""


def test_where_shared_memory_is_short_one_process_builds(films: Engine) -> None:
    with films.begin() as connection:
        connection.execute(text(NO_SHARED_MEMORY))
    ensure_index(films, SETTINGS)
    with films.begin() as connection:
        connection.execute(text("DROP EVENT TRIGGER no_shared_memory; DROP FUNCTION no_shared_memory"))
        index = find_index(connection)
    assert index is not None
    assert index.valid
    assert index.entries == FILMS
