"""Both searches for films like one have settings of their own; what may be shown is counted in an index."""

from alembic import op

revision = "0009"
down_revision = "0008"

# In PL/pgSQL: a function in SQL that sets something is parsed and planned for every answer.
SEARCHES = """
CREATE OR REPLACE FUNCTION close_films(around halfvec, wanted integer)
RETURNS TABLE (id integer, distance double precision)
LANGUAGE plpgsql STABLE SET hnsw.ef_search = 80 AS $$
BEGIN
    RETURN QUERY
        SELECT m.id, (m.embedding::halfvec(384)) <=> around FROM movies m
        ORDER BY (m.embedding::halfvec(384)) <=> around LIMIT wanted;
END $$;

CREATE OR REPLACE FUNCTION close_places(around halfvec, wanted integer)
RETURNS TABLE (id integer, distance double precision)
LANGUAGE plpgsql STABLE SET hnsw.ef_search = 160 AS $$
BEGIN
    RETURN QUERY
        SELECT l.movie_id, l.place <-> around FROM likeness l
        WHERE l.indexed ORDER BY l.place <-> around LIMIT wanted;
END $$;
"""

INDEXES = """
DROP INDEX IF EXISTS movies_shown_idx;
CREATE INDEX movies_shown_idx ON movies (id) INCLUDE (embedding_model) WHERE NOT adult;
"""


def upgrade() -> None:
    """Replace the function and the index."""
    # As in revision 0004.
    op.execute("SELECT '[1]'::vector")
    op.execute(SEARCHES)
    op.execute(INDEXES)
