"""Runs of jobs: one at a time, each a row that says what became of it, and taken up again after a kill."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from apscheduler.triggers.cron import CronTrigger
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.errors import JobBusyError, JobNotFoundError, JobSkippedError, UsageError
from backend.operations import hours as hours_module
from backend.operations.hours import next_due, previous_due
from backend.operations.jobs import (
    TRIES,
    JobRunner,
    last_runs,
    missed_jobs,
    present,
    request_job,
    waiting_jobs,
)
from backend.operations.record import Counts, Ended
from tests.test_embedded_postgres import eventually

TONIGHT = dt.datetime(2026, 3, 1, 4, tzinfo=dt.UTC)
TOMORROW = TONIGHT + dt.timedelta(days=1)
SETTINGS = Settings(
    _env_file=None,
    tmdb_api_key=SecretStr("tmdbkey"),
    database_url=SecretStr("postgresql://me:pass-word@db/marquee"),
)
Rows = list[dict[str, Any]]


class Job:
    """Work that counts how often it was done, and does what the test says."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.done = 0
        self.then = then

    def __call__(self, settings: Settings) -> Counts:
        self.done += 1
        self.then()
        return {"films": self.done}


@pytest.fixture
def job() -> Job:
    return Job()


@pytest.fixture
def runner(own_engine: Engine, job: Job) -> JobRunner:
    return JobRunner(own_engine, SETTINGS, {"train": job, "cache": job})


def rows(engine: Engine) -> Rows:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text("SELECT * FROM job_runs ORDER BY id")).mappings()]


def outcomes(engine: Engine) -> list[str]:
    return [row["outcome"] for row in rows(engine)]


