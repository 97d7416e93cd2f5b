"""Changes of what answers are made of are told to whoever listens, as they are committed."""

from alembic import op

revision = "0005"
down_revision = "0004"

# One notification a transaction and payload, whatever it changed. A statement that changed no film says nothing:
# the tables of new rows are there already, for the triggers that settle interactions.
TELL = """
CREATE OR REPLACE FUNCTION tell_of_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('marquee_changes', TG_ARGV[0]);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tell_of_changed_films() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        PERFORM pg_notify('marquee_changes', 'films');
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER tell_of_new_movies AFTER INSERT ON movies
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changed_films();
CREATE OR REPLACE TRIGGER tell_of_changed_movies AFTER UPDATE ON movies
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION tell_of_changed_films();
CREATE OR REPLACE TRIGGER tell_of_removed_movies AFTER DELETE OR TRUNCATE ON movies
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('films');
CREATE OR REPLACE TRIGGER tell_of_active_model AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON active_model
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('taste');
CREATE OR REPLACE TRIGGER tell_of_index AFTER INSERT ON index_measurements
    FOR EACH STATEMENT EXECUTE FUNCTION tell_of_change('index');
"""


def upgrade() -> None:
    """Add the triggers."""
    op.execute(TELL)
