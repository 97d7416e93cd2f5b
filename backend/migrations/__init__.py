"""Bringing a database to the current schema: Alembic revisions, run from Python, one transaction in all."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from backend.errors import SetupError

MINIMUM_SERVER = 15
MINIMUM_PGVECTOR = (0, 7)


def migrate(engine: Engine) -> bool:
    """Create or upgrade the schema; True where there was something to do.

    Raises SetupError, with the statement to run, where that needs a hand.
    """
    with engine.begin() as connection:
        lock_schema(connection)
        before = current_revision(connection)
        if before is None and _has_table(connection, "movies"):
            raise SetupError(
                "There is a table `movies` that Marquee did not make. "
                "To bring it to the current schema run: python backend/migrate_add_pgvector.py"
            )
        create_extension(connection)
        upgrade(connection)
        return before != head_revision()


def lock_schema(connection: Connection) -> None:
    """One process at a time, until the end of the transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('marquee schema'))"))


def upgrade(connection: Connection) -> None:
    """Run the revisions that are missing."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


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
    """The revision that the database is at; None before the first."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def _has_table(connection: Connection, name: str) -> bool:
    return bool(connection.scalar(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name}))