def waiting(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return waiting_jobs(connection)


def ask(engine: Engine, job: str = "train") -> int:
    with engine.begin() as connection:
        return request_job(connection, job)


def pretend(engine: Engine, job: str, outcome: str, started: dt.datetime) -> None:
    """Put a run into the past."""
    insert = "INSERT INTO job_runs (job, outcome, started_at) VALUES (:job, :outcome, :started)"
    with engine.begin() as connection:
        connection.execute(text(insert), {"job": job, "outcome": outcome, "started": started})


@contextmanager
def going_on(runner: JobRunner, job: Job) -> Iterator[threading.Thread]:
    """A run by somebody else that lasts as long as the block."""
    begun, end = threading.Event(), threading.Event()

    def last() -> None:
        begun.set()
        end.wait(60)

    job.then = last
    thread = threading.Thread(target=runner.run_now, args=("train",))
    thread.start()
    try:
        assert begun.wait(60)
        job.then = lambda: None
        yield thread
    finally:
        end.set()
        thread.join()


def raising(error: BaseException) -> Callable[[], None]:
    def then() -> None:
        raise error

    return then


# What is written down


def test_a_run_is_a_row_with_its_begin_its_end_and_what_it_counted(runner: JobRunner) -> None:
    assert runner.run_due("train", TONIGHT) == Ended("train", "succeeded", {"films": 1})
    (row,) = rows(runner.engine)
    assert (row["job"], row["outcome"], row["counts"], row["error"]) == ("train", "succeeded", {"films": 1}, None)
    assert row["due_at"] == TONIGHT
    assert row["requested_at"] <= row["started_at"] <= row["ended_at"]


def test_while_it_lasts_it_is_running(runner: JobRunner, job: Job) -> None:
    seen: Rows = []
    job.then = lambda: seen.extend(rows(runner.engine))
    runner.run_due("train", TONIGHT)
    assert [(row["outcome"], row["ended_at"]) for row in seen] == [("running", None)]


@pytest.mark.parametrize(
    ("error", "outcome", "said"),
    [
        (JobSkippedError("Nobody rated anything."), "skipped", "Nobody rated anything."),
        (UsageError("Two things\ncan't be."), "failed", "Two things can't be."),
        (OSError(28, "No space left on device"), "failed", "OSError: [Errno 28] No space left on device"),
        (ValueError("one\ntwo"), "failed", "ValueError: one"),
        (KeyError(), "failed", "KeyError"),
        (OSError("http://tmdb/?api_key=tmdbkey&page=1"), "failed", "OSError: http://tmdb/?api_key=***&page=1"),
        (
            OperationalError("SELECT 1", {}, Exception("pass-word refused\nhint")),
            "failed",
            "OperationalError: *** refused",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_why_it_did_not_succeed_is_one_line_without_secrets(
    runner: JobRunner, job: Job, error: Exception, outcome: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job.then = raising(error)
    runner.run_due("train", TONIGHT)
    (row,) = rows(runner.engine)
    assert (row["outcome"], row["error"]) == (outcome, said)
    assert row["ended_at"] is not None
    told = capsys.readouterr()
    assert "tmdbkey" not in told.out + told.err


def test_a_failed_run_has_been_run_and_waits_for_the_next_night(runner: JobRunner, job: Job) -> None:
    job.then = raising(ValueError("no"))
    runner.run_due("train", TONIGHT)
    assert waiting(runner.engine) == []
    assert runner.run_due("train", TONIGHT) is None
    job.then = lambda: None
    ended = runner.run_due("train", TOMORROW)
    assert ended is not None
    assert ended.outcome == "succeeded"


# Once for each hour


def test_an_hour_is_run_once_even_by_one_who_comes_when_it_is_over(runner: JobRunner, job: Job) -> None:
    assert runner.run_due("train", TONIGHT)
    assert runner.run_due("train", TONIGHT) is None
    assert job.done == 1
    assert runner.run_due("cache", TONIGHT)
    assert runner.run_due("train", TOMORROW)
    assert len(rows(runner.engine)) == 3


def test_of_many_who_come_at_the_same_time_one_runs_it(runner: JobRunner, job: Job) -> None:
    together = threading.Barrier(6)

    def come() -> None:
        together.wait()
        runner.run_due("train", TONIGHT)

    threads = [threading.Thread(target=come) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert job.done == 1
    assert outcomes(runner.engine) == ["succeeded"]


def test_a_job_that_is_running_is_left_to_whoever_runs_it(runner: JobRunner, job: Job) -> None:
    with going_on(runner, job):
        assert runner.run_due("train", TONIGHT) is None
        ask(runner.engine)
        assert waiting(runner.engine) == []
        assert runner.run_waiting("train") is None
        with pytest.raises(JobBusyError, match="`train` is running in another process"):
            runner.run_now("train")
        assert outcomes(runner.engine) == ["running", "queued"]
        assert runner.run_due("cache", TONIGHT)
    assert waiting(runner.engine) == ["train"]


# On request


def test_what_is_asked_for_is_run_once_however_often_it_was_asked_for(runner: JobRunner, job: Job) -> None:
    run = ask(runner.engine)
    assert ask(runner.engine) == run
    assert waiting(runner.engine) == ["train"]
    assert runner.run_waiting("train") == Ended("train", "succeeded", {"films": 1})
    assert runner.run_waiting("train") is None
    (row,) = rows(runner.engine)
    assert (row["id"], row["outcome"], row["due_at"]) == (run, "succeeded", None)
    assert row["requested_at"] < row["started_at"]
    assert ask(runner.engine) != run


def test_what_is_asked_for_while_it_runs_is_run_once_more(runner: JobRunner, job: Job) -> None:
    job.then = lambda: None if len(rows(runner.engine)) > 1 else ask(runner.engine) and None
    ask(runner.engine)
    runner.run_waiting("train")
    # The server lets go of the first run's lock a moment after its session has ended.
    eventually(lambda: waiting(runner.engine) == ["train"], "the second one waits")
    runner.run_waiting("train")
    assert waiting(runner.engine) == []
    assert outcomes(runner.engine) == ["succeeded", "succeeded"]


def test_a_job_that_does_not_exist_can_not_be_asked_for(own_engine: Engine) -> None:
    with pytest.raises(JobNotFoundError, match="no job `nonsense`; there are ingest, embeddings"):
        ask(own_engine, "nonsense")


# By hand


def test_who_runs_a_job_by_hand_gets_its_counts_or_its_error(runner: JobRunner, job: Job) -> None:
    assert runner.run_now("train").counts == {"films": 1}
    job.then = raising(JobSkippedError("Too little."))
    assert (runner.run_now("train").outcome, runner.run_now("train").error) == ("skipped", "Too little.")
    job.then = raising(UsageError("No."))
    with pytest.raises(UsageError):
        runner.run_now("train")
    assert outcomes(runner.engine) == ["succeeded", "skipped", "skipped", "failed"]


def test_what_was_stopped_by_hand_is_not_begun_again(runner: JobRunner, job: Job) -> None:
    job.then = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        runner.run_now("train")
    (row,) = rows(runner.engine)
    assert (row["outcome"], row["error"]) == ("failed", "Stopped by hand.")
    assert waiting(runner.engine) == []


# Interrupted


def test_a_run_that_the_end_of_its_process_interrupted_is_run_again_once(runner: JobRunner, job: Job) -> None:
    job.then = raising(SystemExit(0))
    with pytest.raises(SystemExit):
        runner.run_due("train", TONIGHT)
    assert outcomes(runner.engine) == ["interrupted"]
    assert waiting(runner.engine) == ["train"]
    job.then = lambda: None
    assert runner.run_waiting("train")
    assert runner.run_waiting("train") is None
    assert outcomes(runner.engine) == ["interrupted", "succeeded"]
    assert waiting(runner.engine) == []


def test_a_run_whose_process_was_killed_is_run_again_once(runner: JobRunner, job: Job) -> None:
    pretend(runner.engine, "train", "running", TONIGHT)
    assert waiting(runner.engine) == ["train"]
    assert runner.run_waiting("train")
    assert runner.run_waiting("train") is None
    first, second = rows(runner.engine)
    assert (first["outcome"], second["outcome"]) == ("interrupted", "succeeded")
    assert first["ended_at"] is not None


def test_a_run_that_lost_the_database_is_run_again(runner: JobRunner, job: Job) -> None:
    def lose() -> None:
        holders = """
            SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        """
        with runner.engine.connect() as connection:
            connection.execute(text(holders))

    job.then = lose
    with pytest.raises(OperationalError):
        runner.run_due("train", TONIGHT)
    assert outcomes(runner.engine) == ["running"]
    assert waiting(runner.engine) == ["train"]


def test_a_new_request_takes_the_place_of_what_was_interrupted(runner: JobRunner, job: Job) -> None:
    pretend(runner.engine, "train", "interrupted", TONIGHT)
    ask(runner.engine)
    runner.run_waiting("train")
    assert runner.run_waiting("train") is None
    assert outcomes(runner.engine) == ["interrupted", "succeeded"]


def test_a_job_that_never_comes_to_its_end_waits_for_its_hour(runner: JobRunner, job: Job) -> None:
    for number in range(TRIES):
        assert waiting(runner.engine) == ["train"] * bool(number)
        pretend(runner.engine, "train", "running", TONIGHT + dt.timedelta(minutes=number))
    assert waiting(runner.engine) == []
    assert runner.run_waiting("train") is None
    assert runner.run_due("train", TOMORROW)


# Missed


def hours(**chosen: int) -> dict[str, int]:
    """Hours of the two jobs of these tests."""
    return {"train": 6, "cache": 7} | chosen


def missed(engine: Engine, **chosen: int) -> dict[str, dt.datetime]:
    with engine.connect() as connection:
        return missed_jobs(connection, hours(**chosen))


def days_ago(days: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=days)


def test_a_database_without_any_run_has_missed_nothing(own_engine: Engine) -> None:
    assert missed(own_engine) == {}
    ask(own_engine)
    assert missed(own_engine) == {}


def test_a_job_has_missed_the_hour_that_passed_since_it_ran(own_engine: Engine) -> None:
    pretend(own_engine, "train", "failed", days_ago(2))
    pretend(own_engine, "train", "succeeded", days_ago(3))
    pretend(own_engine, "cache", "succeeded", days_ago(0))
    now = dt.datetime.now(dt.UTC)
    assert missed(own_engine) == {"train": previous_due(6, now)}


def test_a_job_that_never_ran_has_missed_what_passed_since_anything_ran(own_engine: Engine) -> None:
    pretend(own_engine, "cache", "succeeded", days_ago(0))
    assert missed(own_engine) == {}
    pretend(own_engine, "cache", "succeeded", days_ago(1.5))
    assert list(missed(own_engine)) == ["train"]


def test_what_was_caught_up_is_not_missed_any_more(runner: JobRunner) -> None:
    pretend(runner.engine, "train", "succeeded", days_ago(2))
    due_at = missed(runner.engine)["train"]
    assert runner.run_due("train", due_at)
    assert "train" not in missed(runner.engine)


ZONES = ("UTC", "Europe/Kyiv", "Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe")


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 4, 23])
def test_a_job_is_due_once_a_day_where_clocks_change_too(
    monkeypatch: pytest.MonkeyPatch, zone: str, hour: int
) -> None:
    monkeypatch.setattr(hours_module, "CronTrigger", partial(CronTrigger, timezone=zone))
    start = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    asked = [start + dt.timedelta(hours=number, minutes=30) for number in range(24 * 364)]
    due = [previous_due(hour, moment) for moment in asked]
    assert due == sorted(due)
    assert max(moment - at for moment, at in zip(asked, due, strict=True)) <= dt.timedelta(hours=25)
    assert abs(len(set(due)) - 364) <= 1


@pytest.mark.parametrize("minutes", [0, 1, 59, 12 * 60, 24 * 60 - 1])
def test_the_hour_is_the_same_whoever_asks_however_late(minutes: int) -> None:
    due = previous_due(4, dt.datetime.now(dt.UTC))
    later = due + dt.timedelta(minutes=minutes)
    assert previous_due(4, later) == due
    assert next_due(4, later + dt.timedelta(microseconds=1)) == due + dt.timedelta(days=1)
    assert due.astimezone().hour == 4


# What others are told


def test_the_last_run_of_each_job_and_whether_a_scheduler_is_there_can_be_seen(
    runner: JobRunner, job: Job
) -> None:
    def seen() -> dict[str, Any]:
        with Session(runner.engine) as session:
            return {row.job: row for row in last_runs(session)}

    assert list(seen()) == ["ingest", "embeddings", "index", "train", "cache"]
    assert {(row.id, row.queued, row.scheduler_running) for row in seen().values()} == {(None, False, False)}
    runner.run_now("train")
    runner.run_now("train")
    pretend(runner.engine, "train", "failed", TONIGHT)
    ask(runner.engine)
    last = seen()["train"]
    assert (last.outcome, last.counts, last.queued) == ("succeeded", {"films": 2}, True)
    with present(runner.engine), present(runner.engine):
        assert seen()["cache"].scheduler_running
    eventually(lambda: not seen()["cache"].scheduler_running, "the server notices that both sessions have ended")
