"""The embedded PostgreSQL: shared by processes, and left intact by whatever ends them."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from backend import postgres_process
from backend.embedded_postgres import EmbeddedPostgres
from backend.errors import SetupError

ROOT = Path(__file__).parents[1]

START = """
import os, sys
from pathlib import Path
from backend.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print((server.directory / "postmaster.pid").read_text().split()[0], flush=True)
"""
USER = START + "sys.stdin.read()"


# Tools


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A folder for servers; nothing of them is left afterwards."""
    home = Path(tempfile.mkdtemp(prefix="marquee-test-")).resolve()
    try:
        yield home
    finally:
        for version in home.rglob("PG_VERSION"):
            if version.parent.joinpath("global").exists():
                EmbeddedPostgres(version.parent).stop()
        shutil.rmtree(home)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a server may be made."""
    with temporary_home() as home:
        yield home / "postgres"


@pytest.fixture(scope="module")
def idle() -> Iterator[EmbeddedPostgres]:
    """A server that exists and is not running; tests that use it stop it again."""
    with temporary_home() as home:
        odd = os.environ | {"LC_ALL": "C", "PGPORT": "1", "PGDATA": "/nowhere", "PGUSER": "nobody"}
        with user(home / "postgres", env=odd):
            pass
        # No test cuts the power, and waiting for the disk is most of the time that a restart takes.
        (home / "postgres" / "postgresql.auto.conf").write_text("fsync = off\n")
        yield EmbeddedPostgres(home / "postgres")


def spawn(folder: Path, program: str = USER, **options: Any) -> "subprocess.Popen[str]":
    """A process that runs `program` with the server in `folder`."""
    command = [sys.executable, "-c", program, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True, **options)


def said(process: "subprocess.Popen[str]") -> str:
    """The next line that a process prints; fails with its errors where there is none."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, process.communicate()[1]
    return line


def end(process: "subprocess.Popen[str]") -> None:
    """Let a process end by itself, which it does without a word."""
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


