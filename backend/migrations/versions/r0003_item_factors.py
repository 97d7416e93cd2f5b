"""Which item factors answer: one row to switch, and one view that every reader goes through."""

from alembic import op

revision = "0003"
down_revision = "0002"

# IF NOT EXISTS: as in the first revision.
TABLES = """
CREATE TABLE IF NOT EXISTS active_model (
    id           smallint PRIMARY KEY DEFAULT 1,
    version      text NOT NULL,
    previous     text,
    activated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT active_model_id_check CHECK (id = 1)
);
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS movies_collection_idx ON movies (collection) WHERE collection IS NOT NULL;
"""

# Until the first training there are none; `ml/taste_store.py` puts a table behind it.
VIEW = """
CREATE VIEW item_factors AS
SELECT NULL::integer AS movie_id, NULL::vector AS p, NULL::vector AS q, NULL::vector AS s, NULL::integer AS reach,
       NULL::text AS version
WHERE false;
"""


def upgrade() -> None:
    """Add the table and the view."""
    op.execute(TABLES)
    op.execute(INDEXES)
    # Where the tables are there already, the view may be too, and lead to factors that are in force.
    op.execute(f"DO $$ BEGIN IF to_regclass('item_factors') IS NULL THEN {VIEW} END IF; END $$")
