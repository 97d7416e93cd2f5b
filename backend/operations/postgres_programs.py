"""pg_dump and pg_restore: which of them knows a server, and running it on one."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Literal

from psycopg2.extensions import make_dsn
from sqlalchemy import Engine

from backend.config import environment_with
from backend.errors import SetupError
from backend.postgres_process import bundled_programs

Program = Literal["pg_dump", "pg_restore"]


def find_program(name: Program, version: int) -> tuple[Path, int]:
    """The program of that major version of PostgreSQL or the next newer one, and which: ours, or one on PATH.

    Raises SetupError.
    """
    for bundled, folder in sorted(bundled_programs().items()):
        if bundled >= version and (folder / name).exists():
            return folder / name, bundled
    found = shutil.which(name)
    if found is not None and (installed := _major(found)) >= version:
        return Path(found), installed
    raise SetupError(
        f"This needs the {name} of PostgreSQL {version} or newer, and there is none: install it so that PATH "
        f"finds it (Debian: apt-get install postgresql-client-{version})."
    )


def dump(engine: Engine, program: Path, *, snapshot: str, target: IO[bytes]) -> None:
    """Write what a database held at the moment of the snapshot, in PostgreSQL's custom format."""
    options = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
    with _running(engine, program, *options, stdout=subprocess.PIPE) as process:
        shutil.copyfileobj(_open(process.stdout), target)


def load(engine: Engine, program: Path, *, source: IO[bytes]) -> None:
    """Bring such a dump into an empty database, in one transaction."""
    options = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-comments")
    running = _running(engine, program, *options, stdin=subprocess.PIPE)
    # One that gives up early says why.
    with running as process, suppress(BrokenPipeError), _open(process.stdin) as pipe:
        shutil.copyfileobj(source, pipe)


@contextmanager
def _running(
    engine: Engine,
    program: Path,
    *options: str,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Waits for its end. Raises SetupError with what the program said where it fails."""
    given: dict[str, Any] = dict(engine.dialect.create_connect_args(engine.url)[1])
    # Not on the command line, which every account of the machine can read.
    password = {"PGPASSWORD": str(given.pop("password"))} if "password" in given else {}
    command: list[str | Path] = [program, *options, f"--dbname={make_dsn(**given, application_name='marquee')}"]
    with TemporaryFile() as errors:
        environment = environment_with(**password, LC_ALL="C")
        with subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors, env=environment) as process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            raise SetupError(f"{program.name} failed: {_reason(errors.read().decode(errors='replace'))}")


def _open(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if "error:" in line] or said.splitlines()
    return lines[0].strip() if lines else "it does not say why"


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"\b(\d+)\.", said)
    return int(found[1]) if found else 0
