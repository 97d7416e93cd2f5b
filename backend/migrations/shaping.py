"""Shaping an older `movies` table, in place, to the columns that the revisions give it."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from backend.migrations.convert import convert
from backend.migrations.shapes import Column, columns_of
from backend.migrations.standing import (
    add_primary_key,
    check_adoptable,
    drop_indexes,
    drop_rules,
    part_duplicates,
)

Columns = dict[str, Column]


def shape_movies(connection: Connection, wanted: Columns) -> Iterator[str]:
    """Bring `movies` to these columns and say what was done. Raises SetupError where that needs a hand."""
    changing = _changing(columns_of(connection, "movies"), wanted)
    check_adoptable(connection, changing)
    lists = [name for name in changing if wanted[name].type == "text[]"]
    yield from drop_rules(connection, list(wanted))
    yield from drop_indexes(connection, list(wanted), ["embedding", *lists])
    yield from _clear_derived(connection, wanted)
    yield from _give_types(connection, wanted)
    yield from part_duplicates(connection, list(wanted))
    for column in wanted.values():
        yield from _require(connection, column)
    yield from add_primary_key(connection)
    yield from _allow_films_without(connection, wanted)


def _changing(standing: Columns, wanted: Columns) -> list[str]:
    return [name for name, old in standing.items() if name in wanted and not _alike(old, wanted[name])]


def _alike(old: Column, new: Column) -> bool:
    same_values = not (old.generated or new.generated) or old == new
    return old.type == new.type and same_values


def _clear_derived(connection: Connection, wanted: Columns) -> Iterator[str]:
    """Take away what is computed anew, and keep an owner's column that only has the name of such a one."""
    standing = columns_of(connection, "movies")
    for name in _changing(standing, wanted):
        old, new = standing[name], wanted[name]
        if name == "embedding" or (old.generated and new.generated):
            _alter(connection, f"DROP COLUMN {name}")
            yield f"movies.{name}: the column ({old.type}) is dropped; it is computed anew."
        elif old.generated:
            _alter(connection, f"ALTER COLUMN {name} DROP EXPRESSION")
            yield f"movies.{name}: an ordinary column now, no longer generated."
        elif new.generated or new.type == "bytea":
            _alter(connection, f"RENAME COLUMN {name} TO {name}_before_marquee")
            yield f"movies.{name}: Marquee needs the name; yours is {name}_before_marquee now."


def _give_types(connection: Connection, wanted: Columns) -> Iterator[str]:
    standing = columns_of(connection, "movies")
    # What a column is generated from must have its type first.
    for new in sorted(wanted.values(), key=lambda column: column.generated):
        old = standing.get(new.name)
        if old is None:
            _alter(connection, f"ADD COLUMN {_definition(new)}")
        elif old != new:
            yield from _retype(connection, old, new)
    missing = [name for name in wanted if name not in standing]
    if missing:
        yield f"movies: new columns {', '.join(missing)}."


def _definition(column: Column) -> str:
    if column.generated:
        return f"{column.name} {column.type} GENERATED ALWAYS AS ({column.expression}) STORED"
    default = f" DEFAULT {column.expression}" if column.expression else ""
    return f"{column.name} {column.type}{default}"


def _retype(connection: Connection, old: Column, new: Column) -> Iterator[str]:
    if old.identity:
        _alter(connection, f"ALTER COLUMN {new.name} DROP IDENTITY")
    if old.required and new.name != "id":
        # A value that can't be read becomes NULL; `_require` sees to it.
        _alter(connection, f"ALTER COLUMN {new.name} DROP NOT NULL")
    if old.type != new.type:
        yield convert(connection, old, new)
    if not new.generated and old.expression != new.expression:
        default = f"SET DEFAULT {new.expression}" if new.expression else "DROP DEFAULT"
        _alter(connection, f"ALTER COLUMN {new.name} {default}")
        yield f"movies.{new.name}: its default was {old.expression or 'NULL'}, is {new.expression or 'NULL'}."


def _require(connection: Connection, column: Column) -> Iterator[str]:
    if not column.required:
        return
    value = "coalesce(nullif(btrim(original_title), ''), 'Untitled')" if column.name == "title" else "DEFAULT"
    filled = connection.execute(
        text(f"UPDATE movies SET {column.name} = {value} WHERE {column.name} IS NULL")  # noqa: S608
    ).rowcount
    _alter(connection, f"ALTER COLUMN {column.name} SET NOT NULL")
    if filled:
        what = "the original title, or Untitled" if column.name == "title" else f"now {column.expression}"
        yield f"movies.{column.name}: was NULL in {filled} rows, {what}."


def _allow_films_without(connection: Connection, wanted: Columns) -> Iterator[str]:
    """A column that only the owner knows must not refuse the films that Marquee adds."""
    for name, column in columns_of(connection, "movies").items():
        filled = column.expression or column.identity
        if name not in wanted and column.required and not filled:
            quoted = connection.dialect.identifier_preparer.quote(name)
            _alter(connection, f"ALTER COLUMN {quoted} DROP NOT NULL")
            yield f"movies.{name}: may be NULL now, for films that Marquee adds."


def _alter(connection: Connection, change: str) -> None:
    connection.execute(text(f"ALTER TABLE movies {change}"))
