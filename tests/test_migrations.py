"""Migration: the revisions and the models describe the same schema, and repeating changes nothing."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine

from backend.migrations import migrate
from backend.models import Base


def test_schema_by_migration_is_schema_by_models(empty_engine: Engine) -> None:
    assert migrate(empty_engine) is True
    with empty_engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_a_second_migration_has_nothing_to_do(empty_engine: Engine) -> None:
    migrate(empty_engine)
    assert migrate(empty_engine) is False
