"""Beside the item factors two tables a version for what has to be found fast, and the search for close films.

Until the first training the tables are views of nothing.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

# `ml/taste_store.py` puts tables behind them.
VIEWS = {
    "item_factors": """
        SELECT NULL::integer AS movie_id, NULL::vector AS p, NULL::vector AS q, NULL::integer AS reach,
               NULL::text AS version
        WHERE false
    """,
    "within_reach": "SELECT NULL::integer AS movie_id, NULL::halfvec AS q WHERE false",
    "likeness": """
        SELECT NULL::integer AS movie_id, NULL::vector AS s, NULL::halfvec AS place, false AS indexed,
               NULL::text AS version
        WHERE false
    """,
}

# Where the views are there already, they may lead to what is in force. An earlier version's factors lack what
# answers go by now: it is as before the first training, and the service sees to the next at its start.
UPGRADE = """
DO $$ BEGIN
    IF to_regclass('likeness') IS NULL THEN
        DROP VIEW IF EXISTS item_factors;
        {views}
        DELETE FROM active_model;
    END IF;
END $$
"""

# A statement that searches two indexes needs two settings: what the database has is for answers by embedding only.
CLOSE_FILMS = """
CREATE OR REPLACE FUNCTION close_films(around halfvec, wanted integer)
RETURNS TABLE (id integer, distance double precision)
LANGUAGE sql STABLE SET hnsw.ef_search = 80 AS $$
    SELECT id, (embedding::halfvec(384)) <=> around FROM movies
    ORDER BY (embedding::halfvec(384)) <=> around LIMIT wanted
$$
"""


def upgrade() -> None:
    """Add the views and the function."""
    views = "".join(f"CREATE VIEW {name} AS {shown};" for name, shown in VIEWS.items())
    op.execute(UPGRADE.format(views=views))
    # Who is no superuser may name a setting of a library only once that is loaded, as by a value of its types.
    op.execute("SELECT '[1]'::vector")
    op.execute(CLOSE_FILMS)
