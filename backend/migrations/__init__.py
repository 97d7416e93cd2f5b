"""Bringing a database to the current schema: Alembic revisions, run from Python, one transaction in all."""

import re
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from backend.errors import SetupError
from backend.models import Base

MINIMUM_SERVER = 15
MINIMUM_PGVECTOR = (0, 7)


def migrate(engine: Engine) -> bool:
    """Create or upgrade the schema; True where there was something to do.

    Raises SetupError, with the statement to run, where that needs a hand.
    """
    with engine.begin() as connection:
        check_server(connection)
        lock_schema(connection)
        before = current_revision(connection)
        if before is None and (strangers := find_strangers(connection)):
            raise SetupError(
                f"There is a table `{strangers[0]}` that Marquee did not make. "
                "To bring the database to the current schema run: python backend/migrate_add_pgvector.py"
            )
        create_extension(connection)
        upgrade(connection)
        return before != head_revision()


def check_server(connection: Connection) -> None:
    """Raise SetupError where the server is too old for the schema."""
    number = server_version(connection)
    if number < MINIMUM_SERVER:
        raise SetupError(
            f"The server is PostgreSQL {number}; Marquee needs {MINIMUM_SERVER} or newer. "
            "Point DATABASE_URL at one, or unset it to use the embedded server."
        )


def server_version(connection: Connection) -> int:
    """The server's major version."""
    return int(str(connection.scalar(text("SHOW server_version_num")))) // 10_000


def lock_schema(connection: Connection) -> None:
    """One process at a time, until the end of the transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('marquee schema'))"))


def upgrade(connection: Connection) -> None:
    """Run the revisions that are missing."""
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SetupError(f"This version of Marquee is older than the database: {error}") from error


def create_extension(connection: Connection) -> None:
    """Install pgvector into the database, or say who has to."""
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except DBAPIError as error:
        raise SetupError(
            "pgvector can't be installed into this database. Install the package on the server "
            "(Debian: apt-get install postgresql-16-pgvector), then run as a superuser in this database: "
            "CREATE EXTENSION vector;"
        ) from error


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first, and where Alembic serves another program."""
    heads = MigrationContext.configure(connection).get_current_heads()
    return next((head for head in heads if re.fullmatch(r"\d{4}", head)), None)


def find_strangers(connection: Connection) -> list[str]:
    """The tables that stand where Marquee's go, in a database without a revision."""
    names = (*Base.metadata.tables, "alembic_version")
    return [name for name in names if has_relation(connection, name)]


def head_revision() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def has_relation(connection: Connection, name: str) -> bool:
    """Whether a table, a view, an index or a sequence has that name."""
    return bool(connection.scalar(text("SELECT to_regclass(quote_ident(:name)) IS NOT NULL"), {"name": name}))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
