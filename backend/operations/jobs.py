"""Runs of jobs: each a row, and a lock that is held for as long as the run lasts.

The connection that holds the lock also writes the row, so whoever has lost the lock can't say that a run went
well. A row that says `running` while nobody holds its lock is of a process that was killed.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    Engine,
    Row,
    Select,
    and_,
    exists,
    extract,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate, Update

from backend.config import Settings
from backend.errors import JobBusyError, JobNotFoundError
from backend.models import JobRun
from backend.operations.hours import JOBS, previous_due
from backend.operations.record import Counts, Ended, Record

Work = Callable[[Settings], Counts]
Begin = ReturningInsert[int] | ReturningUpdate[int]

LOCKS = 0x4D6172
"""The first half of an advisory lock's number; the second is the job's hash, or 0 for the schedulers'."""
UNFINISHED = ("running", "interrupted")
ENDED = ("succeeded", "skipped", "failed")
TRIES = 10
"""A job interrupted so often in a row waits for its next hour: it may be what kills the process."""


@dataclass(frozen=True)
class JobRunner:
    """Runs jobs: of each one at a time, over all processes that share the database."""

    engine: Engine
    settings: Settings
    work: Mapping[str, Work]

    def run_due(self, job: str, due_at: dt.datetime) -> Ended | None:
        """Run a job for an hour at which it was due; None where another process does, or did."""
        return self._run(job, due_statement(job, due_at))

    def run_waiting(self, job: str) -> Ended | None:
        """Run what was asked for, or was left unfinished; None where another process does, or did."""
        return self._run(job, claim_statement(job), resume_statement(job))

    def run_now(self, job: str) -> Ended:
        """Run a job that somebody waits for. Raises what the job raises, and JobBusyError."""
        ended = self._run(job, start_statement(job), by_hand=True)
        if ended is None:
            raise JobBusyError(f"The job `{job}` is running in another process: wait for its end, then try again.")
        return ended

    def _run(self, job: str, *ways: Begin, by_hand: bool = False) -> Ended | None:
        """Begin in the first of these ways that is open, and see it through."""
        with locked(self.engine, job) as connection:
            if connection is None:
                return None
            connection.execute(interrupted_statement(job))
            begun = (connection.scalar(way) for way in ways)
            run = next((run for run in begun if run is not None), None)
            if run is None:
                return None
            record = Record(job, self.settings, by_hand=by_hand)
            try:
                with record:
                    record.counts = self.work[job](self.settings)
            finally:
                connection.execute(ended_statement(run, record.ended))
            return record.ended


@contextmanager
def present(engine: Engine) -> Iterator[Connection]:
    """A connection by which others can tell that a scheduler is there."""
    with _session(engine) as connection:
        connection.execute(text("SELECT pg_advisory_lock_shared(:locks, 0)"), {"locks": LOCKS})
        yield connection
        # As with a job's lock.
        connection.execute(text("SELECT pg_advisory_unlock_shared(:locks, 0)"), {"locks": LOCKS})


def waiting_jobs(connection: Connection) -> list[str]:
    """The jobs that were asked for or left unfinished, and that nobody is running."""
    found = set(connection.scalars(waiting_statement()))
    return [job for job in JOBS if job in found]


def missed_jobs(connection: Connection, hours: Mapping[str, int]) -> dict[str, dt.datetime]:
    """The jobs whose hour has passed since they last ran, and when it was; nothing where none ever ran."""
    rows = connection.execute(last_starts_statement()).all()
    if not rows:
        return {}
    last = {row.job: row.last for row in rows}
    first = min(row.first for row in rows)
    now = dt.datetime.now(dt.UTC)
    due = {job: previous_due(hour, now) for job, hour in hours.items()}
    return {job: at for job, at in due.items() if at > last.get(job, first)}


def request_job(session: Session | Connection, job: str) -> int:
    """Ask for a run, which a scheduler begins; the number of the row, the same until then.

    Raises JobNotFoundError.
    """
    check_job(job)
    run = session.scalar(request_statement(job))
    assert run is not None
    return run


def last_runs(session: Session) -> list[Row[Any]]:
    """For each job its last run, whether one is asked for, and whether there is a scheduler; a row a job."""
    return list(session.execute(_LAST_RUNS, {"jobs": list(JOBS), "locks": LOCKS}))


def seconds_since_success(session: Session) -> dict[str, float | None]:
    """For each job how long ago it last succeeded; None where it never did."""
    age = func.extract("epoch", func.now() - func.max(JobRun.ended_at))
    found = session.execute(select(JobRun.job, age).where(JobRun.outcome == "succeeded").group_by(JobRun.job))
    ages = {job: float(seconds) for job, seconds in found}
    return {job: ages.get(job) for job in JOBS}


def past_runs(session: Session, job: str, *, limit: int) -> list[Row[Any]]:
    """The last runs of a job, the newest first; one that goes on is among them. Raises JobNotFoundError."""
    check_job(job)
    return list(session.execute(past_runs_statement(job, limit=limit)))


def check_job(job: str) -> None:
    """Raise JobNotFoundError where there is no such job."""
    if job not in JOBS:
        raise JobNotFoundError(f"There is no job `{job}`; there are {', '.join(JOBS)}.")


# Beginnings


def due_statement(job: str, due_at: dt.datetime) -> Begin:
    """A run for an hour; no row where it has been run."""
    values = {"job": job, "outcome": "running", "due_at": due_at, "started_at": func.now()}
    return upsert(JobRun).values(values).on_conflict_do_nothing(constraint="job_runs_due_key").returning(JobRun.id)


