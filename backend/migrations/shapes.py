"""The shape of tables as PostgreSQL tells it: of those that stand, and of those the revisions make."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

from backend.migrations.versions import r0001_catalogue_and_taste as r0001
from backend.migrations.versions import r0002_jobs_and_changes as r0002
from backend.migrations.versions import r0003_item_factors as r0003
from backend.migrations.versions import r0006_index_history as r0006
from backend.migrations.versions import r0007_shown_films as r0007
from backend.migrations.versions import r0009_cached_plans as r0009
from backend.migrations.versions import r0010_fetching as r0010
from backend.migrations.versions import r0012_people_have_names as r0012

MAKERS = (
    *(r0001.TABLES, r0001.INDEXES, r0002.TABLES, r0002.INDEXES, r0003.TABLES, r0003.INDEXES),
    *(r0006.TABLES, r0007.INDEXES, r0009.INDEXES, r0010.TABLES, r0010.INDEXES),
    *(r0012.TABLES, r0012.INDEXES),
)
"""What makes tables and indexes, in order, where they are not there yet."""

Description = frozenset[object]

COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
       pg_get_expr(d.adbin, d.adrelid) AS expression, a.attgenerated <> '' AS generated,
       a.attidentity <> '' AS identity
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass(quote_ident(:name)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""

# What tells one table, index or sequence from another: its kind, an index's definition, a sequence's owner.
RELATION = """
SELECT c.relkind, pg_get_indexdef(c.oid, 0, true), (
    SELECT min(refobjid::regclass::text) FROM pg_depend
    WHERE classid = 'pg_class'::regclass AND objid = c.oid
      AND refclassid = 'pg_class'::regclass AND deptype IN ('a', 'i') AND c.relkind = 'S')
FROM pg_class c WHERE c.oid = to_regclass(quote_ident(:name))
"""

# PostgreSQL 18 lists NOT NULL here too; `COLUMNS` has it already.
CONSTRAINTS = """
SELECT conname, pg_get_constraintdef(oid, true) FROM pg_constraint
WHERE conrelid = to_regclass(quote_ident(:name)) AND contype <> 'n'
"""


@dataclass(frozen=True)
class Column:
    """One column; `expression` is its default, or what it is generated from."""

    name: str
    type: str
    required: bool
    expression: str | None
    generated: bool
    identity: bool


@dataclass(frozen=True)
class Pattern:
    """What the revisions make: the columns of `movies`, and every table, index and sequence by name."""

    movies: dict[str, Column]
    relations: dict[str, Description]


def columns_of(connection: Connection, table: str) -> dict[str, Column]:
    """The columns of a table by name, in its order; empty where there is no such table."""
    rows = connection.execute(text(COLUMNS), {"name": table})
    return {row.name: Column(**row._mapping) for row in rows}


def describe(connection: Connection, name: str) -> Description:
    """All that makes a table, index or sequence fit; two are alike where this is equal."""
    told = [connection.execute(text(query), {"name": name}) for query in (RELATION, CONSTRAINTS)]
    columns = columns_of(connection, name).values()
    return frozenset([*columns, *(tuple(row) for result in told for row in result)])


def read_pattern(connection: Connection) -> Pattern:
    """Make the revisions' tables as temporary ones, read them, and undo it: no list is kept twice."""
    with connection.begin_nested() as savepoint:
        connection.execute(
            text("SELECT set_config('search_path', 'pg_temp, ' || current_setting('search_path'), true)")
        )
        for statement in MAKERS:
            connection.execute(text(statement))
        # Tables first: whether an index or a sequence is in place depends on whose it is.
        names = connection.scalars(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() "
                "AND relkind IN ('r', 'i', 'S') ORDER BY relkind = 'r' DESC, oid"
            )
        ).all()
        pattern = Pattern(columns_of(connection, "movies"), {n: describe(connection, n) for n in names})
        savepoint.rollback()
    return pattern
