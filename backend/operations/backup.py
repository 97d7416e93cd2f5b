"""Backups: a database in one file, with what it takes to tell that it came back whole.

The file is a ZIP archive of what pg_dump wrote and of a manifest: rows by table, versions, and a sample of
answers, all of one moment. What is derived and lies on disk is not in it: it is made again.
"""

import datetime as dt
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, Engine, func, select, table, text
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.errors import SetupError, UsageError
from backend.migrations import (
    check_server,
    create_extension,
    current_revision,
    head_revision,
    migrate,
    server_version,
)
from backend.ml.cache_store import hold_still
from backend.ml.file_cache import build_cache
from backend.ml.pgvector_recommender import PgvectorConfig
from backend.ml.vector_index import tune_index
from backend.operations.postgres_programs import dump, find_program, load
from backend.operations.sample import Sample, ask, ask_again, draw

FORMAT = 1
DUMP, MANIFEST = "database.dump", "manifest.json"

OURS = """
    SELECT namespace.nspname AS schema, relation.relname AS name, relation.relkind = ANY ('{r,p}') AS has_rows
    FROM pg_class relation JOIN pg_namespace namespace ON namespace.oid = relation.relnamespace
    WHERE relation.relkind = ANY ('{r,p,v,m,f,S}') AND namespace.nspname !~ '^pg_|^information_schema$'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = relation.oid AND deptype = 'e')
    ORDER BY 1, 2
"""
"""Tables, views and sequences that neither PostgreSQL nor an extension made."""


class Manifest(BaseModel):
    """What a backup says of itself."""

    format: int = FORMAT
    made_at: dt.datetime
    revision: str
    """Of the schema."""
    postgres: int
    """The major version of the server."""
    dumped_by: int
    """The major version of pg_dump."""
    pgvector: str
    embedding_model: str
    include_adult: bool
    rows: dict[str, int]
    """By table."""
    sample: Sample

    def __str__(self) -> str:
        """In one line."""
        rows = sum(self.rows.values())
        return f"{rows:,} rows in {len(self.rows)} tables, {self.sample.lists} sampled lists"


def write_backup(engine: Engine, settings: Settings, file: Path) -> Manifest:
    """Write a database into a file, which is there whole or not at all. Raises UsageError and SetupError."""
    if file.exists():
        raise UsageError(f"{file} is there already: name another file.")
    with engine.connect() as connection:
        _check_schema(connection)
    with _whole(file) as draft, zipfile.ZipFile(draft, "w") as archive, Session(engine) as session:
        hold_still(session)
        connection = session.connection()
        program, version = find_program("pg_dump", server_version(connection))
        snapshot = str(connection.scalar(text("SELECT pg_export_snapshot()")))
        with archive.open(DUMP, "w", force_zip64=True) as target:
            dump(engine, program, snapshot=snapshot, target=target)
        manifest = _describe(session, settings, dumped_by=version)
        archive.writestr(MANIFEST, manifest.model_dump_json(indent=1))
    return manifest


def restore_backup(engine: Engine, settings: Settings, file: Path) -> Manifest:
    """Bring a backup into an empty database and verify it; index and file cache follow.

    Raises UsageError and SetupError: nothing was changed, unless the message says so.
    """
    with _opened(file) as (archive, manifest):
        with engine.begin() as connection:
            _check_target(connection, manifest)
            create_extension(connection)
        program, _ = find_program("pg_restore", manifest.dumped_by)
        with archive.open(DUMP) as source:
            load(engine, program, source=source)
    with engine.begin() as connection:
        _verify_rows(connection, manifest)
        _become_another(connection)
    migrate(engine)
    # What ALTER DATABASE says of the index is in no dump.
    tune_index(engine, settings)
    _verify_answers(engine, manifest)
    build_cache(settings)
    return manifest


def _check_schema(connection: Connection) -> None:
    found = current_revision(connection)
    if found != head_revision():
        raise SetupError(
            f"The schema is of revision {found or 'none'}, and this version of Marquee saves {head_revision()}. "
            "Bring it up to date first: python backend/migrate_add_pgvector.py"
        )


def _describe(session: Session, settings: Settings, *, dumped_by: int) -> Manifest:
    connection = session.connection()
    config = PgvectorConfig.from_settings(settings)
    return Manifest(
        made_at=dt.datetime.now(dt.UTC),
        revision=head_revision(),
        postgres=server_version(connection),
        dumped_by=dumped_by,
        pgvector=str(connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))),
        embedding_model=config.model,
        include_adult=config.include_adult,
        rows=_count_rows(connection),
        sample=ask(session, *draw(session), config=config),
    )


def _count_rows(connection: Connection) -> dict[str, int]:
    found = [row for row in connection.execute(text(OURS)) if row.has_rows]
    counts = {row.name: select(func.count()).select_from(table(row.name, schema=row.schema)) for row in found}
    return {name: connection.execute(count).scalar_one() for name, count in counts.items()}


# Files


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A file beside it, readable by its owner only, that takes its name at the end of the block."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except FileNotFoundError as error:
        raise UsageError(f"There is no folder {file.parent}.") from error
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.rename(file)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """A backup whose every byte has been checked."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                raise zipfile.BadZipFile
            manifest = Manifest.model_validate_json(archive.read(MANIFEST))
            if manifest.format != FORMAT:
                raise UsageError(f"{file} was written by another version of Marquee: restore it with that one.")
            yield archive, manifest
    except FileNotFoundError as error:
        raise UsageError(f"There is no file {file}.") from error
    except (zipfile.BadZipFile, KeyError, ValidationError) as error:
        raise UsageError(f"{file} is damaged, or no backup of Marquee.") from error


# What came back


def _check_target(connection: Connection, manifest: Manifest) -> None:
    check_server(connection)
    if there := connection.execute(text(OURS)).first():
        raise UsageError(
            f"The database is not empty: it has `{there.name}`. Restore into an empty one: name it in "
            "DATABASE_URL, or unset that and choose a new DATA_DIR."
        )
    if (server := server_version(connection)) < manifest.postgres:
        raise UsageError(
            f"The backup was made of PostgreSQL {manifest.postgres}, and this server is {server}: a dump goes to "
            "the same major version or to a newer one. "
            f"Point DATABASE_URL at PostgreSQL {manifest.postgres} or newer."
        )
    if manifest.revision > head_revision():
        raise UsageError("The backup was written by a newer version of Marquee: restore it with that one.")


def _verify_rows(connection: Connection, manifest: Manifest) -> None:
    found = _count_rows(connection)
    wrong = [name for name, rows in manifest.rows.items() if found.get(name) != rows]
    if wrong:
        counts = ", ".join(f"{name} {found.get(name, 0):,} of {manifest.rows[name]:,}" for name in wrong)
        raise SetupError(f"The database was restored, and rows are missing: {counts}. Do not use it.")


def _become_another(connection: Connection) -> None:
    """Files made from the database that was saved are not this one's, whose transactions count anew."""
    connection.execute(text("UPDATE installation SET id = gen_random_uuid()"))
    connection.execute(text("DELETE FROM people_changes"))


def _verify_answers(engine: Engine, manifest: Manifest) -> None:
    if manifest.revision != head_revision():
        # Another version of Marquee may answer otherwise.
        return
    config = PgvectorConfig(model=manifest.embedding_model, include_adult=manifest.include_adult)
    with Session(engine) as session:
        differing = manifest.sample.differing(ask_again(session, manifest.sample, config=config))
    if differing:
        raise SetupError(
            f"The database was restored, and {differing} of {manifest.sample.lists} sampled lists are others than "
            "when it was saved. Do not use it."
        )
