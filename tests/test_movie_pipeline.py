"""`python movie_pipeline.py` against the stand-in for TMDB: films come in and answer, in one command."""

import datetime as dt
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

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
from tests.catalog.fetch import UNDER_WAY
from tests.conftest import make_database
from tests.tmdb_stand_in import KEY, Chance, TmdbStandIn, numbered_films

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tmdb() -> Iterator[TmdbStandIn]:
    """A TMDB with some films; film 1 is the best-known."""
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
    monkeypatch.setenv("TMDB_EXPORT_URL", tmdb.export_url)
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

    def count(encoder: Encoder, *, stop: threading.Event | None = None) -> int:
        done = embed(encoder, stop=stop)
        embedded.append(scalar(fresh, "SELECT count(embedding) FROM movies"))
        return done

    monkeypatch.setattr(nightly, "embed_pending", count)
    monkeypatch.setenv("TMDB_RATE", "60")
    forget_settings()
    assert movie_pipeline.main([]) == 0
    assert len(embedded) > 1
    assert 0 < embedded[0] < embedded[-1] == 150


def test_what_an_earlier_run_left_without_an_embedding_gets_one(
    fresh: Engine, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(nightly, "embed_pending", lambda encoder, stop: 0)
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


class Pipeline:
    """`python movie_pipeline.py` in a process of its own, from its first line until the end of the block."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "movie_pipeline.py"), *arguments],
            cwd="/",
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str, str]:
        """Its exit code and what it said."""
        said, errors = self.process.communicate(timeout=120)
        return self.process.returncode, said, errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_keeps_what_came_and_hardly_more_was_asked_for(
    fresh: Engine, tmdb: TmdbStandIn, number: signal.Signals
) -> None:
    with Pipeline(TMDB_RATE="60") as pipeline:
        eventually(lambda: len(tmdb.details()) > 60, "no film was fetched")
        pipeline.process.send_signal(number)
        code, _, said = pipeline.end()
    assert code == 128 + number
    assert "Traceback" not in said
    films = scalar(fresh, "SELECT count(*) FROM movies")
    assert films >= len(tmdb.details()) - UNDER_WAY > 0
    assert scalar(fresh, "SELECT count(fetched_at) FROM movies") == films


def every_film(engine: Engine) -> list[Any]:
    """All that is known of films but when it came, and vectors, which differ by what was encoded together."""
    left_out = "{fetched_at, updated_at, embedding}"
    statement = "SELECT to_jsonb(movies) - CAST(:left_out AS text[]) FROM movies ORDER BY id"
    with engine.connect() as connection:
        return list(connection.scalars(text(statement), {"left_out": left_out}))


def start_anew(engine: Engine) -> None:
    """As if nothing had ever been fetched."""
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE movies, fetch_queue, fetch_positions, rejects CASCADE"))


@pytest.mark.parametrize("arguments", [[], ["--full"]], ids=["lists", "full"])
def test_killed_at_any_moment_and_run_again_it_comes_to_the_same_end_with_hardly_a_request_more(
    fresh: Engine, tmdb: TmdbStandIn, encoder: Encoder, arguments: list[str]
) -> None:
    tmdb.films = {film["id"]: film for film in numbered_films(600)}
    tmdb.gone = {50, 300, 599}
    rng = random.Random(7)
    kills = sorted(rng.randrange(20, 600) for _ in range(2))
    for requests in kills:
        with Pipeline(*arguments, TMDB_RATE="300") as pipeline:
            eventually(lambda requests=requests: len(tmdb.requests) >= requests, "it is under way")
            pipeline.kill()
    assert movie_pipeline.main(arguments) == 0
    killed, found = len(tmdb.requests), every_film(fresh)
    details = tmdb.details()
    assert len(found) == scalar(fresh, "SELECT count(embedding) FROM movies") == 597
    assert scalar(fresh, "SELECT count(*) FROM fetch_queue") == 0
    start_anew(fresh)
    tmdb.requests.clear()
    assert movie_pipeline.main(arguments) == 0
    assert every_film(fresh) == found
    # What was on its way at a kill, a page of a list or the export, and the changes of a further run.
    assert killed <= len(tmdb.requests) + len(kills) * (UNDER_WAY + 2)
    assert set(details) == set(tmdb.films)


def test_of_two_at_once_one_does_the_work_and_the_other_says_so(fresh: Engine, tmdb: TmdbStandIn) -> None:
    with Pipeline(TMDB_RATE="60") as first:
        eventually(lambda: bool(tmdb.details()), "the first is under way")
        with Pipeline(TMDB_RATE="60") as second:
            code, _, said = second.end()
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith("error: The job `ingest` is running in another process")
        assert first.end()[0] == 0
    assert sorted(tmdb.details()) == sorted(tmdb.films)


def test_since_a_day_brings_what_changed(
    fresh: Engine, tmdb: TmdbStandIn, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert movie_pipeline.main([]) == 0
    today = dt.datetime.now(dt.UTC).date()
    for film in (3, 5):
        tmdb.change(film, today - dt.timedelta(days=20), overview="Told anew.")
    tmdb.gone = {7}
    tmdb.change(7, today)
    tmdb.requests.clear()
    capsys.readouterr()
    assert movie_pipeline.main(["--since", str(today - dt.timedelta(days=30))]) == 0
    assert "TMDB: 0 new, 2 changed, 0 unchanged, 0 failed, 1 gone" in capsys.readouterr().out.splitlines()
    assert sorted(tmdb.details()) == [3, 5, 7]
    assert scalar(fresh, "SELECT count(*) FROM movies WHERE embedding_hash = text_hash") == 150


def test_faults_on_the_way_cost_no_film_and_are_told(
    fresh: Engine, tmdb: TmdbStandIn, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    tmdb.chance = Chance(0.1, seed=5, kinds=("reset", "truncated", "html", "type"))
    assert movie_pipeline.main(["--full"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "TMDB: 150 new, 0 changed, 0 unchanged, 0 failed" in said
    (told,) = [line for line in said if line.startswith("  on the way: ")]
    assert sum(int(part.split(" x ")[0]) for part in told.removeprefix("  on the way: ").split(", ")) == (
        tmdb.chance.dealt.total()
    )


@pytest.mark.parametrize("day", ["2999-01-01", "yesterday", "2026-13-01"])
def test_a_day_that_is_none_is_wrong_usage(day: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        movie_pipeline.main(["--since", day])
    assert caught.value.code == 2


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
