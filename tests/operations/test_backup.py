"""Backups: whole or not there, back only into an empty database, and verified by rows and by answers."""

import datetime as dt
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.embedded_postgres import EmbeddedPostgres
from backend.errors import AppError, SetupError, UsageError
from backend.feedback.records import NewInteraction
from backend.feedback.store import record
from backend.ml.artefact import open_current
from backend.ml.file_cache import CacheKeeper, cache_folder
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.operations import backup, postgres_programs
from backend.operations.backup import DUMP, MANIFEST, restore_backup, write_backup
from tests.catalogue import GODFATHER, MATRIX, TOY_STORY
from tests.conftest import answer_by, make_database, start_server

CONTENT = ("movies", "users", "interactions", "pending_interactions", "item_factors")
Files = Callable[[], list[str]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data")


@pytest.fixture
def people(catalogue_engine: Engine) -> Iterator[Engine]:
    """The small catalogue, with people who did something, also with a film that is not there."""
    acts = [("ada", TOY_STORY), ("ada", MATRIX), ('bob\'s \\ "friend"', GODFATHER), ("eve", 424242)]
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with Session(catalogue_engine) as session, session.begin():
        record(session, [NewInteraction(who, "like", None, moment, film, None, None, None) for who, film in acts])
    yield catalogue_engine
    with catalogue_engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


@pytest.fixture
def saved(people: Engine, settings: Settings, tmp_path: Path) -> Path:
    """A backup of them."""
    file = tmp_path / "marquee.backup"
    write_backup(people, settings, file)
    return file


@pytest.fixture
def make_empty(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Engine]]:
    """Makes an empty database on a server of that version, which the code under test finds."""
    engines: list[Engine] = []

    def make(version: int = 16) -> Engine:
        engines.append(create_engine(make_database(start_server(scratch, version))))
        answer_by(engines[-1], monkeypatch)
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


def content(engine: Engine) -> dict[str, Any]:
    """A digest of the rows of each table."""
    digest = "SELECT count(*), md5(string_agg(md5(CAST(t AS text)), '' ORDER BY md5(CAST(t AS text)))) FROM "
    with engine.connect() as connection:
        return {name: tuple(connection.execute(text(f"{digest} {name} t")).one()) for name in CONTENT}


def answers(engine: Engine) -> list[Any]:
    """Lists, each with its scores."""
    with Session(engine) as session:
        recommender = PgvectorRecommender(session)
        lists = [recommender.get_recommendations(who) for who in ("ada", "nobody")]
        lists += [recommender.get_similar_movies(film) for film in (TOY_STORY, GODFATHER)]
    return [[(movie.id, score) for movie, score in one] for one in lists]


def is_empty(engine: Engine) -> bool:
    return not inspect(engine).get_table_names()


