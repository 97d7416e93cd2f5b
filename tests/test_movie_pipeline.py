"""`python movie_pipeline.py` against the stand-in for TMDB: films come in and answer, in one command."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

import movie_pipeline
from backend import cli, config, database
from backend.catalog.pipeline import BATCH
from backend.catalog.tmdb import TmdbClient
from backend.embedded_postgres import EmbeddedPostgres
from backend.migrations import migrate
from backend.ml.encoder import Encoder
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.operations import nightly
from tests.conftest import make_database
from tests.tmdb_stand_in import KEY, TmdbStandIn, numbered_films

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tmdb() -> Iterator[TmdbStandIn]:
    """A TMDB with films for two batches."""
    with TmdbStandIn(numbered_films(150)) as stand_in:
        yield stand_in


@pytest.fixture
def fresh(
    postgres: EmbeddedPostgres, tmdb: TmdbStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Engine]:
    """An empty database; the environment names it, and TMDB with its key."""
    url = make_database(postgres)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TMDB_BASE_URL", tmdb.url)
    monkeypatch.setenv("TMDB_API_KEY", KEY)
    monkeypatch.setenv("TMDB_RATE", "1000")
    # Loggers would keep the stream that pytest closes after the test.
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    forget_settings()
    engine = create_engine(url)
    yield engine
    engine.dispose()
    database.get_engine().dispose()
    forget_settings()


def forget_settings() -> None:
    """Let the next command of this process read the environment anew, as a process of its own would."""
    config.get_settings.cache_clear()
    database.get_engine.cache_clear()


def scalar(engine: Engine, statement: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(statement)) or 0)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_one_command_brings_films_that_answer_and_again_does_nothing(
    fresh: Engine, tmdb: TmdbStandIn, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert movie_pipeline.main([]) == 0
    told = capsys.readouterr()
    assert "TMDB: 150 new, 0 changed, 0 unchanged, 0 failed" in told.out.splitlines()
    assert "index: " in told.out
    assert KEY not in told.out + told.err
    with Session(fresh) as session:
        recommender = PgvectorRecommender(session)
        assert all(len(recommender.get_similar_movies(movie_id=n, n_similar=5)) == 5 for n in (1, 100, 150))
    tmdb.requests.clear()
    before = scalar(fresh, "SELECT sum(xmin::text::bigint) FROM movies")
    assert movie_pipeline.main([]) == 0
    assert "TMDB: 0 new, 0 changed, 150 unchanged, 0 failed" in capsys.readouterr().out.splitlines()
    assert tmdb.details() == []
    assert scalar(fresh, "SELECT sum(xmin::text::bigint) FROM movies") == before


def test_with_pages_only_the_curated_lists_are_read(
    fresh: Engine, tmdb: TmdbStandIn, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert movie_pipeline.main(["--pages", "2"]) == 0
    assert "TMDB: 40 new" in capsys.readouterr().out
    assert not tmdb.asked("/discover")


def test_films_are_embedded_as_they_arrive(
    fresh: Engine, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[int] = []
    embed = nightly.embed_pending

    def count(encoder: Encoder) -> int:
        done = embed(encoder)
        embedded.append(scalar(fresh, "SELECT count(embedding) FROM movies"))
        return done

    monkeypatch.setattr(nightly, "embed_pending", count)
    assert movie_pipeline.main([]) == 0
    assert embedded == [100, 150]


def test_what_an_earlier_run_left_without_an_embedding_gets_one(
    fresh: Engine, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(nightly, "embed_pending", lambda encoder: 0)
        assert movie_pipeline.main(["--pages", "1"]) == 0
    assert scalar(fresh, "SELECT count(embedding) FROM movies") == 0
    assert movie_pipeline.main(["--pages", "1"]) == 0
    assert scalar(fresh, "SELECT count(embedding) FROM movies") == 20


def test_without_a_key_it_says_so_in_one_line_and_starts_nothing(
    fresh: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("TMDB_API_KEY")
    forget_settings()
    assert movie_pipeline.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "TMDB_API_KEY" in line
    assert scalar(fresh, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_a_refused_key_is_one_line_that_does_not_tell_it(
    fresh: Engine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TMDB_API_KEY", "a-mistyped-key")
    forget_settings()
    assert movie_pipeline.main([]) == 1
    told = capsys.readouterr()
    (line,) = told.err.splitlines()
    assert line.startswith("error: TMDB refuses the key")
    assert "TMDB_API_KEY" in line
    assert "a-mistyped-key" not in told.out + told.err + caplog.text


def test_nobody_at_the_address_is_one_line(
    fresh: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMDB_BASE_URL", "http://127.0.0.1:1/3")
    monkeypatch.setattr(TmdbClient, "_wait", lambda self, seconds: None)
    forget_settings()
    assert movie_pipeline.main([]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: TMDB can't be reached at http://127.0.0.1:1/3 (ConnectionError)."


@pytest.mark.parametrize("arguments", [["--pages", "0"], ["--pages", "501"], ["--pages", "x"], ["--pages"]])
def test_pages_are_counted_as_tmdb_counts_them(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        movie_pipeline.main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("other", [["--from-file", "films.jsonl"], ["--ratings", "ml"]])
def test_one_source_at_a_time(other: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        movie_pipeline.main(["--pages", "1", *other])
    assert caught.value.code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_whole_batches(
    fresh: Engine, tmdb: TmdbStandIn, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "movie_pipeline.py")],
        cwd="/",
        env=os.environ | {"TMDB_RATE": "60"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: len(tmdb.details()) > 110, "no film was fetched")
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    films = scalar(fresh, "SELECT count(*) FROM movies")
    assert films in (0, 100)
    assert scalar(fresh, "SELECT count(fetched_at) FROM movies") == films


def test_a_load_that_is_killed_keeps_what_it_wrote_and_the_next_goes_on(
    fresh: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f'{{"id": {number}, "title": "A film"}}\n' for number in range(1, 2 * BATCH)]
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    migrate(fresh)
    with subprocess.Popen([sys.executable, str(ROOT / "movie_pipeline.py"), "--from-file", str(pipe)]) as process:
        try:
            with pipe.open("w", buffering=1) as file:
                file.writelines(lines)
                eventually(lambda: scalar(fresh, "SELECT count(*) FROM movies") > 0, "no film was loaded")
                process.kill()
                process.wait()
        finally:
            process.kill()
    assert scalar(fresh, "SELECT count(*) FROM movies") == BATCH
    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(lines))
    assert movie_pipeline.main(["--from-file", str(whole)]) == 0
    said = f"whole.jsonl: {BATCH - 1:,} new, 0 changed, {BATCH:,} unchanged, 0 rejected"
    assert said in capsys.readouterr().out.splitlines()
