"""What has to be true before the service can answer; each failure names the command or SQL to run."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from backend.catalog.store import coverage
from backend.migrations import (
    MINIMUM_PGVECTOR,
    MINIMUM_SERVER,
    current_revision,
    head_revision,
    server_version,
)
from backend.models import EMBEDDING_DIMENSION


@dataclass(frozen=True)
class Check:
    """One finding; `remedy` is the exact command or SQL where it failed."""

    name: str
    ok: bool
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{'ok  ' if self.ok else 'FAIL'} {self.name}: {self.found}"
        return line if self.ok else f"{line}\n     run: {self.remedy}"


def examine(engine: Engine) -> list[Check]:
    """Every check, in the order in which one rests on another; it stops where the rest can't be asked."""
    try:
        with engine.connect() as connection:
            return list(_examine(connection))
    except OperationalError as error:
        found = str(error.orig).strip().splitlines()[0]
        return [Check("database", False, found, "check DATABASE_URL, and that the server is up: pg_isready")]


def examine_embeddings(session: Session, *, model: str) -> Check:
    """Never a failure, for films wait whenever new ones have come; but someone will want to know."""
    counts = coverage(session, model=model)
    found = f"{counts.with_embeddings:,} of {counts.total_movies:,} films have a current vector of {model}"
    waiting = "; to embed the others: python backend/generate_embeddings.py" if counts.pending else ""
    return Check("embeddings", True, found + waiting)


def _examine(connection: Connection) -> Iterator[Check]:
    yield _server(connection)
    extension = _extension(connection)
    yield extension
    yield _schema(connection)
    if extension.ok and current_revision(connection) == head_revision():
        yield _dimension(connection)


def _server(connection: Connection) -> Check:
    number = server_version(connection)
    return Check(
        "PostgreSQL",
        number >= MINIMUM_SERVER,
        f"version {number} ({MINIMUM_SERVER} or newer is needed)",
        f"unset DATABASE_URL to use the embedded server, or point it at PostgreSQL {MINIMUM_SERVER} or newer",
    )


def _extension(connection: Connection) -> Check:
    statement = "SELECT default_version, installed_version FROM pg_available_extensions WHERE name = 'vector'"
    row = connection.execute(text(statement)).one_or_none()
    wanted = ".".join(map(str, MINIMUM_PGVECTOR))
    if row is None:
        return Check("pgvector", False, "not available on this server", "apt-get install postgresql-16-pgvector")
    if row.installed_version is None:
        return Check("pgvector", False, "available, not installed in this database", "CREATE EXTENSION vector;")
    installed = tuple(int(part) for part in row.installed_version.split(".")[:2])
    remedy = "ALTER EXTENSION vector UPDATE;"
    if tuple(int(part) for part in row.default_version.split(".")[:2]) < MINIMUM_PGVECTOR:
        remedy = f"apt-get install --only-upgrade postgresql-16-pgvector, then {remedy}"
    found = f"version {row.installed_version} ({wanted} or newer is needed)"
    return Check("pgvector", installed >= MINIMUM_PGVECTOR, found, remedy)


def _schema(connection: Connection) -> Check:
    revision = current_revision(connection)
    found = f"revision {revision or 'none'} (this version needs {head_revision()})"
    return Check("schema", revision == head_revision(), found, "python backend/migrate_add_pgvector.py")


def _dimension(connection: Connection) -> Check:
    statement = """
        SELECT atttypmod FROM pg_attribute
        WHERE attrelid = to_regclass('movies') AND attname = 'embedding'
    """
    dimension = connection.scalar(text(statement))
    if dimension is None:
        # Other columns and functions went with it: a new column alone would not do.
        remedy = "python -m backend restore FILE, of a backup, with DATABASE_URL naming an empty database"
        return Check(
            "movies.embedding", False, "the column is gone, as after DROP EXTENSION vector CASCADE", remedy
        )
    return Check(
        "movies.embedding",
        dimension == EMBEDDING_DIMENSION,
        f"{dimension} dimensions ({EMBEDDING_DIMENSION} are needed)",
        f"ALTER TABLE movies ALTER COLUMN embedding TYPE vector({EMBEDDING_DIMENSION}) USING NULL;",
    )
