"""The films that answers may show can be counted without reading them."""

from alembic import op

revision = "0007"
down_revision = "0006"


# IF NOT EXISTS: as in the first revision.
INDEXES = "CREATE INDEX IF NOT EXISTS movies_shown_idx ON movies (id) WHERE NOT adult;"


def upgrade() -> None:
    """Add the index."""
    op.execute(INDEXES)
