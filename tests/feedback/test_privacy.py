"""What is held about a person can be had, and is gone when it is erased: from the database and from every file."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from fastapi.testclient import TestClient
from psycopg2.extensions import make_dsn
from sqlalchemy import Engine, text

from backend.ml import file_cache
from backend.ml.file_cache import CacheKeeper, build_cache, cache_folder
from backend.ml.recommender import Recommender
from backend.ml.svd_recommender import models_folder
from backend.postgres_process import bundled_programs
from backend.scheduler import FOLLOW_SECONDS
from backend.telemetry import processors
from tests.api.answers import act, get, send
from tests.api.conftest import make_app
from tests.catalogue import TOY_STORY
from tests.ml.factors import write_model

__all__ = ["make_app"]

WHO, NAME = "zebedee-4711", "Zebedee of the Four Winds"
NOT_HERE = 424_242


@pytest.fixture
def app(make_app: Callable[..., FastAPI], catalogue_engine: Engine) -> Iterator[FastAPI]:
    """The service, a cache and a model; someone with a name of their own did something."""
    app = make_app()
    client = TestClient(app)
    act(client, TOY_STORY, "rating", user_id=WHO)
    act(client, TOY_STORY, "click", user_id=WHO)
    send(client, {"user_id": WHO, "movie_id": NOT_HERE, "kind": "watchlist"})
    assert client.patch(f"/people/{WHO}", json={"name": NAME}).status_code == 200
    build_cache(app.state.settings)
    write_model(app.state.settings)
    yield app
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


def dumped(engine: Engine) -> bytes:
    """All that the database holds, in plain SQL."""
    address = make_dsn(**engine.dialect.create_connect_args(engine.url)[1])
    program = bundled_programs()[16] / "pg_dump"
    return subprocess.run([program, f"--dbname={address}"], capture_output=True, check=True).stdout


def files_with(folder: Path, name: str) -> list[Path]:
    """The files in which a name is found."""
    return [file for file in folder.rglob("*") if file.is_file() and name.encode() in file.read_bytes()]


def test_what_is_exported_is_everything(app: FastAPI) -> None:
    held = get(TestClient(app), f"/users/{WHO}/export")
    assert (held["user_id"], held["name"]) == (WHO, NAME)
    assert {(one["movie_id"], one["kind"], one["pending"]) for one in held["interactions"]} == {
        (TOY_STORY, "rating", False),
        (TOY_STORY, "click", False),
        (NOT_HERE, "watchlist", True),
    }


def test_who_was_erased_is_found_in_no_dump_and_in_no_file(app: FastAPI, catalogue_engine: Engine) -> None:
    settings, client = app.state.settings, TestClient(app)
    before = dumped(catalogue_engine)
    assert WHO.encode() in before
    assert NAME.encode() in before
    folders = {file.relative_to(settings.data_dir).parts[0] for file in files_with(settings.data_dir, WHO)}
    assert folders == {cache_folder(settings).name, models_folder(settings).name}
    assert client.delete(f"/users/{WHO}").json() == {"deleted": 4}
    # As the scheduler does, several times a minute.
    assert FOLLOW_SECONDS <= 30
    CacheKeeper(settings).follow()
    after = dumped(catalogue_engine)
    assert WHO.encode() not in after
    assert NAME.encode() not in after
    assert files_with(settings.data_dir, WHO) == files_with(settings.data_dir, NAME) == []
    assert client.get(f"/users/{WHO}/export").status_code == 404


def test_a_model_that_outlived_the_notes_of_changes_lets_go_of_the_erased_too(
    app: FastAPI, catalogue_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, client = app.state.settings, TestClient(app)
    act(client, TOY_STORY, user_id="someone else")
    assert client.delete(f"/users/{WHO}").status_code == 200
    with catalogue_engine.begin() as connection:
        connection.execute(text("DELETE FROM people_changes"))
    monkeypatch.setattr(file_cache, "LIFE_SECONDS", -1)
    CacheKeeper(settings).follow()
    assert files_with(settings.data_dir, WHO) == []
    assert files_with(models_folder(settings), "someone else")


@pytest.fixture(params=["console", "json"])
def logged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Events become lines as in the service."""
    structlog.configure(processors=processors(is_json=request.param == "json"))
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("logged")
def test_logs_name_neither_people_nor_films(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = TestClient(app, raise_server_exceptions=False)
    get(client, f"/recommendations/{WHO}")
    get(client, "/search", q="Toy Story")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("as it happens")

    monkeypatch.setattr(Recommender, "recommend", broken)
    assert client.get(f"/recommendations/{WHO}").status_code == 500
    assert client.delete(f"/users/{WHO}").status_code == 200
    CacheKeeper(app.state.settings).follow()
    told = "".join(capsys.readouterr())
    assert "as it happens" in told
    assert "/recommendations/{user_id}" in told
    assert WHO not in told
    assert NAME not in told
    assert "Toy Story" not in told
