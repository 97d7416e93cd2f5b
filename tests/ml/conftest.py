"""The checkerboard, in a database and in files; and databases for tests that change one or freeze it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from backend import database
from backend.config import Settings
from backend.embedded_postgres import EmbeddedPostgres
from backend.migrations import migrate
from backend.ml.file_cache import build_cache
from tests.conftest import answer_by, make_database
from tests.ml.checkerboard import World, all_films, all_people, fill
from tests.ml.factors import publish, withdraw, write_model
from tests.test_embedded_postgres import temporary_home


@pytest.fixture(scope="session")
def world(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The checkerboard with its cache and its model; leave all of it as it is."""
    engine = create_engine(make_database(postgres), connect_args=database.CONNECT_ARGS)
    migrate(engine)
    fill(engine)
    with Session(engine) as session, session.begin():
        publish(session)
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("world"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "get_engine", lambda: engine)
        build_cache(settings)
        write_model(settings)
    yield World(engine, settings, all_films(), all_people())
    engine.dispose()


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that no other test uses, so that it may be frozen."""
    with temporary_home() as home:
        server = EmbeddedPostgres(home / "postgres")
        server.start()
        yield server


@pytest.fixture(scope="module")
def module_engine(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """A database that the tests of this file have one after the other."""
    engine = create_engine(make_database(postgres), connect_args=database.CONNECT_ARGS)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def emptied_engine(module_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The same, emptied: to make one for every test would take most of their time."""
    with Session(module_engine) as session, session.begin():
        session.execute(text("TRUNCATE movies, users, people_changes RESTART IDENTITY CASCADE"))
        withdraw(session)
    answer_by(module_engine, monkeypatch)
    return module_engine