def rewrite(file: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Another backup, of which one part is not what it was; its checksums are right."""
    other = file.with_name("changed.backup")
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(other, "w") as changed:
        for each in archive.namelist():
            changed.writestr(each, change(archive.read(each)) if each == name else archive.read(each))
    return other


def with_manifest(file: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    def changed(written: bytes) -> bytes:
        manifest = json.loads(written)
        change(manifest)
        return json.dumps(manifest).encode()

    return rewrite(file, MANIFEST, changed)


def test_a_backup_moves_to_another_server_and_back(
    people: Engine, saved: Path, settings: Settings, make_empty: Callable[..., Engine], tmp_path: Path
) -> None:
    there = make_empty()
    moved = restore_backup(there, settings, saved)
    assert moved.rows["movies"] == 150
    assert moved.sample.lists > 5
    assert content(there) == content(people)
    assert answers(there) == answers(people)
    again = tmp_path / "again.backup"
    write_backup(there, settings, again)
    newer = make_empty(18)
    restore_backup(newer, settings, again)
    assert content(newer) == content(people)
    assert answers(newer) == answers(people)
    latest = tmp_path / "latest.backup"
    write_backup(newer, settings, latest)
    older = make_empty(16)
    with pytest.raises(UsageError, match="made of PostgreSQL 18, and this server is 16"):
        restore_backup(older, settings, latest)
    assert is_empty(older)


def test_file_cache_and_index_follow_a_restored_database(
    saved: Path, settings: Settings, make_empty: Callable[..., Engine], people: Engine
) -> None:
    there = make_empty()
    restore_backup(there, settings, saved)
    with there.connect() as connection, people.connect() as before:
        events = connection.scalars(text("SELECT event FROM index_measurements ORDER BY id")).all()
        own, first = (each.scalar(text("SELECT id FROM installation")) for each in (connection, before))
    assert events[-1] == "tune"
    assert own != first
    assert open_current(cache_folder(settings)).tags["database"] == str(own)
    assert CacheKeeper(settings).ensure() is False


def test_a_backup_is_for_its_owner_only_and_overwrites_nothing(
    saved: Path, people: Engine, settings: Settings
) -> None:
    before = saved.read_bytes()
    assert saved.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="is there already"):
        write_backup(people, settings, saved)
    assert saved.read_bytes() == before
    with pytest.raises(UsageError, match="There is no folder"):
        write_backup(people, settings, saved.parent / "nowhere" / "marquee.backup")


@pytest.mark.parametrize("script", ["printf some; echo 'pg_dump: error: as it happens' >&2; exit 1", "exit 1"])
def test_a_backup_that_fails_leaves_nothing_behind(
    people: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    broken = tmp_path / "pg_dump"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o700)
    monkeypatch.setattr(backup, "find_program", lambda name, version: (broken, 16))
    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(SetupError, match=r"pg_dump failed: (pg_dump: error: as it happens|it does not say why)"):
        write_backup(people, settings, folder / "marquee.backup")
    assert list(folder.iterdir()) == []


def test_the_password_is_on_no_command_line(tmp_path: Path) -> None:
    curious = tmp_path / "pg_dump"
    curious.write_text(f'#!/bin/sh\necho "$PGPASSWORD" > {tmp_path}/given\necho "$@" > {tmp_path}/shown\n')
    curious.chmod(0o700)
    engine = create_engine("postgresql+psycopg2://ann:p%40ss word'@db.example.org:5433/films?sslmode=require")
    with (tmp_path / "dump").open("wb") as target:
        postgres_programs.dump(engine, curious, snapshot="1", target=target)
    assert (tmp_path / "given").read_text() == "p@ss word'\n"
    shown = (tmp_path / "shown").read_text()
    assert "p@ss" not in shown
    for told in ("host=db.example.org", "port=5433", "user=ann", "dbname=films", "sslmode=require"):
        assert told in shown


def test_a_schema_of_another_version_is_not_saved(
    postgres: EmbeddedPostgres, settings: Settings, tmp_path: Path
) -> None:
    engine = create_engine(make_database(postgres))
    with pytest.raises(SetupError, match=r"python backend/migrate_add_pgvector\.py"):
        write_backup(engine, settings, tmp_path / "marquee.backup")
    engine.dispose()
    assert not (tmp_path / "marquee.backup").exists()


def test_what_is_not_empty_is_left_as_it_is(saved: Path, people: Engine, settings: Settings) -> None:
    before = content(people)
    with pytest.raises(UsageError, match=r"The database is not empty: it has `active_model`.*DATA_DIR"):
        restore_backup(people, settings, saved)
    assert content(people) == before


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def flip(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_backup_is_refused_before_anything_is_done(
    saved: Path, settings: Settings, make_empty: Callable[..., Engine], damage: Callable[[Path], None]
) -> None:
    damage(saved)
    engine = make_empty()
    with pytest.raises(UsageError, match="is damaged, or no backup of Marquee"):
        restore_backup(engine, settings, saved)
    assert is_empty(engine)


def test_a_file_that_is_none_or_is_of_another_version_is_named(
    saved: Path, settings: Settings, make_empty: Callable[..., Engine], tmp_path: Path
) -> None:
    engine = make_empty()
    with pytest.raises(UsageError, match=r"There is no file .*nowhere"):
        restore_backup(engine, settings, tmp_path / "nowhere")
    with pytest.raises(UsageError, match="another version of Marquee"):
        restore_backup(engine, settings, with_manifest(saved, lambda manifest: manifest.update(format=99)))
    with pytest.raises(UsageError, match="a newer version of Marquee"):
        restore_backup(engine, settings, with_manifest(saved, lambda manifest: manifest.update(revision="9999")))
    assert is_empty(engine)


def test_a_restore_that_breaks_off_leaves_the_database_empty_for_the_next(
    saved: Path, people: Engine, settings: Settings, make_empty: Callable[..., Engine]
) -> None:
    engine = make_empty()
    with pytest.raises(SetupError, match="pg_restore failed"):
        restore_backup(engine, settings, rewrite(saved, DUMP, lambda whole: whole[: len(whole) // 2]))
    assert is_empty(engine)
    restore_backup(engine, settings, saved)
    assert content(engine) == content(people)


def one_row_more(manifest: dict[str, Any]) -> None:
    manifest["rows"]["movies"] += 1


def another_answer(manifest: dict[str, Any]) -> None:
    manifest["sample"]["recommended"]["ada"] = [1, 2, 3]


@pytest.mark.parametrize(
    ("change", "said"), [(one_row_more, "movies 150 of 151"), (another_answer, "1 of .* sampled lists")]
)
def test_rows_or_answers_that_are_not_as_they_were_are_told(
    saved: Path,
    settings: Settings,
    make_empty: Callable[..., Engine],
    change: Callable[[dict[str, Any]], None],
    said: str,
) -> None:
    with pytest.raises(SetupError, match=f"{said}.* Do not use it"):
        restore_backup(make_empty(), settings, with_manifest(saved, change))


def test_without_a_program_that_knows_the_server_the_package_is_named(
    people: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_programs, "bundled_programs", lambda: {15: tmp_path})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        AppError, match=r"needs the pg_dump of PostgreSQL 16 .* apt-get install postgresql-client-16"
    ):
        write_backup(people, settings, tmp_path / "marquee.backup")


def test_a_program_on_the_path_serves_where_none_came_along(
    people: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = postgres_programs.bundled_programs()[18]
    monkeypatch.setattr(postgres_programs, "bundled_programs", lambda: {})
    monkeypatch.setenv("PATH", str(ours))
    write_backup(people, settings, tmp_path / "marquee.backup")
    with zipfile.ZipFile(tmp_path / "marquee.backup") as archive:
        assert json.loads(archive.read(MANIFEST))["dumped_by"] == 18
