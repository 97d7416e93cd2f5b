"""One real PostgreSQL for the whole run, a database per worker, a rolled-back transaction per test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from backend import config, database
from backend.config import PACKAGED_MODEL
from backend.embedded_postgres import EmbeddedPostgres
from backend.migrations import migrate
from backend.ml import training
from backend.ml.encoder import Encoder, get_encoder
from tests.catalogue import fill
from tests.ml.factors import publish, tell

ROOT = Path(__file__).parents[1]

pytest_plugins = ("tests.faults.ledger",)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What a run may be told."""
    parser.addoption("--screenshots", type=Path, metavar="DIR", help="keep pictures of the page there")


def pytest_configure(config: pytest.Config) -> None:
    """Start the server once, in the process that hands out the tests."""
    # Where the shipped pack is not the subject, nobody waits for what is learned from it.
    os.environ["TASTE_PACK"] = "none"
    # Workers share the cores already: threads of their own would wait for one another longer than they work.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if hasattr(config, "workerinput"):
        return
    directory = Path(tempfile.mkdtemp(prefix="marquee-tests-"))
    config.stash[SCRATCH] = directory


def pytest_configure_node(node) -> None:  # type: ignore[no-untyped-def]
    """Tell a worker where the run keeps its servers."""
    node.workerinput["scratch"] = str(node.config.stash[SCRATCH])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    if SCRATCH in config.stash:
        for server in _servers.values():
            server.stop()
        shutil.rmtree(config.stash[SCRATCH], ignore_errors=True)


SCRATCH = pytest.StashKey[Path]()
_servers: dict[int, EmbeddedPostgres] = {}


@pytest.fixture(scope="session")
def scratch(pytestconfig: pytest.Config) -> Path:
    """A folder that all workers of this run share."""
    if hasattr(pytestconfig, "workerinput"):
        return Path(pytestconfig.workerinput["scratch"])
    return pytestconfig.stash[SCRATCH]


def start_server(scratch: Path, version: int = 16) -> EmbeddedPostgres:
    """The run's server of that version; speed before safety, for it lives for minutes."""
    if version not in _servers:
        server = EmbeddedPostgres(scratch / f"postgres{version}", postgres_version=version)
        server.start()
        admin = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(1)"))
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        admin.dispose()
        _servers[version] = server
    return _servers[version]


def make_database(server: EmbeddedPostgres) -> str:
    """The address of a new, empty database."""
    name = f"test_{uuid4().hex[:12]}"
    admin = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return server.url(name)


@pytest.fixture(scope="session")
def postgres(scratch: Path) -> EmbeddedPostgres:
    """The PostgreSQL 16 of this run."""
    return start_server(scratch)


@pytest.fixture(scope="session")
def database_url(postgres: EmbeddedPostgres) -> str:
    """The address of this worker's database."""
    return make_database(postgres)


@pytest.fixture(scope="session")
def engine(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The engine of the code under test, on this worker's migrated database."""
    os.environ["DATABASE_URL"] = database_url
    os.environ["DATA_DIR"] = str(tmp_path_factory.mktemp("data"))
    config.get_settings.cache_clear()
    database.get_engine.cache_clear()
    engine = database.get_engine()
    migrate(engine)
    yield engine
    engine.dispose()


@contextmanager
def rolled_back(engine: Engine) -> Iterator[Session]:
    """A session whose commits are savepoints and whose work is gone at the end."""
    with engine.connect() as connection, connection.begin() as transaction:
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        transaction.rollback()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on an empty database whose work is gone after the test."""
    with rolled_back(engine) as session:
        yield session


@pytest.fixture(params=[16, 18])
def empty_engine(request: pytest.FixtureRequest, scratch: Path) -> Iterator[Engine]:
    """An empty database of its own, on the embedded 16 and on the embedded 18."""
    server = start_server(scratch, request.param)
    url = make_database(server)
    engine = create_engine(url)
    yield engine
    engine.dispose()
    admin = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {make_url(url).database} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The real model, loaded once a worker."""
    return get_encoder(PACKAGED_MODEL)


@pytest.fixture(scope="session")
def catalogue_engine(postgres: EmbeddedPostgres, encoder: Encoder) -> Iterator[Engine]:
    """This worker's database of the small catalogue and factors for it; what a test adds it takes away again."""
    engine = create_engine(make_database(postgres), connect_args=database.CONNECT_ARGS)
    migrate(engine)
    with Session(engine) as session, session.begin():
        fill(session, encoder)
        publish(session)
        tell(session)
    yield engine
    engine.dispose()


@pytest.fixture
def catalogue(catalogue_engine: Engine) -> Iterator[Session]:
    """A session on the small catalogue, rolled back after the test."""
    with rolled_back(catalogue_engine) as session:
        yield session


@pytest.fixture
def own_engine(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine on a migrated, empty database that no other test sees; session_scope() uses it too."""
    engine = create_engine(make_database(postgres), connect_args=database.CONNECT_ARGS)
    migrate(engine)
    answer_by(engine, monkeypatch)
    yield engine
    engine.dispose()


def answer_by(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code under test find its database here, whichever module it looks in."""
    monkeypatch.setattr(database, "get_engine", lambda: engine)
    monkeypatch.setattr(training, "get_engine", lambda: engine)
