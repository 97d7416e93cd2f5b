"""What a fetch from TMDB goes by: what is to come, how far it is, what could not be used, what is left out."""

from alembic import op

revision = "0010"
down_revision = "0009"

# IF NOT EXISTS: as in the first revision.
TABLES = """
ALTER TABLE movies
    ADD COLUMN IF NOT EXISTS original_overview text,
    ADD COLUMN IF NOT EXISTS hidden boolean NOT NULL DEFAULT false;
CREATE TABLE IF NOT EXISTS fetch_queue (
    id integer PRIMARY KEY,
    reason text NOT NULL,
    priority real NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fetch_queue_reason_check CHECK (reason IN ('pending', 'list', 'export', 'change', 'stale', 'gone'))
);
CREATE TABLE IF NOT EXISTS fetch_positions (
    source text PRIMARY KEY,
    position jsonb NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS rejects (
    source text NOT NULL,
    name text NOT NULL,
    reason text NOT NULL,
    record text,
    rejected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, name)
);
"""

INDEXES = """
CREATE INDEX IF NOT EXISTS fetch_queue_next_idx ON fetch_queue (priority DESC, id);
CREATE INDEX IF NOT EXISTS movies_fetched_at_idx ON movies (fetched_at) WHERE source = 'tmdb';
CREATE INDEX IF NOT EXISTS movies_changed_text_idx ON movies (text_hash)
    WHERE embedding_hash IS DISTINCT FROM text_hash;
DROP INDEX IF EXISTS movies_shown_idx;
CREATE INDEX movies_shown_idx ON movies (id) INCLUDE (embedding_model) WHERE NOT adult AND NOT hidden;
"""


def upgrade() -> None:
    """Add the columns, the tables and the indexes."""
    op.execute(TABLES)
    op.execute(INDEXES)
