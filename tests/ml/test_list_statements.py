"""What all lists have in common: the films that may be shown are counted without reading them."""

import pytest
from sqlalchemy import Engine, Select, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from backend.ml.list_statements import Scope, length
from backend.models import Movie


@pytest.fixture
def many(own_engine: Engine) -> Engine:
    """Ten thousand films, some of them hidden, some for adults."""
    with own_engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO movies (id, title, overview, hidden, adult)
                SELECT n, 'Film ' || n, repeat(md5(n::text), 10), n % 50 = 0, n % 20 = 1
                FROM generate_series(1, 10000) n
            """)
        )
    with own_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE movies"))
    return own_engine


def counted(*, include_adult: bool) -> Select[int]:
    """The length of an unfiltered list."""
    scope = Scope(model="a-model", include_adult=include_adult)
    return select(length(select(Movie.id).where(scope.condition()), scope))


def test_the_films_that_may_be_shown_are_counted_by_an_index_of_them(many: Engine) -> None:
    statement = counted(include_adult=False)
    with Session(many) as session:
        assert session.scalar(statement) == 500
        asked = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        plan = "".join(session.connection().exec_driver_sql(f"EXPLAIN {asked}").scalars())
        assert "Index Only Scan using movies_shown_idx" in plan
        session.execute(text("DELETE FROM movies WHERE id > 100"))
        assert session.scalar(statement) == 93
        assert session.scalar(counted(include_adult=True)) == 98
