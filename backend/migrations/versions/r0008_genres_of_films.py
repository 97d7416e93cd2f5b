"""Item factors tell of each film its genres, so that folding a person in tells which of them they like."""

from alembic import op

revision = "0008"
down_revision = "0007"

# `ml/taste_store.py` puts a table behind it.
VIEW = """
    SELECT NULL::integer AS movie_id, NULL::vector AS p, NULL::vector AS q, NULL::vector AS genres,
           NULL::integer AS reach, NULL::text AS version
    WHERE false
"""

# As in revision 0004: factors that lack the genres are as before the first training, and the service sees to the
# next at its start.
UPGRADE = """
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'item_factors'::regclass AND attname = 'genres'
    ) THEN
        DROP VIEW item_factors;
        CREATE VIEW item_factors AS {view};
        DELETE FROM active_model;
    END IF;
END $$
"""


def upgrade() -> None:
    """Let the view have the column."""
    op.execute(UPGRADE.format(view=VIEW))
