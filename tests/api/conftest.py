"""The app over HTTP, on the small catalogue, with the real model loaded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, event, insert, select, text, update
from sqlalchemy.orm import Session

from backend import database
from backend.config import Settings
from backend.main import create_app
from backend.ml.encoder import Encoder
from backend.models import Movie
from tests.ml.factors import place_like

Statements = list[str]
Films = Callable[..., int]
RowCounts = Callable[[], dict[str, int]]


@pytest.fixture
def make_app(
    catalogue_engine: Engine, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., FastAPI]:
    """Makes the app with settings of the test's choice."""

    def make(**settings: Any) -> FastAPI:
        monkeypatch.setattr(database, "get_engine", lambda: catalogue_engine)
        app = create_app(Settings(_env_file=None, data_dir=tmp_path, **settings))
        return warmed(app, encoder)

    return make


def warmed(app: FastAPI, encoder: Encoder) -> FastAPI:
    """The app with what a service has some seconds after its start."""
    app.state.words._encoder = encoder
    app.state.layers.refresh()
    return app


@pytest.fixture(scope="session")
def open_app(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The app with the settings that it has by itself, made once a worker; leave its state as it is."""
    app = create_app(Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("open")))
    return warmed(app, encoder)


@pytest.fixture
def client(open_app: FastAPI, catalogue_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client of an open service; the people that a test makes are gone after it."""
    monkeypatch.setattr(database, "get_engine", lambda: catalogue_engine)
    yield TestClient(open_app, raise_server_exceptions=False)
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


@pytest.fixture
def statements(catalogue_engine: Engine) -> Iterator[Statements]:
    """The SQL statements, commits among them, that reach the database while the test runs."""
    seen: Statements = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    def note_commit(_connection: Any) -> None:
        seen.append("COMMIT")

    event.listen(catalogue_engine, "before_cursor_execute", note)
    event.listen(catalogue_engine, "commit", note_commit)
    yield seen
    event.remove(catalogue_engine, "before_cursor_execute", note)
    event.remove(catalogue_engine, "commit", note_commit)


@pytest.fixture
def add_film(catalogue_engine: Engine) -> Iterator[Films]:
    """Puts a film into the catalogue until the test ends; `like` names the one whose place it shares."""
    added: list[int] = []

    def add(*, like: int | None = None, **columns: Any) -> int:
        number = int(columns.setdefault("id", 9_000_000 + len(added)))
        added.append(number)
        with catalogue_engine.begin() as connection:
            connection.execute(insert(Movie).values({"title": f"Film {number}"} | columns))
            if like is not None:
                twin = select(Movie.embedding, Movie.embedding_model).where(Movie.id == like)
                embedding, model = connection.execute(twin).one()
                values = {"embedding": embedding, "embedding_model": model, "embedding_hash": Movie.text_hash}
                connection.execute(update(Movie).where(Movie.id == number).values(values))
                place_like(Session(connection), number, like)
        return number

    yield add
    with catalogue_engine.begin() as connection:
        connection.execute(delete(Movie).where(Movie.id.in_(added)))
        for view in ("item_factors", "within_reach", "likeness"):
            gone = f"DELETE FROM {view} WHERE movie_id = ANY (:added)"  # noqa: S608
            connection.execute(text(gone), {"added": added})


@pytest.fixture
def row_counts(catalogue_engine: Engine) -> RowCounts:
    """Counts the rows of every table that a request may write."""

    def count() -> dict[str, int]:
        with catalogue_engine.connect() as connection:
            return {
                table: connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0  # noqa: S608
                for table in ("movies", "users", "interactions", "pending_interactions")
            }

    return count
