"""What an owner built on an older `movies` table: what must go for the current schema, and what forbids it."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, text

from backend.errors import SetupError
from backend.migrations import has_relation

VIEWS = """
SELECT v.oid::regclass::text AS name, string_agg(DISTINCT a.attname, ', ') AS columns
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid
JOIN pg_class v ON v.oid = r.ev_class
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = 'movies'::regclass
  AND a.attname = ANY (CAST(:changing AS text[]))
GROUP BY v.oid ORDER BY 1
"""

KEYS = """
SELECT quote_ident(conname) AS name, pg_get_constraintdef(oid, true) AS definition, contype, ARRAY(
    SELECT attname::text FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)) AS columns
FROM pg_constraint
WHERE conrelid = 'movies'::regclass AND contype <> 'n'
ORDER BY conname
"""

# An index that a constraint owns depends on no column here, and goes with its constraint.
INDEXES = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid, 0, true) AS definition,
       i.indisunique AS only_one, ARRAY(
    SELECT a.attname::text
    FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid) AS columns
FROM pg_index i WHERE i.indrelid = 'movies'::regclass
ORDER BY 1
"""


def check_adoptable(connection: Connection, changing: Sequence[str]) -> None:
    """Raise SetupError, with what to do, where `movies` can't be adopted in place."""
    _check_is_a_table(connection)
    _check_ids_are_from_tmdb(connection)
    for key in connection.execute(text(KEYS)):
        if key.contype == "p" and key.columns != ["id"]:
            raise SetupError(
                f"The primary key of movies is ({', '.join(key.columns)}) and has to be (id). Run: "
                f"ALTER TABLE movies DROP CONSTRAINT {key.name}; and then this command again. "
                "Nothing has been changed."
            )
    views = connection.execute(text(VIEWS), {"changing": list(changing)}).all()
    if views:
        names = ", ".join(view.name for view in views)
        columns = "; ".join(f"{view.name} reads {view.columns}" for view in views)
        raise SetupError(
            f"Views depend on columns of movies whose type has to change ({columns}). Keep their "
            f"definition (SELECT pg_get_viewdef('{views[0].name}')), run DROP VIEW {names}; then this "
            "command, and create them again. Nothing has been changed."
        )


def _check_is_a_table(connection: Connection) -> None:
    kind = connection.scalar(text("SELECT relkind FROM pg_class WHERE oid = 'movies'::regclass"))
    if kind != "r":
        raise SetupError(
            "movies is not an ordinary table (it is a view, or partitioned). Rename it, "
            "ALTER TABLE movies RENAME TO movies_before, and run this command again."
        )


def _check_ids_are_from_tmdb(connection: Connection) -> None:
    columns = connection.scalars(
        text("SELECT attname FROM pg_attribute WHERE attrelid = 'movies'::regclass AND attnum > 0")
    ).all()
    if "id" not in columns:
        raise SetupError(
            "movies has no column id. Rename the one with the TMDB id, for example: "
            "ALTER TABLE movies RENAME COLUMN tmdb_id TO id; and run this command again."
        )
    if "tmdb_id" in columns and connection.scalar(
        text("SELECT EXISTS (SELECT FROM movies WHERE tmdb_id::text IS DISTINCT FROM id::text)")
    ):
        raise SetupError(
            "movies.id has to be the TMDB id, but here movies.tmdb_id is. Rename both, ALTER TABLE movies "
            "RENAME COLUMN id TO former_id; ALTER TABLE movies RENAME COLUMN tmdb_id TO id; and run this "
            "command again."
        )


def drop_rules(connection: Connection, wanted: Sequence[str]) -> Iterator[str]:
    """Drop the constraints on Marquee's columns: they would refuse films that are coming."""
    for key in connection.execute(text(KEYS)).all():
        if key.contype != "p" and key.columns != ["id"] and set(key.columns) & set(wanted):
            connection.execute(text(f"ALTER TABLE movies DROP CONSTRAINT {key.name}"))
            yield f"movies: the constraint {key.name}, {key.definition}, is dropped: films may break it."


def drop_indexes(connection: Connection, wanted: Sequence[str], changing: Sequence[str]) -> Iterator[str]:
    """Drop the indexes that refuse films, and those made for another type of a column in `changing`."""
    for index in connection.execute(text(INDEXES)).all():
        columns = set(index.columns)
        refuses = index.only_one and columns != {"id"} and columns & set(wanted)
        if refuses or columns & set(changing):
            connection.execute(text(f"DROP INDEX {index.name}"))
            yield f"The index {index.name} is dropped; it was: {index.definition}."


def part_duplicates(connection: Connection, wanted: Sequence[str]) -> Iterator[str]:
    """One row an id: of several, the one with the most votes, then the fullest, stays; the others are kept."""
    # Only the ids decide whether there is anything to do; a primary key answers from its index.
    if not connection.scalar(text("SELECT count(*) <> count(DISTINCT id) FROM movies")):
        return
    kept = free_name(connection, "movies_duplicates")
    connection.execute(text(f"CREATE TABLE {kept} AS SELECT * FROM movies WITH NO DATA"))  # noqa: S608
    rows = connection.execute(
        text(
            f"""
            WITH ranked AS (
                SELECT ctid, id, row_number() OVER (
                    PARTITION BY id
                    ORDER BY vote_count DESC NULLS LAST, num_nonnulls({", ".join(wanted)}) DESC, ctid) AS place
                FROM movies
            ), parted AS (
                DELETE FROM movies WHERE ctid IN (SELECT ctid FROM ranked WHERE place > 1 OR id IS NULL)
                RETURNING *
            )
            INSERT INTO {kept} SELECT * FROM parted"""  # noqa: S608
        )
    ).rowcount
    yield f"{rows} rows of movies repeat an id, or have none: they are kept in {kept}."


def add_primary_key(connection: Connection) -> Iterator[str]:
    """Make `id` the primary key where there is none."""
    if not any(key.contype == "p" for key in connection.execute(text(KEYS))):
        connection.execute(text("ALTER TABLE movies ADD PRIMARY KEY (id)"))
        yield "movies: id is the primary key now."


def free_name(connection: Connection, name: str) -> str:
    """The name that something is kept under."""
    number, kept = 1, f"{name}_before_marquee"
    while has_relation(connection, kept):
        number += 1
        kept = f"{name}_before_marquee_{number}"
    return kept
