"""Adopting an older database: what fits stays in place, what does not is kept under another name.

`movies` is changed in place, so that foreign keys, views and columns of the owner survive. The pattern is the
first revision; `upgrade` then adds what is missing and runs the later revisions.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from backend.errors import SetupError
from backend.migrations import (
    check_server,
    create_extension,
    current_revision,
    has_relation,
    head_revision,
    lock_schema,
    upgrade,
)
from backend.migrations.shapes import Description, describe, read_pattern
from backend.migrations.shaping import shape_movies
from backend.migrations.standing import free_name


def migrate_older(engine: Engine) -> list[str]:
    """Bring any older database to the current schema, in one transaction; what was done, in sentences.

    An empty list: there was nothing to do. Raises SetupError where it needs a hand; nothing is changed then.
    """
    try:
        with engine.begin() as connection:
            check_server(connection)
            lock_schema(connection)
            return list(_migrate_older(connection))
    except DBAPIError as error:
        if isinstance(error, OperationalError):
            raise
        reason = " ".join(str(error.orig).split())
        raise SetupError(f"PostgreSQL refuses: {reason}. Nothing has been changed.") from error


def adopt(connection: Connection) -> list[str]:
    """Make room for the current schema and shape `movies` for it; what was done, in sentences."""
    pattern = read_pattern(connection)
    # The owner's own Alembic, where it kept this database so far.
    others: dict[str, Description] = {"alembic_version": frozenset(), "alembic_version_pkc": frozenset()}
    done = list(_make_room(connection, {**pattern.relations, **others}))
    if has_relation(connection, "movies"):
        done += shape_movies(connection, pattern.movies)
    return done


def _migrate_older(connection: Connection) -> Iterator[str]:
    before = current_revision(connection)
    if before == head_revision():
        return
    if not connection.scalar(text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')")):
        yield "The extension vector is installed."
    create_extension(connection)
    if before is None:
        yield from adopt(connection)
    upgrade(connection)
    if before is None:
        yield from _fill_text_hashes(connection)
    yield f"The schema is at revision {head_revision()}."


def _make_room(connection: Connection, wanted: dict[str, Description]) -> Iterator[str]:
    for name, description in wanted.items():
        standing = describe(connection, name)
        if name == "movies" or not standing or standing == description:
            continue
        yield _set_aside(connection, name)


def _set_aside(connection: Connection, name: str) -> str:
    kept = free_name(connection, name)
    kind = connection.scalar(
        text("SELECT relkind FROM pg_class WHERE oid = to_regclass(quote_ident(:name))"), {"name": name}
    )
    connection.execute(text(f"ALTER TABLE {name} RENAME TO {kept}"))
    if kind != "r":
        return f"The name {name} is needed: what had it is called {kept} now."
    rows = connection.scalar(text(f"SELECT count(*) FROM {kept}"))  # noqa: S608
    return f"The table {name} does not fit: it is kept as {kept}, with its {rows} rows."


def _fill_text_hashes(connection: Connection) -> Iterator[str]:
    # The trigger does the work; a vector without the hash and the model it was made from counts as pending.
    films = connection.execute(text("UPDATE movies SET text_hash = NULL")).rowcount
    if films:
        yield f"{films} films are in place and wait for their embedding: python backend/generate_embeddings.py"
