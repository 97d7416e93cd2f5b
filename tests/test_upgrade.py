"""A database of an earlier version, with films and people in it, comes up to date and answers as a new one."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.orm import Session

from backend import migrations
from backend.embedded_postgres import EmbeddedPostgres
from backend.feedback.store import counts, export, history
from backend.migrations import create_extension, current_revision, head_revision, migrate
from backend.ml.pgvector_recommender import PgvectorRecommender
from tests.catalogue import GODFATHER, MATRIX, TOY_STORY
from tests.conftest import make_database
from tests.ml.factors import publish

FIRST, BEFORE = "0001", f"{int(head_revision()) - 1:04}"
MOMENT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PEOPLE = {"ada": {TOY_STORY: "like", MATRIX: "rating", GODFATHER: "dislike"}, "bob": {GODFATHER: "like"}}
COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_name = 'movies' AND is_generated = 'NEVER' ORDER BY column_name
"""

MEET = "INSERT INTO users (external_id, created_at) VALUES (:who, :at) RETURNING id"
ACT = "INSERT INTO interactions (user_id, movie_id, kind, value, at) VALUES (:who, :film, :kind, :value, :at)"
WAIT = "INSERT INTO pending_interactions (user_id, tmdb_id, kind, at) VALUES (:who, :film, 'like', :at)"


def upgrade_to(engine: Engine, revision: str) -> None:
    """Make the schema of an earlier version."""
    with engine.begin() as connection:
        create_extension(connection)
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        assert current_revision(connection) == revision


def fill_as_then(connection: Connection, films: Engine) -> None:
    """Put the small catalogue and some people in, by the columns that there are."""
    columns = connection.scalars(text(COLUMNS)).all()
    with films.connect() as there:
        names = [name for name in columns if name in set(there.scalars(text(COLUMNS)))]
        shown = ", ".join(f"CAST({name} AS text)" if name == "embedding" else name for name in names)
        rows = [tuple(row) for row in there.execute(text(f"SELECT {shown} FROM movies ORDER BY id"))]  # noqa: S608
    places = ", ".join(["%s"] * len(names))
    connection.exec_driver_sql(f"INSERT INTO movies ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608
    for person, acts in PEOPLE.items():
        number = connection.scalar(text(MEET), {"who": person, "at": MOMENT})
        for film, kind in acts.items():
            value = 5 if kind == "rating" else None
            given = {"who": number, "film": film, "kind": kind, "value": value, "at": MOMENT}
            connection.execute(text(ACT), given)
        connection.execute(text(WAIT), {"who": number, "film": 424242, "at": MOMENT})


@pytest.fixture
def make(postgres: EmbeddedPostgres, catalogue_engine: Engine) -> Callable[[str], Engine]:
    """Makes a database as a version left it, and brings it up to date."""

    def made(revision: str) -> Engine:
        engine = create_engine(make_database(postgres))
        upgrade_to(engine, revision)
        with engine.begin() as connection:
            fill_as_then(connection, catalogue_engine)
        assert migrate(engine) is (revision != head_revision())
        return engine

    return made


def told(engine: Engine) -> dict[str, Any]:
    """What it holds of people, and what it answers, with the same factors in force."""
    with Session(engine) as session, session.begin():
        publish(session)
    with Session(engine) as session:
        recommender = PgvectorRecommender(session)
        lists = {who: recommender.get_recommendations(who) for who in (*PEOPLE, "nobody")}
        similar = {film: recommender.get_similar_movies(film) for film in (TOY_STORY, MATRIX)}
        return {
            "lists": [[(film.id, score) for film, score in each] for each in (*lists.values(), *similar.values())],
            "stats": recommender.get_stats(),
            "export": [export(session, who) for who in PEOPLE],
            "history": [history(session, who, limit=10, offset=0) for who in PEOPLE],
            "counts": counts(session),
        }


def test_a_database_of_an_earlier_version_answers_as_a_new_one(make: Callable[[str], Engine]) -> None:
    engines = [make(revision) for revision in (head_revision(), BEFORE, FIRST)]
    new, *upgraded = (told(engine) for engine in engines)
    assert new["counts"].people == len(PEOPLE)
    assert new["stats"]["coverage_percentage"] == 100
    assert len(new["lists"][0]) == 10
    for old in upgraded:
        assert old == new
    for engine in engines:
        engine.dispose()
