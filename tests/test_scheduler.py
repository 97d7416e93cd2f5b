"""`python -m backend scheduler` as it is run: processes that share the work, and whatever ends them."""

import datetime as dt
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, text

from backend import scheduler as scheduler_module
from backend.config import Settings
from backend.embedded_postgres import EmbeddedPostgres
from backend.main import create_app
from backend.operations.hours import JOBS, previous_due
from backend.operations.jobs import present, request_job
from backend.scheduler import Health, Scheduler, make_clock
from tests.faults.ledger import Ledger
from tests.test_embedded_postgres import eventually, is_stopped, postmaster, temporary_home
from tests.test_serve import environment
from tests.tmdb_stand_in import KEY, TmdbStandIn, numbered_films

ROOT = Path(__file__).parents[1]
Row = tuple[str, str]


class Running:
    """A scheduler and what it says."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, which it does in order and without a word."""
        self.process.send_signal(number)
        assert self.process.wait(60) == 0, self.log
        assert "Traceback" not in self.log

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def scheduling(data: Path, *options: str, **more: str) -> Iterator[Running]:
    """A scheduler from its first line until the end of the block."""
    data.mkdir(exist_ok=True)
    log = data / f"scheduler-{len(list(data.glob('scheduler-*')))}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "backend", "scheduler", *options],
            cwd=ROOT,
            env=environment(data, **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "The scheduler is running\n", log.read_text()
            yield Running(process, log)
        finally:
            process.kill()


@pytest.fixture
def url(own_engine: Engine) -> str:
    """The address of the test's database, of which `own_engine` is the engine."""
    return own_engine.url.render_as_string(hide_password=False)


def runs(engine: Engine) -> list[Row]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT job, outcome FROM job_runs ORDER BY id"))
        return [(row.job, row.outcome) for row in rows]


def ask(engine: Engine, job: str) -> None:
    with engine.begin() as connection:
        request_job(connection, job)


def ran(engine: Engine, job: str, *, days_ago: float) -> None:
    """Put a run into the past."""
    insert = "INSERT INTO job_runs (job, outcome, started_at) VALUES (:job, 'succeeded', :at)"
    at = dt.datetime.now(dt.UTC) - dt.timedelta(days=days_ago)
    with engine.begin() as connection:
        connection.execute(text(insert), {"job": job, "at": at})


@contextmanager
def films_held(engine: Engine, mode: str = "ACCESS EXCLUSIVE") -> Iterator[None]:
    """No job comes past the films within the block, so that what happens to it happens in the middle."""
    with engine.connect() as connection, connection.begin():
        connection.execute(text(f"LOCK TABLE movies IN {mode} MODE"))
        yield


# What is due


def test_of_two_schedulers_that_start_together_one_runs_what_is_due(
    own_engine: Engine, url: str, tmp_path: Path
) -> None:
    for job in JOBS:
        ran(own_engine, job, days_ago=2 if job == "embeddings" else 0)
    with ExitStack() as both:
        with films_held(own_engine):
            started = [both.enter_context(scheduling(tmp_path / name, DATABASE_URL=url)) for name in "ab"]
            eventually(lambda: ("embeddings", "running") in runs(own_engine), "one runs it")
        eventually(lambda: "running" not in dict(runs(own_engine)).values(), "it has been run")
        ask(own_engine, "index")
        eventually(lambda: ("index", "succeeded") in runs(own_engine)[len(JOBS) :], "they go on")
        for scheduler in started:
            scheduler.end()
    assert runs(own_engine)[len(JOBS) :] == [("embeddings", "succeeded"), ("index", "succeeded")]


def test_a_database_without_any_run_has_nothing_to_catch_up_on(
    own_engine: Engine, url: str, tmp_path: Path
) -> None:
    with scheduling(tmp_path, DATABASE_URL=url) as scheduler:
        ask(own_engine, "index")
        eventually(lambda: runs(own_engine) == [("index", "succeeded")], "what was asked for has been run")
        scheduler.end(signal.SIGINT)


def test_each_job_is_due_at_its_hour_and_late_rather_than_never(
    own_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    work = {job: lambda settings, job=job: done.append(job) or {"films": 1} for job in JOBS}
    monkeypatch.setattr(scheduler_module, "JOB_WORK", work)
    settings = Settings(_env_file=None, train_hour=13)
    scheduler = Scheduler(own_engine, settings, SimpleNamespace(begun=False))
    clock = make_clock(settings, scheduler)
    alarms = {alarm.id: alarm for alarm in clock.get_jobs()}
    assert {job: str(alarms[job].trigger) for job in JOBS} == {
        job: f"cron[hour='{hour}']" for job, hour in zip(JOBS, (3, 4, 5, 13, 7), strict=True)
    }
    train = alarms["train"]
    for _ in range(2):
        train.func(*train.args)
    with present(own_engine) as connection:
        scheduler._look(connection)
        scheduler._look(connection)
    assert done == ["train"]
    with own_engine.connect() as connection:
        due_at = connection.scalar(text("SELECT due_at FROM job_runs"))
    assert due_at == previous_due(13, dt.datetime.now(dt.UTC))


@pytest.mark.parametrize(("source", "asked"), [("file", ["ingest"]), ("tmdb", [])])
def test_with_a_key_and_nothing_from_tmdb_the_catalogue_is_fetched_at_once(
    own_engine: Engine, monkeypatch: pytest.MonkeyPatch, source: str, asked: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(scheduler_module, "JOB_WORK", {"ingest": lambda settings: done.append("ingest") or {}})
    with own_engine.begin() as connection:
        insert = "INSERT INTO movies (id, title, source) VALUES (862, 'Toy Story', :source)"
        connection.execute(text(insert), {"source": source})
    settings = Settings(_env_file=None, tmdb_api_key="key")
    scheduler = Scheduler(own_engine, settings, SimpleNamespace(begun=False))
    with present(own_engine) as connection:
        scheduler._begin(connection)
        scheduler._look(connection)
    assert done == asked


# What is asked for


def test_what_is_asked_for_through_the_api_is_picked_up(own_engine: Engine, url: str, tmp_path: Path) -> None:
    client = TestClient(create_app(Settings(_env_file=None, data_dir=tmp_path)))

    def index() -> dict[str, Any]:
        (job,) = [job for job in client.get("/jobs").json()["jobs"] if job["name"] == "index"]
        return job

    assert not client.get("/jobs").json()["scheduler_running"]
    run = client.post("/jobs/index/run").json()["run_id"]
    assert (index()["queued"], index()["last"]) == (True, None)
    with scheduling(tmp_path, DATABASE_URL=url) as scheduler:
        eventually(lambda: (index()["last"] or {}).get("outcome") == "succeeded", "it was run")
        assert (index()["queued"], index()["last"]["id"]) == (False, run)
        assert index()["last"]["counts"]["kind"] == "exact"
        assert client.get("/jobs").json()["scheduler_running"]
        scheduler.end()
    assert not client.get("/jobs").json()["scheduler_running"]
    assert scheduler.log.count("job_started") == scheduler.log.count("job_ended") == 1


# What ends it


def test_what_a_kill_interrupts_the_next_scheduler_finishes(
    own_engine: Engine, url: str, tmp_path: Path, ledger: Ledger
) -> None:
    jobs = ["embeddings", "index", "train", "cache"]
    took = []
    with ExitStack() as stack:
        scheduler = stack.enter_context(scheduling(tmp_path, DATABASE_URL=url))
        for job in jobs:
            with films_held(own_engine):
                ask(own_engine, job)
                eventually(lambda job=job: (job, "running") in runs(own_engine), "it is running")
                scheduler.kill()
                scheduler = stack.enter_context(scheduling(tmp_path, DATABASE_URL=url))
                found = [(job, "interrupted"), (job, "running")]
                eventually(lambda found=found: runs(own_engine)[-2:] == found, "it is running again")
            since = time.monotonic()
            eventually(lambda: runs(own_engine)[-1][1] != "running", "it was finished")
            took.append(time.monotonic() - since)
        scheduler.end()
    ends = {"embeddings": "succeeded", "index": "succeeded", "train": "skipped", "cache": "succeeded"}
    assert runs(own_engine) == [row for job in jobs for row in ((job, "interrupted"), (job, ends[job]))]
    told_of_kill(ledger, ", ".join(jobs), took=max(took))


def told_of_kill(ledger: Ledger, jobs: str, *, took: float) -> None:
    """For the page: each was killed in the middle, for what it needs was withheld, and the next run ended it."""
    see = "nothing; the run counts as interrupted, and the next scheduler begins it again"
    ledger.fault(f"scheduler killed (-9) in {jobs}", clients_see=see, lost="nothing", well_again_after=took)


def test_a_refresh_from_tmdb_that_a_kill_interrupts_is_finished_too(
    own_engine: Engine, url: str, tmp_path: Path, ledger: Ledger
) -> None:
    with TmdbStandIn(numbered_films(3)) as tmdb:
        options = {"DATABASE_URL": url, "TMDB_API_KEY": KEY, "TMDB_BASE_URL": tmdb.url}
        # What reads may go on; the first batch of films waits.
        with films_held(own_engine, "SHARE"), scheduling(tmp_path, **options) as scheduler:
            eventually(lambda: bool(tmdb.details()), "films are being fetched")
            scheduler.kill()
        with scheduling(tmp_path, **options) as scheduler:
            since = time.monotonic()
            eventually(lambda: runs(own_engine)[-1] == ("ingest", "succeeded"), "it was finished")
            took = time.monotonic() - since
            scheduler.end()
    with own_engine.connect() as connection:
        assert connection.scalar(text("SELECT count(embedding) FROM movies WHERE source = 'tmdb'")) == 3
    told_of_kill(ledger, "ingest", took=took)


def test_without_a_database_it_says_so_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "backend", "scheduler"],
        cwd=ROOT,
        env=environment(tmp_path, DATABASE_URL="postgresql://nobody:hidden@127.0.0.1:1/nothing"),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: the database can't be used")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_a_job_in_order(
    own_engine: Engine, url: str, tmp_path: Path, number: signal.Signals
) -> None:
    with scheduling(tmp_path, DATABASE_URL=url) as scheduler:
        with films_held(own_engine):
            ask(own_engine, "index")
            # The row alone would not do: one whose process ends in that instant is left to the next scheduler.
            eventually(lambda: "job_started" in scheduler.log, "it is running")
            scheduler.process.send_signal(number)
            eventually(lambda: runs(own_engine) == [("index", "interrupted")], "it says so")
        # A second Ctrl-C changes nothing.
        scheduler.end(number)


def test_it_ends_with_the_parent_that_holds_its_standard_input(
    own_engine: Engine, url: str, tmp_path: Path
) -> None:
    with scheduling(tmp_path, "--while-stdin-is-open", DATABASE_URL=url) as scheduler:
        assert scheduler.process.stdin is not None
        scheduler.process.stdin.close()
        assert scheduler.process.wait(60) == 0
    assert "Traceback" not in scheduler.log


def test_a_database_that_dies_is_brought_back_and_what_was_asked_for_is_done() -> None:
    with temporary_home() as home, scheduling(home / "data") as scheduler:
        server = EmbeddedPostgres(home / "data" / "postgres")
        killed = postmaster(server.directory)
        engine = create_engine(server.url())
        ask(engine, "index")
        eventually(lambda: runs(engine) == [("index", "succeeded")], "it was run")
        engine.dispose()
        killed.kill()
        eventually(lambda: "embedded_postgres_back" in scheduler.log, "it is back")
        assert postmaster(server.directory).pid != killed.pid
        ask(engine, "cache")
        eventually(lambda: runs(engine)[-1] == ("cache", "succeeded"), "it was run")
        engine.dispose()
        scheduler.end()
        assert is_stopped(server.directory)
        assert scheduler.log.count("database_unusable") == scheduler.log.count("database_usable_again") == 1


def test_trouble_is_told_once_and_its_end_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    health = Health("database", Settings(_env_file=None, tmdb_api_key="secret"))
    for error in (OSError("no secret"), OSError("still")):
        health.fell_ill(error)
    for _ in range(2):
        health.is_well()
    told = capsys.readouterr().out
    assert "no ***" in told
    assert (told.count("database_unusable"), told.count("database_usable_again")) == (1, 1)
