"""An older database comes up to the current schema: nothing is lost, nothing is half done, and it is said."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from backend.errors import SetupError
from backend.migrations import migrate
from backend.migrations.adopt import migrate_older
from backend.migrations.names import read_names
from backend.models import Base

ROOT = Path(__file__).parents[1]
SCRIPT = Path("backend") / "migrate_add_pgvector.py"
TOO_LARGE_FOR_INTEGER = 2_923_706_026
GENRES = ["Drama", "Science Fiction", "Children's"]

OLD_MOVIES = """
CREATE TABLE movies (
    id INTEGER PRIMARY KEY, title VARCHAR(500) NOT NULL, overview TEXT, genres {genres},
    release_date {date}, runtime INTEGER, budget INTEGER, revenue INTEGER,
    vote_average NUMERIC(4, 2), vote_count INTEGER, popularity REAL
)
"""
OLD_TASTE = """
CREATE TABLE users (id SERIAL PRIMARY KEY, email VARCHAR(200) UNIQUE);
CREATE TABLE interactions (
    id SERIAL PRIMARY KEY, user_id INTEGER REFERENCES users, movie_id INTEGER REFERENCES movies, rating REAL);
CREATE INDEX interactions_movie_id_idx ON interactions (movie_id);
INSERT INTO users (email) VALUES ('a@example.org'), ('b@example.org');
INSERT INTO interactions (user_id, movie_id, rating) VALUES (1, 1, 4.5), (2, 1, 3), (2, 200, 5);
"""
OBJECTS = [{"id": number, "name": name} for number, name in enumerate(GENRES)]
GENRE_FORMS: dict[str, tuple[str, Any]] = {
    "text array": ("text[]", GENRES),
    "varchar array": ("varchar(40)[]", GENRES),
    "JSON names": ("json", json.dumps(GENRES)),
    "JSONB objects": ("jsonb", json.dumps(OBJECTS)),
    "JSON text": ("text", json.dumps(OBJECTS)),
    "Python text": ("text", repr(OBJECTS)),
    "comma text": ("varchar(200)", ", ".join(GENRES)),
    "bar text": ("text", "|".join(GENRES)),
}


def run_sql(engine: Engine, statement: str, values: Any = None) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def rows_of(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def make_old_movies(engine: Engine, genres_type: str = "text[]", genres: Any = None) -> None:
    """200 films in the schema of before; every tenth without genres, overview and votes."""
    run_sql(engine, OLD_MOVIES.format(genres=genres_type, date="date"))
    full = {"genres": GENRES if genres is None else genres, "overview": "A story.", "votes": 900}
    bare = {"genres": None, "overview": None, "votes": None}
    films = [
        {"id": number, "title": f"Film {number}", **(full if number % 10 else bare)} for number in range(1, 201)
    ]
    run_sql(
        engine,
        f"""INSERT INTO movies VALUES (:id, :title, :overview, CAST(:genres AS {genres_type}), '1999-10-15',
            100, 63000000, 2147483647, 7.25, :votes, 12.5)""",  # noqa: S608
        films,
    )


def differences(engine: Engine) -> list[Any]:
    """What Alembic would still change, aside from what is kept for the owner."""
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        found = compare_metadata(context, Base.metadata)
    return [item for item in found if "before_marquee" not in str(item) and "owners_" not in str(item)]


@pytest.mark.parametrize("form", GENRE_FORMS)
def test_an_older_database_comes_up_and_loses_nothing(empty_engine: Engine, form: str) -> None:
    make_old_movies(empty_engine, *GENRE_FORMS[form])
    run_sql(empty_engine, OLD_TASTE)

    done = migrate_older(empty_engine)

    assert rows_of(
        empty_engine,
        "SELECT id, title, overview, genres, release_date::text, runtime, budget, revenue, "
        "vote_average, vote_count, popularity, release_year FROM movies ORDER BY id",
    ) == [
        (number, f"Film {number}")
        + (("A story.", GENRES) if number % 10 else (None, []))
        + ("1999-10-15", 100, 63_000_000, 2_147_483_647, 7.25, 900 if number % 10 else 0, 12.5, 1999)
        for number in range(1, 201)
    ]
    assert differences(empty_engine) == []
    assert rows_of(empty_engine, "SELECT * FROM users_before_marquee ORDER BY id") == [
        (1, "a@example.org"),
        (2, "b@example.org"),
    ]
    assert rows_of(empty_engine, "SELECT * FROM interactions_before_marquee ORDER BY id") == [
        (1, 1, 1, 4.5),
        (2, 2, 1, 3.0),
        (3, 2, 200, 5.0),
    ]
    assert any("kept as users_before_marquee, with its 2 rows" in line for line in done)
    assert any("kept as interactions_before_marquee, with its 3 rows" in line for line in done)
    pending = "SELECT count(*) FROM movies WHERE text_hash IS NOT NULL AND embedding_hash IS NULL"
    assert rows_of(empty_engine, pending) == [(200,)]

    revenue = {"revenue": TOO_LARGE_FOR_INTEGER}
    run_sql(empty_engine, "UPDATE movies SET revenue = :revenue WHERE id = 1", revenue)
    assert rows_of(empty_engine, "SELECT max(revenue) FROM movies") == [(TOO_LARGE_FOR_INTEGER,)]
    before = rows_of(empty_engine, "SELECT xmin::text, m.* FROM movies m ORDER BY id")
    assert migrate_older(empty_engine) == []
    assert migrate(empty_engine) is False
    assert rows_of(empty_engine, "SELECT xmin::text, m.* FROM movies m ORDER BY id") == before


def test_an_adopted_database_has_the_triggers_and_the_storage_of_a_new_one(empty_engine: Engine) -> None:
    make_old_movies(empty_engine)
    run_sql(empty_engine, OLD_TASTE)
    migrate_older(empty_engine)

    run_sql(empty_engine, "INSERT INTO users (external_id) VALUES ('ann')")
    run_sql(
        empty_engine,
        "INSERT INTO pending_interactions (user_id, tmdb_id, kind) SELECT id, 862, 'like' FROM users",
    )
    run_sql(empty_engine, "INSERT INTO movies (id, title, release_date) VALUES (862, 'Toy', '1995-10-30')")

    assert rows_of(empty_engine, "SELECT movie_id, kind FROM interactions") == [(862, "like")]
    toy = "SELECT release_year, text_hash IS NOT NULL, quality FROM movies WHERE id = 862"
    assert rows_of(empty_engine, toy) == [(1995, True, 0.0)]
    storage = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'movies'::regclass AND attname = 'embedding'"
    assert rows_of(empty_engine, storage) == [("p",)]


def test_an_empty_database_gets_the_ordinary_migration(empty_engine: Engine) -> None:
    assert migrate_older(empty_engine)
    assert differences(empty_engine) == []
    assert migrate_older(empty_engine) == []


def test_tables_that_fit_stay(empty_engine: Engine) -> None:
    migrate(empty_engine)
    run_sql(empty_engine, "INSERT INTO users (external_id) VALUES ('ann')")
    run_sql(empty_engine, "INSERT INTO movies (id, title) VALUES (1, 'One')")
    run_sql(
        empty_engine,
        "INSERT INTO interactions (user_id, movie_id, kind, value) SELECT id, 1, 'rating', 4 FROM users",
    )
    run_sql(empty_engine, "DROP TABLE alembic_version")
    of_films = ("keep_text_hash()", "settle_pending_interactions()", "embedding_text(movies)")
    for function in (*of_films, "note_changed_people()", "note_gone_people()"):
        run_sql(empty_engine, f"DROP FUNCTION {function} CASCADE")

    done = migrate_older(empty_engine)

    assert not any("kept" in line for line in done)
    assert rows_of(empty_engine, "SELECT movie_id, value FROM interactions") == [(1, 4.0)]
    assert differences(empty_engine) == []


def test_a_start_refuses_a_table_of_somebody_else_and_names_the_command(empty_engine: Engine) -> None:
    run_sql(empty_engine, "CREATE TABLE users (id serial PRIMARY KEY)")
    with pytest.raises(SetupError, match=r"`users`.*python backend/migrate_add_pgvector\.py"):
        migrate(empty_engine)


def test_what_can_not_be_read_is_counted_and_kept(empty_engine: Engine) -> None:
    run_sql(empty_engine, OLD_MOVIES.format(genres="text", date="text"))
    run_sql(
        empty_engine,
        """INSERT INTO movies (id, title, genres, release_date) VALUES
           (1, 'Good', 'Drama', '1999-10-15'), (2, 'Empty', '', ' '), (3, 'Odd', '[{"id": 18', 'soon'),
           (4, 'With a time', NULL, '2001-02-03T00:00:00Z')""",
    )

    done = "\n".join(migrate_older(empty_engine))

    assert "release_date: text is date now; empty in 1 rows: NULL there; not readable in 1 rows" in done
    found = rows_of(empty_engine, "SELECT id, release_date::text, genres FROM movies ORDER BY id")
    assert found == [(1, "1999-10-15", ["Drama"]), (2, None, []), (3, None, []), (4, "2001-02-03", [])]
    kept = "SELECT * FROM movies_unreadable_before_marquee ORDER BY column_name"
    assert rows_of(empty_engine, kept) == [("3", "genres", '[{"id": 18'), ("3", "release_date", "soon")]


def test_columns_of_any_reasonable_type_are_converted(empty_engine: Engine) -> None:
    run_sql(
        empty_engine,
        """CREATE TABLE movies (
               id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, title varchar, original_title text,
               budget text, revenue numeric, runtime double precision, release_date timestamp,
               vote_average real, vote_count bigint, adult integer, keywords jsonb, actors varchar[],
               popularity text DEFAULT '1', quality text NOT NULL, text_hash text, overview text NOT NULL);
           CREATE TABLE owners_reviews (movie_id bigint REFERENCES movies, body text);
           INSERT INTO movies VALUES (862, NULL, 'Toy', '30000000', 373554033, 81.0, '1995-10-30 12:00',
               7.9, 5415, 1, '["toy"]', '{Tom,NULL}', '21.9', 'HD', 'abc', 'A boy.');
           INSERT INTO owners_reviews VALUES (862, 'Good')""",
    )

    migrate_older(empty_engine)

    assert differences(empty_engine) == []
    query = """SELECT title, budget, revenue, runtime, release_date::text, vote_average, adult, keywords, actors,
        popularity, quality_before_marquee, text_hash_before_marquee FROM movies"""
    assert rows_of(empty_engine, query) == [
        ("Toy", 30_000_000, 373_554_033, 81, "1995-10-30", 7.9, True, ["toy"], ["Tom"], 21.9, "HD", "abc")
    ]
    run_sql(empty_engine, "INSERT INTO movies (id, title) VALUES (1, 'No quality, no overview')")
    run_sql(empty_engine, "DELETE FROM movies WHERE id = 1")
    with pytest.raises(IntegrityError, match="foreign key"):
        run_sql(empty_engine, "DELETE FROM movies WHERE id = 862")


@pytest.mark.parametrize("old_type", ["vector(768)", "double precision[]", "text"])
def test_an_embedding_of_another_kind_makes_room(empty_engine: Engine, old_type: str) -> None:
    make_old_movies(empty_engine)
    run_sql(empty_engine, "CREATE EXTENSION vector")
    run_sql(empty_engine, f"ALTER TABLE movies ADD COLUMN embedding {old_type}")
    done = migrate_older(empty_engine)
    assert f"movies.embedding: the column ({old_type}) is dropped; it is computed anew." in done
    assert differences(empty_engine) == []


def test_an_embedding_without_a_model_stays_and_is_pending(empty_engine: Engine) -> None:
    make_old_movies(empty_engine)
    run_sql(empty_engine, "CREATE EXTENSION vector")
    run_sql(empty_engine, "ALTER TABLE movies ADD COLUMN embedding vector(384)")
    run_sql(empty_engine, "UPDATE movies SET embedding = array_fill(0.5, ARRAY[384])::vector")
    run_sql(empty_engine, "CREATE INDEX old_idx ON movies USING hnsw (embedding vector_cosine_ops)")

    done = migrate_older(empty_engine)

    assert any(line.startswith("The index old_idx is dropped") for line in done)
    kept = "SELECT count(embedding), count(embedding_hash), count(embedding_model) FROM movies"
    assert rows_of(empty_engine, kept) == [(200, 0, 0)]
    assert differences(empty_engine) == []


def test_rows_that_repeat_an_id_are_kept_beside(empty_engine: Engine) -> None:
    run_sql(
        empty_engine,
        """CREATE TABLE movies (id integer, title text, overview text, vote_count integer);
           INSERT INTO movies VALUES (1, 'Few', 'x', 5), (1, 'Many', NULL, 50), (2, 'Bare', NULL, 7),
               (2, 'Full', 'x', 7), (NULL, 'Nameless', NULL, 1), (3, 'Alone', NULL, NULL)""",
    )

    migrate_older(empty_engine)

    assert rows_of(empty_engine, "SELECT id, title FROM movies ORDER BY id") == [
        (1, "Many"),
        (2, "Full"),
        (3, "Alone"),
    ]
    kept = "SELECT id, title FROM movies_duplicates_before_marquee ORDER BY title"
    assert rows_of(empty_engine, kept) == [(2, "Bare"), (1, "Few"), (None, "Nameless")]
    assert differences(empty_engine) == []


def test_rules_of_the_owner_do_not_refuse_the_films_to_come(empty_engine: Engine) -> None:
    make_old_movies(empty_engine)
    run_sql(
        empty_engine,
        """ALTER TABLE movies ADD UNIQUE (title), ADD CHECK (budget > 0), ADD COLUMN slug text UNIQUE;
           UPDATE movies SET slug = 'film-' || id;
           ALTER TABLE movies ALTER COLUMN slug SET NOT NULL;
           CREATE UNIQUE INDEX one_film_a_day ON movies (release_date, title);
           CREATE INDEX movies_title_idx ON movies (title);
           CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
           INSERT INTO alembic_version VALUES ('ae1027a6acf')""",
    )

    done = "\n".join(migrate_older(empty_engine))

    run_sql(empty_engine, "INSERT INTO movies (id, title, budget) VALUES (862, 'Film 1', 0), (863, 'Film 1', 0)")
    assert rows_of(empty_engine, "SELECT slug FROM movies WHERE id = 1") == [("film-1",)]
    for name in ("movies_title_key", "movies_budget_check", "one_film_a_day", "movies.slug"):
        assert name in done
    assert "alembic_version_before_marquee" in done
    assert migrate_older(empty_engine) == []


REFUSALS = {
    "view": ("CREATE VIEW top_films AS SELECT title, budget FROM movies", "top_films reads budget, title"),
    "trigger": (
        """CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
           CREATE TRIGGER watch BEFORE UPDATE OF budget ON movies FOR EACH ROW EXECUTE FUNCTION nothing()""",
        "movies.budget can't be changed from integer to bigint.*trigger watch",
    ),
    "other key": (
        "ALTER TABLE movies DROP CONSTRAINT movies_pkey, ADD PRIMARY KEY (title)",
        "ALTER TABLE movies DROP CONSTRAINT movies_pkey",
    ),
    "other id": ("ALTER TABLE movies ADD COLUMN tmdb_id integer", "movies.id has to be the TMDB id"),
    "no id": ("ALTER TABLE movies RENAME COLUMN id TO tmdb_id", "movies has no column id"),
    "large id": (
        "ALTER TABLE movies ALTER COLUMN id TYPE bigint; UPDATE movies SET id = 3000000000 WHERE id = 1",
        "movies.id can't be changed from bigint to integer",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_it_can_not_do_is_said_and_nothing_stays_half_done(empty_engine: Engine, case: str) -> None:
    make_old_movies(empty_engine)
    run_sql(empty_engine, "CREATE TABLE users (id serial PRIMARY KEY)")
    statement, message = REFUSALS[case]
    run_sql(empty_engine, statement)
    shape = "SELECT attname, atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'movies'::regclass"
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    before = rows_of(empty_engine, shape), rows_of(empty_engine, tables)

    with pytest.raises(SetupError, match=message):
        migrate_older(empty_engine)

    assert (rows_of(empty_engine, shape), rows_of(empty_engine, tables)) == before


def test_a_database_newer_than_the_code_is_refused(empty_engine: Engine) -> None:
    migrate(empty_engine)
    run_sql(empty_engine, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SetupError, match="older than the database"):
        migrate_older(empty_engine)


def run_script(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_command_says_what_it_did_and_a_second_run_has_nothing_to_do(empty_engine: Engine) -> None:
    make_old_movies(empty_engine)
    run_sql(empty_engine, OLD_TASTE)
    url = empty_engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")

    first, second = run_script(url), run_script(url)

    assert (first.returncode, first.stderr) == (0, "")
    assert "movies.budget: integer is bigint now." in first.stdout.splitlines()
    assert "200 films" in first.stdout
    assert (second.returncode, second.stdout) == (0, "Nothing to do: the database has the current schema.\n")


def test_the_command_fails_with_one_clear_line(empty_engine: Engine) -> None:
    make_old_movies(empty_engine)
    run_sql(empty_engine, "CREATE VIEW top_films AS SELECT budget FROM movies")
    url = empty_engine.url.render_as_string(hide_password=False).replace("+psycopg2", "")

    refused, debugged, unreachable, misused, helped = (
        run_script(url),
        run_script(url, "--debug"),
        run_script("postgresql://nobody@127.0.0.1:1/none"),
        run_script(url, "--wrong"),
        run_script(url, "--help"),
    )

    assert refused.returncode == unreachable.returncode == 1
    assert len(refused.stderr.splitlines()) == len(unreachable.stderr.splitlines()) == 1
    assert "top_films" in refused.stderr
    assert "Traceback" in debugged.stderr
    assert misused.returncode == 2
    assert helped.returncode == 0
    assert "one transaction" in helped.stdout


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ("", []),
        ("null", []),
        ("[]", []),
        ("Drama", ["Drama"]),
        ("Drama|War, Civil", ["Drama", "War, Civil"]),
        ("['Drama', None, ' War ']", ["Drama", "War"]),
        ('[{"id": 1, "name": "Drama"}, {"id": 1, "name": "Drama"}]', ["Drama"]),
        ("[{'id': 1, 'name': \"Children's\"}]", ["Children's"]),
        ('"[{\\"id\\": 1, \\"name\\": \\"Drama\\"}]"', ["Drama"]),
        ('{"id": 1, "name": "Drama"}', ["Drama"]),
        ("[18, 35]", ["18", "35"]),
        ('"Weird Al" Yankovic, Emo Philips', ['"Weird Al" Yankovic', "Emo Philips"]),
        ("[{'id': 18, 'na", None),
        ('[{"id": 18}]', None),
        ("[" * 5000, None),
    ],
)
def test_lists_of_names_are_read_in_every_form(raw: str, names: list[str] | None) -> None:
    assert read_names(raw) == names
