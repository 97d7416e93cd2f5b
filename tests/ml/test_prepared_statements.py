"""Statements that are built once say the same as those that are built for each answer."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, Integer, Select, column, create_engine, event, literal, select, table, text
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from backend.embedded_postgres import EmbeddedPostgres
from backend.ml import prepared_statements
from backend.ml.prepared_statements import run_prepared
from tests.conftest import make_database

Sent = list[str]


@pytest.fixture
def engine(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """A database of its own, with films 1 to 9, every third called "100 %"."""
    engine = create_engine(make_database(postgres), pool_size=1, max_overflow=0)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE films_of_may (id integer PRIMARY KEY, name text)"))
        connection.execute(
            text(
                "INSERT INTO films_of_may SELECT i, CASE i % 3 WHEN 0 THEN '100 %' ELSE 'o''' || i END "
                "FROM generate_series(1, 9) i"
            )
        )
        connection.execute(text("CREATE VIEW films_now AS SELECT id, name FROM films_of_may"))
    yield engine
    engine.dispose()


@pytest.fixture
def sent(engine: Engine) -> Sent:
    """What reaches the server, by its first word."""
    seen: Sent = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(re.split(r"\W", statement, maxsplit=1)[0])

    event.listen(engine, "before_cursor_execute", note)
    return seen


FILMS = table("films_now", column("id", Integer), column("name"))


def films(number: int | None, name: str | None, most: int) -> Select[Any]:
    """Films by id, by name, or by both."""
    found = select(FILMS.c.id, literal("100 %").label("told"), FILMS.c.id.in_([1, 2]).label("early"))
    if number is not None:
        found = found.where(FILMS.c.id >= number, FILMS.c.id != number)
    if name is not None:
        found = found.where(FILMS.c.name == name)
    return found.order_by(FILMS.c.id).limit(most)


ASKS = [
    (1, None, 5),
    (4, None, 5),
    (2**40, None, 5),
    (1, None, 2),
    (None, "100 %", 5),
    (None, "o'2", 5),
    (4, "100 %", 5),
]


def test_equal_to_what_is_built_for_each(engine: Engine) -> None:
    with Session(engine) as session:
        for number, name, most in ASKS * 3:
            expected = [dict(row) for row in session.execute(films(number, name, most)).mappings()]
            assert run_prepared(session, films, (number, name), most) == expected


def test_without_values(engine: Engine) -> None:
    with Session(engine) as session:
        for _ in range(3):
            assert [row["id"] for row in run_prepared(session, films, (None, None), 2)] == [1, 2]


def test_prepared_when_asked_for_again(engine: Engine, sent: Sent) -> None:
    with Session(engine) as session:
        for number in (1, 2, 3):
            run_prepared(session, films, (number, None), 4)
    with Session(engine) as session:
        run_prepared(session, films, (4, None), 4)
    assert sent == ["SELECT", "PREPARE", "EXECUTE", "EXECUTE"]


def test_another_connection_has_it_prepared_anew(engine: Engine, sent: Sent) -> None:
    for _ in range(3):
        with Session(engine) as session:
            run_prepared(session, films, (1, None), 6)
        engine.dispose()
    assert sent == ["SELECT", "PREPARE", "PREPARE"]


def test_a_connection_prepares_so_many_and_no_more(
    engine: Engine, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared_statements, "PREPARED", 2)
    with Session(engine) as session:
        for most in (11, 12, 13) * 3:
            assert len(run_prepared(session, films, (5, None), most)) == 4
    assert sent == ["SELECT"] * 3 + ["PREPARE"] * 2 + ["SELECT"] + ["EXECUTE"] * 2 + ["SELECT"]


def test_what_failed_can_be_asked_again(engine: Engine, sent: Sent) -> None:
    def divided(number: int) -> Select[Any]:
        return select((10 / literal(number, Integer)).label("value"))

    with Session(engine) as session:
        run_prepared(session, divided, (1,))
        for _ in range(2):
            with pytest.raises(DataError, match="division by zero"):
                run_prepared(session, divided, (0,))
            session.rollback()
        assert [run_prepared(session, divided, (number,))[0]["value"] for number in (5, 2)] == [2, 5]
    assert sent == ["SELECT", "PREPARE", "PREPARE", "PREPARE", "EXECUTE"]


def test_a_view_that_is_made_anew_is_followed(engine: Engine) -> None:
    with Session(engine) as session:
        for _ in range(8):
            assert len(run_prepared(session, films, (1, None), 7)) == 7
            session.rollback()
        session.execute(text("DROP VIEW films_now"))
        session.execute(text("CREATE VIEW films_now AS SELECT id, name FROM films_of_may WHERE id <= 3"))
        session.commit()
        assert [row["id"] for row in run_prepared(session, films, (1, None), 7)] == [2, 3]


def test_a_value_that_is_not_handed_on_is_noticed(engine: Engine) -> None:
    def of_the_next(number: int) -> Select[Any]:
        return select(FILMS.c.id).where(FILMS.c.id == number + 1)

    with Session(engine) as session, pytest.raises(TypeError, match="of_the_next"):
        run_prepared(session, of_the_next, (1,))
