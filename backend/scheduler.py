"""`python -m backend scheduler`: the jobs of the night, what is asked for by day, and the file cache kept fresh.

APScheduler tells the time; jobs run in the main thread, one after another, where a signal can end them in order.
"""

import datetime as dt
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from psycopg2.extensions import set_wait_callback
from psycopg2.extras import wait_select
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from backend.config import Settings
from backend.database import get_embedded_postgres, get_engine, session_scope
from backend.errors import AppError
from backend.migrations import migrate
from backend.ml.file_cache import CacheKeeper
from backend.operations.hours import job_hours, previous_due
from backend.operations.jobs import JobRunner, Work, missed_jobs, present, request_job, waiting_jobs
from backend.operations.nightly import JOB_WORK, has_films_of_tmdb
from backend.operations.record import Counts, Ended, one_line, without_secrets

log = structlog.get_logger()

LOOK_SECONDS = 1
"""How often the database is asked for runs that wait."""
FOLLOW_SECONDS = 20
PARENT_SECONDS = 2
"""What a parent that was killed is given to be gone for good."""
GRACE_SECONDS = 86_400
"""A machine that slept through the night does its jobs on waking: one moment of a day is always within a day."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TROUBLE = (DBAPIError, PoolTimeoutError, AppError, OSError)
"""What comes of a database or a disk that can't be used at the moment."""


def run_scheduler(settings: Settings, *, while_stdin_is_open: bool = False) -> None:
    """Look after the service until told to stop."""
    ending = Ending()
    # So that a signal ends a long statement too; the driver by itself would first wait for its answer.
    set_wait_callback(wait_select)
    if while_stdin_is_open:
        threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    engine = get_engine()
    migrate(engine)
    stop = threading.Event()
    if embedded := get_embedded_postgres():
        threading.Thread(target=embedded.supervise, args=(stop,), name="postgres", daemon=True).start()
    follow = CacheFollower(settings).keep_following
    threading.Thread(target=follow, args=(stop,), name="file cache", daemon=True).start()
    scheduler = Scheduler(engine, settings, ending)
    clock = make_clock(settings, scheduler)
    clock.start()
    try:
        scheduler.run()
    finally:
        stop.set()
        clock.shutdown(wait=False)


class Ending:
    """Makes the first signal end the process in order; further ones, as of a second Ctrl-C, change nothing."""

    def __init__(self) -> None:
        self.begun = False
        for number in SIGNALS:
            signal.signal(number, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.begun = True
        # Not by a handler that does nothing: Python takes its handlers away before it has quite ended.
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(0)


class Scheduler:
    """Runs jobs as they fall due, are asked for, or were left unfinished."""

    def __init__(self, engine: Engine, settings: Settings, ending: Ending) -> None:
        self._engine = engine
        self._settings = settings
        self._ending = ending
        self._runner = JobRunner(engine, settings, {job: _announced(job, work) for job, work in JOB_WORK.items()})
        self._due: SimpleQueue[tuple[str, dt.datetime]] = SimpleQueue()
        self._health = Health("database", settings)
        self._is_new = True

    def put_due(self, job: str, hour: int) -> None:
        """Note that a job is due."""
        self._due.put((job, previous_due(hour, dt.datetime.now(dt.UTC))))

    def run(self) -> None:
        """Go on until a signal comes; a database that is gone is waited for."""
        # An exit raised where Python swallows it, in a destructor, is made good here.
        while not self._ending.begun:
            try:
                with present(self._engine) as connection:
                    self._begin(connection)
                    while not self._ending.begun:
                        self._look(connection)
            except TROUBLE as error:
                self._health.fell_ill(error)
                time.sleep(LOOK_SECONDS)

    def _begin(self, connection: Connection) -> None:
        """Catch up on what was missed while there was no scheduler, or no database."""
        missed = missed_jobs(connection, job_hours(self._settings))
        self._health.is_well()
        if self._is_new:
            if "ingest" not in missed:
                self._fill()
            print("The scheduler is running", flush=True)
            self._is_new = False
        for job, due_at in missed.items():
            _tell(self._runner.run_due(job, due_at))

    def _fill(self) -> None:
        """An installation that has just been given its key does not wait for the night."""
        if self._settings.tmdb_api_key:
            with session_scope() as session:
                if not has_films_of_tmdb(session):
                    request_job(session, "ingest")

    def _look(self, connection: Connection) -> None:
        for job in waiting_jobs(connection):
            _tell(self._runner.run_waiting(job))
        with suppress(Empty):
            _tell(self._runner.run_due(*self._due.get(timeout=LOOK_SECONDS)))


class Health:
    """Says that something fails, and that it works again: once each."""

    def __init__(self, what: str, settings: Settings) -> None:
        self._what = what
        self._settings = settings
        self._is_well = True

    def fell_ill(self, error: Exception) -> None:
        """It fails."""
        if self._is_well:
            reason = without_secrets(one_line(error), self._settings)
            log.warning(f"{self._what}_unusable", reason=reason)
        self._is_well = False

    def is_well(self) -> None:
        """It works."""
        if not self._is_well:
            log.info(f"{self._what}_usable_again")
        self._is_well = True


class CacheFollower:
    """Keeps the file cache whole and its people fresh, while jobs run too."""

    def __init__(self, settings: Settings) -> None:
        self._keeper = CacheKeeper(settings)
        self._look: Callable[[], object] = self._keeper.ensure
        self._health = Health("file_cache", settings)

    def keep_following(self, stop: threading.Event) -> None:
        """Do so until `stop` is set; for a daemon thread: one that is waited for would delay the end."""
        self.follow()
        while not stop.wait(FOLLOW_SECONDS):
            self.follow()

    def follow(self) -> None:
        """Bring the cache to what the database holds: the first time all of it, later what people did."""
        try:
            self._look()
        except TROUBLE as error:
            self._health.fell_ill(error)
        else:
            self._look = self._keeper.follow
            self._health.is_well()


def make_clock(settings: Settings, scheduler: Scheduler) -> BackgroundScheduler:
    """What tells the scheduler that a job is due."""
    # What it would say of late and long runs, our own log says better.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    clock = BackgroundScheduler(
        job_defaults={"coalesce": True, "misfire_grace_time": GRACE_SECONDS, "max_instances": 1}
    )
    for job, hour in job_hours(settings).items():
        clock.add_job(scheduler.put_due, "cron", args=(job, hour), hour=hour, id=job)
    # It waits by a clock that stands still while the machine sleeps: with this, for a minute at most.
    clock.add_job(int, "interval", minutes=1)
    return clock


def _announced(job: str, work: Work) -> Work:
    def run(settings: Settings) -> Counts:
        log.info("job_started", job=job)
        return work(settings)

    return run


def _tell(ended: Ended | None) -> None:
    """One line an end; a run that another process has is that process's to tell."""
    if ended is not None:
        say = log.warning if ended.outcome == "failed" else log.info
        say("job_ended", job=ended.job, outcome=ended.outcome, error=ended.error, **ended.counts)


def _end_with_stdin() -> None:
    """End the process when standard input does: the kernel closes the pipe of a parent that was killed."""
    parent = os.getppid()
    # Not through sys.stdin, whose lock a thread must not hold while the interpreter ends.
    while os.read(0, 4096):
        pass
    # It may let go of its locks a moment later, and until then it counts as a user, for whom PostgreSQL would be
    # left running. When it is gone for good, this process is another's child.
    deadline = time.monotonic() + PARENT_SECONDS
    while os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(0.02)
    # To the process and not to this thread: the main thread handles it, and is woken by it.
    os.kill(os.getpid(), signal.SIGTERM)
