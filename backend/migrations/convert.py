"""Giving a column of an older `movies` table another type; what can't be read is kept beside it."""

import hashlib

from sqlalchemy import ARRAY, Column, Connection, LargeBinary, MetaData, Table, Text, insert, text
from sqlalchemy.exc import DBAPIError, OperationalError

from backend.errors import SetupError
from backend.migrations.names import read_names
from backend.migrations.shapes import Column as Shape

UNREADABLE = "movies_unreadable_before_marquee"
WHOLE_NUMBERS = {"smallint", "integer", "bigint"}

NAMES = Table(
    "marquee_names",
    MetaData(),
    Column("key", LargeBinary, primary_key=True),
    Column("names", ARRAY(Text)),
    prefixes=["TEMPORARY"],
)

NAMES_READER = """
CREATE FUNCTION pg_temp.marquee_read(raw text) RETURNS text[] LANGUAGE sql AS $$
    SELECT names FROM marquee_names WHERE key = sha256(convert_to(raw, 'UTF8'))
$$
"""

READER = """
CREATE FUNCTION pg_temp.marquee_read(raw text) RETURNS {type} LANGUAGE plpgsql AS $$
BEGIN
    RETURN {value};
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$
"""


def convert(connection: Connection, old: Shape, new: Shape) -> str:
    """Give the column its new type and say what that meant.

    Raises SetupError where PostgreSQL refuses: a trigger, a policy or a foreign key stands against it.
    """
    try:
        if new.type == "text" or new.name == "id":
            # An id that can't be read would be a film lost, so this cast is strict.
            _alter(connection, new, f"{new.name}::{new.type}")
            return f"movies.{new.name}: {old.type} is {new.type} now."
        return _convert_by_reader(connection, old, new)
    except DBAPIError as error:
        if isinstance(error, OperationalError):
            raise
        reason = " ".join(str(error.orig).split())
        raise SetupError(
            f"movies.{new.name} can't be changed from {old.type} to {new.type}: {reason}. "
            "Nothing has been changed."
        ) from error


def _convert_by_reader(connection: Connection, old: Shape, new: Shape) -> str:
    # By way of text, one rule serves every type that somebody may have chosen.
    raw = f"to_jsonb({old.name})::text" if old.type.endswith("[]") else f"{old.name}::text"
    _make_reader(connection, raw, new)
    empty, unreadable = _count_unread(connection, raw)
    if unreadable:
        _keep_unreadable(connection, raw, new.name)
    _alter(connection, new, f"pg_temp.marquee_read({raw})")
    connection.execute(text("DROP FUNCTION pg_temp.marquee_read(text)"))
    NAMES.drop(connection)
    return f"movies.{new.name}: {old.type} is {new.type} now{_loss(empty, unreadable)}."


def _loss(empty: int, unreadable: int) -> str:
    parts = []
    if empty:
        parts.append(f"; empty in {empty} rows: NULL there")
    if unreadable:
        parts.append(f"; not readable in {unreadable} rows, whose old values are in {UNREADABLE}")
    return "".join(parts)


def _alter(connection: Connection, new: Shape, value: str) -> None:
    connection.execute(
        text(
            f"ALTER TABLE movies ALTER COLUMN {new.name} DROP DEFAULT, "
            f"ALTER COLUMN {new.name} TYPE {new.type} USING {value}"
        )
    )


def _make_reader(connection: Connection, raw: str, new: Shape) -> None:
    NAMES.create(connection)
    if new.type == "text[]":
        _read_all_names(connection, raw)
        connection.execute(text(NAMES_READER))
        return
    value = "nullif(btrim(raw), '')"
    if new.type in WHOLE_NUMBERS:
        value = f"round({value}::numeric)"
    connection.execute(text(READER.format(type=new.type, value=f"({value})::{new.type}")))


def _read_all_names(connection: Connection, raw: str) -> None:
    query = text(f"SELECT DISTINCT {raw} AS raw FROM movies WHERE {raw} IS NOT NULL")  # noqa: S608
    found = connection.execute(query.execution_options(yield_per=2000)).scalars()
    for batch in found.partitions():
        rows = [{"key": hashlib.sha256(raw.encode()).digest(), "names": read_names(raw)} for raw in batch]
        connection.execute(insert(NAMES), rows)


def _count_unread(connection: Connection, raw: str) -> tuple[int, int]:
    query = f"""
        SELECT count(*) FILTER (WHERE btrim(raw) = ''), count(*) FILTER (WHERE btrim(raw) <> '')
        FROM (SELECT {raw} AS raw FROM movies) read
        WHERE raw IS NOT NULL AND pg_temp.marquee_read(raw) IS NULL"""  # noqa: S608
    empty, unreadable = connection.execute(text(query)).one()
    return empty, unreadable


def _keep_unreadable(connection: Connection, raw: str, column: str) -> None:
    connection.execute(
        text(f"CREATE TABLE IF NOT EXISTS {UNREADABLE} (movie_id text, column_name text, value text)")
    )
    connection.execute(
        text(
            f"INSERT INTO {UNREADABLE} SELECT id, :column, raw "  # noqa: S608
            f"FROM (SELECT id, {raw} AS raw FROM movies) read "
            "WHERE btrim(raw) <> '' AND pg_temp.marquee_read(raw) IS NULL"
        ),
        {"column": column},
    )
