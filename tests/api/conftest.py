"""The app over HTTP, on the small catalogue, with the real model loaded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event

from backend import database
from backend.config import Settings
from backend.main import create_app
from backend.ml.encoder import Encoder

Statements = list[str]


@pytest.fixture
def make_app(
    catalogue_engine: Engine, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., FastAPI]:
    """Makes the app with settings of the test's choice."""

    def make(**settings: Any) -> FastAPI:
        monkeypatch.setattr(database, "get_engine", lambda: catalogue_engine)
        app = create_app(Settings(_env_file=None, data_dir=tmp_path, **settings))
        app.state.words._encoder = encoder
        return app

    return make


@pytest.fixture
def client(make_app: Callable[..., FastAPI], catalogue_engine: Engine) -> Iterator[TestClient]:
    """A client of an open service; the people that a test makes are gone after it."""
    yield TestClient(make_app(), raise_server_exceptions=False)
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


@pytest.fixture
def statements(catalogue_engine: Engine) -> Iterator[Statements]:
    """The SQL statements that reach the database while the test runs."""
    seen: Statements = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(catalogue_engine, "before_cursor_execute", note)
    yield seen
    event.remove(catalogue_engine, "before_cursor_execute", note)
