"""Runs of jobs, when a film was fetched, and which people changed: what the scheduler and the file cache go by."""

from alembic import op

revision = "0002"
down_revision = "0001"

# IF NOT EXISTS: as in the first revision.
TABLES = """
ALTER TABLE movies ADD COLUMN IF NOT EXISTS fetched_at timestamptz;

CREATE TABLE IF NOT EXISTS job_runs (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job          text NOT NULL,
    outcome      text NOT NULL,
    due_at       timestamptz,
    requested_at timestamptz NOT NULL DEFAULT now(),
    started_at   timestamptz,
    ended_at     timestamptz,
    counts       jsonb NOT NULL DEFAULT '{}',
    error        text,
    CONSTRAINT job_runs_outcome_check CHECK
        (outcome IN ('queued', 'running', 'succeeded', 'skipped', 'failed', 'interrupted')),
    CONSTRAINT job_runs_due_key UNIQUE (job, due_at)
);

CREATE TABLE IF NOT EXISTS installation (id uuid PRIMARY KEY DEFAULT gen_random_uuid());

CREATE TABLE IF NOT EXISTS people_changes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    bigint NOT NULL,
    changed_in bigint NOT NULL DEFAULT (pg_current_xact_id()::text)::bigint,
    at         timestamptz NOT NULL DEFAULT now()
);
"""

INDEXES = """
CREATE UNIQUE INDEX IF NOT EXISTS job_runs_queued_key ON job_runs (job) WHERE outcome = 'queued';
CREATE INDEX IF NOT EXISTS job_runs_job_idx ON job_runs (job, id DESC);
CREATE INDEX IF NOT EXISTS people_changes_changed_in_idx ON people_changes (changed_in);
"""

INSTALLATION = "INSERT INTO installation SELECT WHERE NOT EXISTS (SELECT FROM installation);"

# Rows are only ever added, so writers never wait for each other here. The transaction's number tells a reader
# exactly what it has not seen yet: everything from the oldest that was still open at its last look.
NOTE_CHANGED_PEOPLE = """
CREATE FUNCTION note_changed_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO people_changes (user_id) SELECT DISTINCT user_id FROM changed;
    RETURN NULL;
END $$;

CREATE TRIGGER note_new_interactions AFTER INSERT ON interactions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_changed_people();
CREATE TRIGGER note_changed_interactions AFTER UPDATE ON interactions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_changed_people();
CREATE TRIGGER note_removed_interactions AFTER DELETE ON interactions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_changed_people();

CREATE FUNCTION note_gone_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO people_changes (user_id) SELECT id FROM gone;
    RETURN NULL;
END $$;

CREATE TRIGGER note_gone_people AFTER DELETE ON users
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note_gone_people();
"""


def upgrade() -> None:
    """Add the tables and the triggers."""
    for statement in (TABLES, INDEXES, INSTALLATION, NOTE_CHANGED_PEOPLE):
        op.execute(statement)
