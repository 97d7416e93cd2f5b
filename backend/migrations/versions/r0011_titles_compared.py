"""Films are found by titles but for signs and capitals, by original titles, and a year off where that is clear."""

from alembic import op

revision = "0011"
down_revision = "0010"

# By signs, not by "what is no letter": what a letter is depends on the locale of the server. A title that is
# made of nothing else stays as it is.
TITLE_KEY = """
CREATE OR REPLACE FUNCTION title_key(title text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    nullif(translate(lower(title), ' !"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~ ¡·¿‐‑‒–—―‘’‚“”„…′″', ''), ''),
    lower(title)
);
"""

# Not among the MAKERS of `shapes.py`, which knows tables and indexes but no functions.
INDEXES = """
DROP INDEX IF EXISTS movies_title_key_idx, movies_original_title_key_idx, pending_interactions_title_key_idx;
CREATE INDEX movies_title_key_idx ON movies (title_key(title), release_year);
CREATE INDEX movies_original_title_key_idx ON movies (title_key(original_title), release_year)
    WHERE original_title <> title;
CREATE INDEX pending_interactions_title_key_idx ON pending_interactions (title_key(title), year);
"""

# As in the first revision, but for titles: they are looked up by the same rules as in `feedback/store.py`. A film
# whose year is one off is taken where no other film has that title then.
SETTLE_PENDING = """
CREATE OR REPLACE FUNCTION settle_pending_interactions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM pg_advisory_xact_lock(hashtext('pending_interactions'));
    END IF;
    IF NOT EXISTS (SELECT FROM pending_interactions) THEN
        RETURN NULL;
    END IF;
    WITH titled AS (
        SELECT p.id, p.year, m.key, m.id AS movie_id, m.vote_count, m.release_year
        FROM (
            SELECT title_key(title) AS key, id, vote_count, release_year FROM arrived
            UNION
            SELECT title_key(original_title), id, vote_count, release_year FROM arrived
        ) m
        CROSS JOIN LATERAL (
            SELECT id, year FROM pending_interactions
            WHERE title_key(title) = m.key AND year BETWEEN m.release_year - 1 AND m.release_year + 1
                AND tmdb_id IS NULL AND imdb_id IS NULL
            OFFSET 0 -- looked up film by film, however much waits
        ) p
    ), found AS (
        SELECT DISTINCT ON (id) id, movie_id
        FROM (
            SELECT p.id, m.id AS movie_id, m.vote_count
            FROM pending_interactions p JOIN arrived m ON p.tmdb_id = m.id
            UNION ALL
            SELECT p.id, m.id, m.vote_count
            FROM pending_interactions p JOIN arrived m ON p.imdb_id = m.imdb_id
            WHERE p.tmdb_id IS NULL
            UNION ALL
            SELECT id, movie_id, vote_count
            FROM titled t
            WHERE release_year = year OR NOT EXISTS (
                SELECT FROM movies other
                WHERE title_key(other.title) = t.key AND other.id <> t.movie_id
                    AND other.release_year BETWEEN t.year - 1 AND t.year + 1
            ) AND NOT EXISTS (
                SELECT FROM movies other
                WHERE title_key(other.original_title) = t.key AND other.original_title <> other.title
                    AND other.id <> t.movie_id AND other.release_year BETWEEN t.year - 1 AND t.year + 1
            )
        ) candidates
        ORDER BY id, vote_count DESC, movie_id
    ), settled AS (
        DELETE FROM pending_interactions p USING found f WHERE p.id = f.id
        RETURNING p.user_id, f.movie_id, p.kind, p.value, p.at, p.recommendation_id, p.position
    )
    INSERT INTO interactions AS i (user_id, movie_id, kind, value, at, recommendation_id, position)
    SELECT DISTINCT ON (user_id, movie_id, kind) * FROM settled ORDER BY user_id, movie_id, kind, at DESC
    ON CONFLICT (user_id, movie_id, kind) DO UPDATE
        SET value = excluded.value, at = excluded.at,
            recommendation_id = excluded.recommendation_id, position = excluded.position
        WHERE i.at < excluded.at;
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    """Make the function, the indexes over it, and the trigger's work by it."""
    for statement in (TITLE_KEY, INDEXES, SETTLE_PENDING):
        op.execute(statement)