def claim_statement(job: str) -> Begin:
    """The run that was asked for; no row where there is none."""
    queued = select(JobRun.id).where(JobRun.job == job, JobRun.outcome == "queued")
    return (
        update(JobRun)
        .where(JobRun.id == queued.with_for_update(skip_locked=True).scalar_subquery())
        .values(outcome="running", started_at=func.now())
        .returning(JobRun.id)
    )


def resume_statement(job: str) -> Begin:
    """A new run of a job that was left unfinished; no row where it was not."""
    left = unfinished_statement().where(JobRun.job == job).subquery()
    columns = select(left.c.job, text("'running'"), func.now())
    return insert(JobRun).from_select(["job", "outcome", "started_at"], columns).returning(JobRun.id)


def start_statement(job: str) -> Begin:
    """A run right now."""
    values = {"job": job, "outcome": "running", "started_at": func.now()}
    return insert(JobRun).values(values).returning(JobRun.id)


def request_statement(job: str) -> Begin:
    """A run that waits for a scheduler: the one that waits already, where there is one."""
    asked = upsert(JobRun).values(job=job, outcome="queued")
    return asked.on_conflict_do_update(
        index_elements=[JobRun.job],
        index_where=text("outcome = 'queued'"),
        set_={"outcome": asked.excluded.outcome},
    ).returning(JobRun.id)


# Ends


def ended_statement(run: int, ended: Ended) -> Update:
    """How a run ended."""
    values = {"outcome": ended.outcome, "counts": ended.counts, "error": ended.error, "ended_at": func.now()}
    return update(JobRun).where(JobRun.id == run).values(values)


def interrupted_statement(job: str) -> Update:
    """The end of runs whose process was killed; for whoever holds the lock."""
    killed = and_(JobRun.job == job, JobRun.outcome == "running")
    return update(JobRun).where(killed).values(outcome="interrupted", ended_at=func.now())


# Questions


def waiting_statement() -> Select[str]:
    """What `waiting_jobs` asks."""
    unfinished = unfinished_statement().scalar_subquery()
    waits = or_(JobRun.outcome == "queued", JobRun.job.in_(unfinished))
    return select(JobRun.job).distinct().where(waits, _NOBODY_RUNS_IT.bindparams(locks=LOCKS))


def past_runs_statement(job: str, *, limit: int) -> Select[*tuple[Any, ...]]:
    """What `past_runs` asks."""
    seconds = extract("epoch", JobRun.ended_at - JobRun.started_at).cast(Double).label("seconds")
    told = (JobRun.started_at, JobRun.ended_at, seconds, JobRun.counts, JobRun.error)
    runs = select(JobRun.job, JobRun.outcome, *told).where(JobRun.job == job, JobRun.started_at.is_not(None))
    return runs.order_by(JobRun.started_at.desc(), JobRun.id.desc()).limit(limit)


def unfinished_statement() -> Select[str]:
    """The jobs that were begun since their last end, and have not ended."""
    later = aliased(JobRun)
    end = exists().where(later.job == JobRun.job, later.started_at > JobRun.started_at, later.outcome.in_(ENDED))
    left = select(JobRun.job).where(JobRun.outcome.in_(UNFINISHED), ~end)
    return left.group_by(JobRun.job).having(func.count() < TRIES)


def last_starts_statement() -> Select[str, dt.datetime | None, dt.datetime | None]:
    """When each job ran for the first time, and for the last."""
    first, last = func.min(JobRun.started_at), func.max(JobRun.started_at)
    starts = select(JobRun.job, first.label("first"), last.label("last"))
    return starts.where(JobRun.started_at.is_not(None)).group_by(JobRun.job)


# The numbers of locks are unsigned in pg_locks.
_NOBODY_RUNS_IT = text("""
    NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND classid = :locks AND objsubid = 2
            AND objid = CAST(CAST(hashtext(job_runs.job) AS bigint) & 4294967295 AS oid)
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
""")

_LAST_RUNS = text("""
    SELECT jobs.job, run.*,
        EXISTS (SELECT FROM job_runs WHERE job = jobs.job AND outcome = 'queued') AS queued,
        EXISTS (
            SELECT FROM pg_locks
            WHERE locktype = 'advisory' AND classid = :locks AND objsubid = 2 AND objid = 0
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        ) AS scheduler_running
    FROM unnest(CAST(:jobs AS text[])) WITH ORDINALITY AS jobs (job, place)
    LEFT JOIN LATERAL (
        SELECT id, outcome, due_at, requested_at, started_at, ended_at, counts, error
        FROM job_runs
        WHERE job = jobs.job AND started_at IS NOT NULL
        ORDER BY started_at DESC, id DESC
        LIMIT 1
    ) run ON true
    ORDER BY jobs.place
""")


# Locks


@contextmanager
def locked(engine: Engine, job: str) -> Iterator[Connection | None]:
    """A connection that holds the job's lock, or None where another does."""
    name = {"locks": LOCKS, "job": job}
    with _session(engine) as connection:
        held = connection.scalar(text("SELECT pg_try_advisory_lock(:locks, hashtext(:job))"), name)
        yield connection if held else None
        if held:
            # With the session it would end too, but only some moments later.
            connection.execute(text("SELECT pg_advisory_unlock(:locks, hashtext(:job))"), name)


@contextmanager
def _session(engine: Engine) -> Iterator[Connection]:
    """A database session outside of the pool and of transactions; its locks end with it."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()
        yield connection