@contextmanager
def user(folder: Path, program: str = USER, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that uses the server; ends with the block, unless that ended it."""
    process = spawn(folder, program, **options)
    try:
        said(process)
        yield process
        if process.returncode is None:
            end(process)
    finally:
        kill(process)


def postmaster(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))


def is_stopped(folder: Path) -> bool:
    """Whether a server has ended in order: it takes its pid file away as the last thing."""
    return not (folder / "postmaster.pid").exists()


@contextmanager
def connection(server: EmbeddedPostgres) -> Iterator[psycopg2.extensions.connection]:
    connection = psycopg2.connect(server.url("postgres").replace("+psycopg2", ""))
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def ask(server: EmbeddedPostgres, statement: str) -> Any:
    """The first value of a statement's answer."""
    with connection(server) as session, session.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def as_owner_of(folder: Path) -> dict[str, int]:
    """For `subprocess`: the account that PostgreSQL runs under, so that it believes in the pid."""
    return {"user": folder.stat().st_uid} if os.geteuid() == 0 else {}


# Sharing


def test_processes_that_start_at_the_same_instant_share_one_server_and_the_last_stops_it(folder: Path) -> None:
    users = [spawn(folder) for _ in range(4)]
    try:
        assert len({said(process) for process in users}) == 1
        server = EmbeddedPostgres(folder)
        for process in users:
            assert server.is_running()
            assert ask(server, "SELECT 1") == 1
            end(process)
        assert is_stopped(folder)
    finally:
        for process in users:
            kill(process)


def test_one_process_may_stop_while_another_starts(idle: EmbeddedPostgres) -> None:
    query = """
import psycopg2
connection = psycopg2.connect(server.url("postgres").replace("+psycopg2", ""))
connection.cursor().execute("SELECT 1")
connection.close()
"""
    users = [spawn(idle.directory, START + query) for _ in range(8)]
    for process in users:
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert is_stopped(idle.directory)


def test_handles_of_one_process_share_the_server(idle: EmbeddedPostgres) -> None:
    program = START + (
        "again = EmbeddedPostgres(server.directory); again.start(); server.start()\nsys.stdin.read()"
    )
    with user(idle.directory, program):
        assert idle.is_running()
    assert is_stopped(idle.directory)


def test_killed_users_neither_keep_the_server_alive_nor_take_it_from_the_living(idle: EmbeddedPostgres) -> None:
    with user(idle.directory) as survivor:
        with user(idle.directory) as victim:
            kill(victim)
        with user(idle.directory):
            pass
        assert idle.is_running()
        kill(survivor)
    assert idle.is_running()
    running = postmaster(idle.directory)
    with user(idle.directory):
        assert postmaster(idle.directory) == running
    assert is_stopped(idle.directory)


def test_a_forked_child_counts_as_a_user_only_while_it_lives(idle: EmbeddedPostgres) -> None:
    program = START + (
        "if os.fork() == 0: sys.exit()\n"
        "os.wait(); assert server.is_running(); print('child gone', flush=True)\n"
        "if os.fork() == 0: sys.stdin.read()"
    )
    process = spawn(idle.directory, program)
    said(process)
    assert said(process) == "child gone"
    assert process.wait(timeout=60) == 0
    assert idle.is_running()
    end(process)
    eventually(lambda: is_stopped(idle.directory), "the child did not stop the server")


# Signals


def test_ctrl_c_ends_one_user_and_not_the_server_of_the_others(idle: EmbeddedPostgres) -> None:
    with user(idle.directory), user(idle.directory, start_new_session=True) as interrupted:
        running = postmaster(idle.directory)
        os.killpg(interrupted.pid, signal.SIGINT)
        interrupted.communicate(timeout=60)
        assert idle.is_running()
        assert postmaster(idle.directory) == running
    assert is_stopped(idle.directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_last_user_stops_the_server_on_a_signal(idle: EmbeddedPostgres, number: signal.Signals) -> None:
    with user(idle.directory, start_new_session=True) as process:
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=60)
        assert "atexit" not in errors
    assert is_stopped(idle.directory)


def test_a_handler_of_the_program_is_left_alone(idle: EmbeddedPostgres) -> None:
    before = "import signal; signal.signal(signal.SIGTERM, lambda *_: print('mine', flush=True))\n"
    with user(idle.directory, before + USER) as process:
        process.terminate()
        assert said(process) == "mine"


# Death of the server


def test_a_killed_server_comes_back_with_every_row_while_its_backends_linger(idle: EmbeddedPostgres) -> None:
    idle.start()
    ask(idle, "CREATE TABLE survivors AS SELECT generate_series(1, 1000) AS id")
    stop = threading.Event()
    supervisor = threading.Thread(target=idle.supervise, args=(stop,), kwargs={"every": 0.05})
    killed = postmaster(idle.directory)
    address = idle.url()
    with connection(idle) as session:
        start_endless_query(session)
        supervisor.start()
        killed.kill()
        eventually(lambda: idle.is_running() and postmaster(idle.directory) != killed, "not back")
    stop.set()
    supervisor.join()
    assert idle.url() == address
    assert ask(idle, "SELECT count(*) FROM survivors") == 1000
    idle.stop()


def start_endless_query(session: psycopg2.extensions.connection) -> None:
    """Have a backend compute, so that it does not notice the death of the postmaster by itself."""
    backend = session.info.backend_pid
    thread = threading.Thread(target=run_until_cut_off, args=(session,), daemon=True)
    thread.start()
    process = psutil.Process(backend)
    eventually(lambda: process.status() == psutil.STATUS_RUNNING, "the query does not run")


def run_until_cut_off(session: psycopg2.extensions.connection) -> None:
    with pytest.raises(psycopg2.OperationalError), session.cursor() as cursor:
        cursor.execute("DO 'DECLARE n bigint := 0; BEGIN LOOP n := n + 1; END LOOP; END'")


def test_a_start_waits_for_a_recovery_longer_than_one_launch(
    idle: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle.start()
    postmaster(idle.directory).kill()
    eventually(lambda: not idle.is_running(), "a dead server counts as running")
    monkeypatch.setattr(postgres_process, "LAUNCH_SECONDS", 0)
    idle.start()
    assert ask(idle, "SELECT 1") == 1
    idle.stop()


def test_a_server_that_can_not_start_says_why(idle: EmbeddedPostgres) -> None:
    settings = idle.directory / "postgresql.auto.conf"
    before = settings.read_text()
    settings.write_text("shared_buffers = 'no such size'\n")
    try:
        with pytest.raises(SetupError, match=r"does not start: .*FATAL.*log: "):
            idle.start()
    finally:
        settings.write_text(before)
        # Whoever has tried to start it counts as a user.
        idle.stop()


# Stale files


@pytest.fixture
def stranger(idle: EmbeddedPostgres) -> Iterator["subprocess.Popen[bytes]"]:
    """A living process that has nothing to do with the server, under the server's account."""
    process = subprocess.Popen(["sleep", "600"], cwd="/", **as_owner_of(idle.directory))
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def zombie(idle: EmbeddedPostgres) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has ended, and that nobody has waited for."""
    process = subprocess.Popen(["true"], cwd="/", **as_owner_of(idle.directory))
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE, "no zombie")
    yield process
    process.wait()


def leave_behind(server: EmbeddedPostgres, pid: object) -> None:
    """Put the files there that a server under that pid would leave when the power fails."""
    lines = [pid, server.directory, 1_700_000_000, 5432, server.directory, "", "  2156208        41"]
    text = "\n".join(map(str, lines))
    (server.directory / "postmaster.pid").write_text(f"{text}\nready   \n")
    (server.directory / ".s.PGSQL.5432.lock").write_text(text)


@pytest.mark.parametrize("living", ["stranger", "zombie"])
def test_a_pid_that_now_belongs_to_another_process_does_not_block_the_start(
    idle: EmbeddedPostgres, living: str, request: pytest.FixtureRequest
) -> None:
    leave_behind(idle, request.getfixturevalue(living).pid)
    assert not idle.is_running()
    idle.start()
    assert ask(idle, "SELECT 1") == 1
    idle.stop()


def test_the_pid_of_another_server_does_not_block_the_start(
    idle: EmbeddedPostgres, postgres: EmbeddedPostgres
) -> None:
    other = postmaster(postgres.directory)
    for process in (other, other.children()[0]):
        leave_behind(idle, process.pid)
        assert not idle.is_running()
        idle.start()
        assert ask(idle, "SELECT 1") == 1
        idle.stop()
    assert other.is_running()


@pytest.mark.parametrize("content", ["", "no number\n", "-1\n"])
def test_a_broken_pid_file_does_not_block_the_start(idle: EmbeddedPostgres, content: str) -> None:
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (idle.directory / name).write_text(content)
    idle.start()
    assert ask(idle, "SELECT 1") == 1
    idle.stop()


@pytest.mark.parametrize("written", [0, 3, 60])
def test_a_pid_file_that_a_living_server_is_writing_is_waited_for(idle: EmbeddedPostgres, written: int) -> None:
    idle.start()
    pid_file = idle.directory / "postmaster.pid"
    complete = pid_file.read_text()
    pid_file.write_text(complete[:written])
    with user_waiting_in_start(idle.directory) as joining:
        assert pid_file.read_text() == complete[:written]
        pid_file.write_text(complete)
        assert said(joining) == complete.split()[0]
    assert ask(idle, "SELECT 1") == 1
    idle.stop()


@contextmanager
def user_waiting_in_start(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has looked at the files of the server, and now waits for it."""
    program = "import time; sleep = time.sleep\n" + (
        "def tell(seconds):\n    print('waits', file=sys.stderr, flush=True)\n    sleep(seconds)\n"
        "import sys; time.sleep = tell\n"
    )
    process = spawn(folder, program + USER)
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "waits\n"
        yield process
        process.communicate(timeout=60)
    finally:
        kill(process)


# Making the files


def test_an_interrupted_creation_is_begun_anew(folder: Path) -> None:
    process = spawn(folder)
    eventually(lambda: any(folder.parent.glob("postgres.new-*/base")), "no creation")
    kill(process)
    server = EmbeddedPostgres(folder)
    server.start()
    assert ask(server, "SELECT 1") == 1
    eventually(lambda: restarts_without_leftovers(server), "half a server remains")


def restarts_without_leftovers(server: EmbeddedPostgres) -> bool:
    server.stop()
    server.start()
    return not list(server.directory.parent.glob("postgres.new-*"))


@pytest.mark.parametrize("name", ["my films & 100 %'s", "one, two", "long" * 30])
def test_any_path_will_do(idle: EmbeddedPostgres, name: str) -> None:
    moved = EmbeddedPostgres(idle.directory.parent / name / "postgres")
    moved.directory.parent.mkdir()
    idle.directory.rename(moved.directory)
    moved.start()
    sockets = Path(str(make_url(moved.url()).query["host"]))
    assert ask(moved, "SELECT 1") == 1
    assert sockets.stat().st_mode & 0o77 == 0, "others could connect"
    moved.stop()
    moved.directory.rename(idle.directory)
    if sockets != moved.directory:
        shutil.rmtree(sockets)


def test_letters_have_cases_whatever_the_locale_of_the_first_start(idle: EmbeddedPostgres) -> None:
    idle.start()
    assert ask(idle, "SELECT lower('ÉCLAIR Я')") == "éclair я"
    idle.stop()


def test_no_network_port_is_opened(idle: EmbeddedPostgres) -> None:
    idle.start()
    assert ask(idle, "SHOW listen_addresses") == ""
    idle.stop()


# What the operator is told


def test_files_of_another_major_version_are_refused_with_the_remedy(folder: Path) -> None:
    folder.mkdir()
    (folder / "PG_VERSION").write_text("18\n")
    with pytest.raises(SetupError, match=r"PostgreSQL 18, .* runs 16\. .*pg_dump.*pg_restore"):
        EmbeddedPostgres(folder).start()


def test_a_data_dir_that_can_not_be_a_folder_is_named(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(SetupError, match=r"DATA_DIR can't be used.*'/.*/postgres'"):
        EmbeddedPostgres(folder / "postgres").start()


def test_a_data_dir_that_may_not_be_written_is_named(folder: Path) -> None:
    folder.parent.chmod(0o555)
    as_somebody = "import os\nif os.geteuid() == 0: os.seteuid(65534)\n"
    process = spawn(folder, START.replace("server.start()", as_somebody + "server.start()"))
    _, errors = process.communicate(timeout=60)
    folder.parent.chmod(0o755)
    assert f"SetupError: DATA_DIR can't be used ([Errno 13] Permission denied: '{folder}.lock')" in errors


def test_a_folder_with_other_things_in_it_is_left_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "diary.txt").write_text("mine")
    with pytest.raises(SetupError, match="Directory not empty"):
        EmbeddedPostgres(folder).start()
    assert [file.name for file in folder.iterdir()] == ["diary.txt"]


def test_another_container_is_kept_out(idle: EmbeddedPostgres) -> None:
    with idle.directory.with_name("postgres.users").open("w") as users:
        users.write("pid:[of another container]")
        users.flush()
        fcntl.flock(users, fcntl.LOCK_SH)
        with pytest.raises(SetupError, match="in use by another container"):
            idle.start()
