"""A database of its own for what really commits: imports, and writers who meet."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from backend import database
from backend.embedded_postgres import EmbeddedPostgres
from backend.migrations import migrate
from tests.conftest import make_database


@pytest.fixture
def own_engine(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine on a migrated, empty database that no other test sees; session_scope() uses it too."""
    engine = create_engine(make_database(postgres), connect_args=database.CONNECT_ARGS)
    migrate(engine)
    monkeypatch.setattr(database, "get_engine", lambda: engine)
    yield engine
    engine.dispose()
