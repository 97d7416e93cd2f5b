"""More of what is measured of the vector index: what for, by which statements, and how large it is."""

from alembic import op

revision = "0006"
down_revision = "0005"

# IF NOT EXISTS: as in the first revision.
TABLES = """
ALTER TABLE index_measurements
    ADD COLUMN IF NOT EXISTS event text NOT NULL DEFAULT 'build',
    ADD COLUMN IF NOT EXISTS target double precision,
    ADD COLUMN IF NOT EXISTS recalls jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN IF NOT EXISTS size_bytes bigint;
"""


def upgrade() -> None:
    """Add the columns."""
    op.execute(TABLES)
