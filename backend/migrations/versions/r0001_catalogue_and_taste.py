"""Films, people, what people do with films, and the functions that keep derived state honest."""

from alembic import op

revision = "0001"
down_revision = None

# IF NOT EXISTS: `adopt.py` leaves an older table that it has brought into exactly this shape.
TABLES = """
CREATE TABLE IF NOT EXISTS movies (
    id                integer PRIMARY KEY,
    imdb_id           text,
    title             text NOT NULL,
    original_title    text,
    original_language text,
    overview          text,
    tagline           text,
    genres            text[] NOT NULL DEFAULT '{}',
    keywords          text[] NOT NULL DEFAULT '{}',
    directors         text[] NOT NULL DEFAULT '{}',
    actors            text[] NOT NULL DEFAULT '{}',
    collection        text,
    release_date      date,
    release_year      smallint,
    runtime           integer,
    budget            bigint,
    revenue           bigint,
    popularity        double precision NOT NULL DEFAULT 0,
    vote_average      double precision NOT NULL DEFAULT 0,
    vote_count        integer NOT NULL DEFAULT 0,
    status            text,
    adult             boolean NOT NULL DEFAULT false,
    poster_path       text,
    backdrop_path     text,
    source            text NOT NULL DEFAULT 'file',
    updated_at        timestamptz NOT NULL DEFAULT now(),
    quality           real GENERATED ALWAYS AS
        (ln(1 + vote_count) * (vote_average * vote_count + 6.5 * 500) / (vote_count + 500)) STORED,
    text_hash         bytea,
    embedding         vector(384),
    embedding_hash    bytea,
    embedding_model   text
);

CREATE TABLE IF NOT EXISTS users (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_id text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS interactions (
    user_id           bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    movie_id          integer NOT NULL REFERENCES movies ON DELETE CASCADE,
    kind              text NOT NULL,
    value             real,
    at                timestamptz NOT NULL DEFAULT now(),
    recommendation_id text,
    position          integer,
    PRIMARY KEY (user_id, movie_id, kind),
    CONSTRAINT interactions_kind_check CHECK
        (kind IN ('rating', 'like', 'dislike', 'watched', 'watchlist', 'not_interested', 'click')),
    CONSTRAINT interactions_value_check CHECK
        ((kind = 'rating') = (value IS NOT NULL) AND value BETWEEN 0.5 AND 5)
);

CREATE TABLE IF NOT EXISTS pending_interactions (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id           bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    tmdb_id           bigint,
    imdb_id           text,
    title             text,
    year              smallint,
    kind              text NOT NULL,
    value             real,
    at                timestamptz NOT NULL DEFAULT now(),
    recommendation_id text,
    position          integer,
    CONSTRAINT pending_interactions_key
        UNIQUE NULLS NOT DISTINCT (user_id, tmdb_id, imdb_id, title, year, kind),
    CONSTRAINT pending_interactions_movie_check CHECK (num_nonnulls(tmdb_id, imdb_id, title) >= 1)
);

CREATE TABLE IF NOT EXISTS index_measurements (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    movies       integer NOT NULL,
    lists        integer,
    probes       integer,
    ef_search    integer,
    recall_at_10 double precision NOT NULL,
    measured_at  timestamptz NOT NULL DEFAULT now()
);
"""

# A vector pushed out into TOAST triples the time of an exact search.
STORAGE = "ALTER TABLE movies ALTER COLUMN embedding SET STORAGE PLAIN;"

INDEXES = """
CREATE INDEX IF NOT EXISTS movies_imdb_id_idx ON movies (imdb_id);
CREATE INDEX IF NOT EXISTS movies_genres_idx ON movies USING gin (genres);
CREATE INDEX IF NOT EXISTS movies_title_idx ON movies USING gin (
    to_tsvector('simple', title || ' ' || coalesce(original_title, '')));
CREATE INDEX IF NOT EXISTS movies_release_year_idx ON movies (release_year);
CREATE INDEX IF NOT EXISTS movies_vote_count_idx ON movies (vote_count, id);
CREATE INDEX IF NOT EXISTS movies_quality_idx ON movies (quality DESC, id);
CREATE INDEX IF NOT EXISTS interactions_movie_id_idx ON interactions (movie_id);
CREATE INDEX IF NOT EXISTS pending_interactions_tmdb_id_idx ON pending_interactions (tmdb_id);
CREATE INDEX IF NOT EXISTS pending_interactions_imdb_id_idx ON pending_interactions (imdb_id);
"""

# The only definition of the text that an embedding is made from.
EMBEDDING_TEXT = """
CREATE FUNCTION embedding_text(movie movies) RETURNS text LANGUAGE sql STABLE
RETURN movie.title
    || ' | ' || coalesce(
        nullif(btrim(movie.overview), ''),
        concat_ws(', ',
            nullif(array_to_string(movie.directors, ', '), ''),
            nullif(array_to_string(movie.actors, ', '), ''),
            movie.release_year,
            nullif(array_to_string(movie.keywords, ', '), '')))
    || ' | ' || array_to_string(movie.genres, ', ');
"""

KEEP_TEXT_HASH = """
CREATE FUNCTION keep_text_hash() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.release_year := coalesce(extract(year FROM NEW.release_date), NEW.release_year);
    NEW.text_hash := sha256(convert_to(embedding_text(NEW), 'UTF8'));
    RETURN NEW;
END $$;

CREATE TRIGGER keep_text_hash
    BEFORE INSERT OR UPDATE OF
        title, overview, genres, keywords, directors, actors, release_date, release_year, text_hash
    ON movies FOR EACH ROW EXECUTE FUNCTION keep_text_hash();
"""

# The lock is shared by whoever writes a pending row: without it a film and an interaction that arrive in
# the same instant would each miss the other.
SETTLE_PENDING = """
CREATE FUNCTION settle_pending_interactions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM pg_advisory_xact_lock(hashtext('pending_interactions'));
    END IF;
    IF NOT EXISTS (SELECT FROM pending_interactions) THEN
        RETURN NULL;
    END IF;
    WITH found AS (
        SELECT DISTINCT ON (id) id, movie_id
        FROM (
            SELECT p.id, m.id AS movie_id, m.vote_count
            FROM pending_interactions p JOIN arrived m ON p.tmdb_id = m.id
            UNION ALL
            SELECT p.id, m.id, m.vote_count
            FROM pending_interactions p JOIN arrived m ON p.imdb_id = m.imdb_id
            WHERE p.tmdb_id IS NULL
            UNION ALL
            SELECT p.id, m.id, m.vote_count
            FROM pending_interactions p
            JOIN arrived m ON lower(p.title) = lower(m.title) AND p.year = m.release_year
            WHERE p.tmdb_id IS NULL AND p.imdb_id IS NULL
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

CREATE TRIGGER settle_pending_of_new_movies AFTER INSERT ON movies
    REFERENCING NEW TABLE AS arrived
    FOR EACH STATEMENT EXECUTE FUNCTION settle_pending_interactions();
CREATE TRIGGER settle_pending_of_changed_movies AFTER UPDATE ON movies
    REFERENCING NEW TABLE AS arrived
    FOR EACH STATEMENT EXECUTE FUNCTION settle_pending_interactions();
"""


def upgrade() -> None:
    """Create the schema; an older `movies` table has been brought into shape before this runs."""
    for statement in (TABLES, STORAGE, INDEXES, EMBEDDING_TEXT, KEEP_TEXT_HASH, SETTLE_PENDING):
        op.execute(statement)
