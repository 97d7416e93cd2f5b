"""People may have names; what a training measured of itself is kept; and where films lie on a map."""

from alembic import op

revision = "0012"
down_revision = "0011"

# IF NOT EXISTS: as in the first revision.
TABLES = """
ALTER TABLE users ADD COLUMN IF NOT EXISTS name text;
CREATE TABLE IF NOT EXISTS quality_measurements (
    version text PRIMARY KEY,
    measured_at timestamptz NOT NULL DEFAULT now(),
    people integer NOT NULL,
    figures jsonb NOT NULL,
    popularity jsonb NOT NULL
);
CREATE TABLE IF NOT EXISTS film_map (
    id smallint PRIMARY KEY DEFAULT 1,
    version text NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    movie_ids integer[] NOT NULL,
    x real[] NOT NULL,
    y real[] NOT NULL,
    CONSTRAINT film_map_id_check CHECK (id = 1)
);
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS users_named_idx ON users (id) WHERE name IS NOT NULL;
"""


def upgrade() -> None:
    """Add the column, the tables and the index."""
    op.execute(TABLES)
    op.execute(INDEXES)
