"""A change of a film's text is in the answers within seconds, whoever made it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, select, text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from backend import database
from backend.api.response_cache import ResponseCache
from backend.catalog.store import claim_pending, find_changed_texts
from backend.config import PACKAGED_MODEL, Settings
from backend.database import CONNECT_ARGS, session_scope
from backend.ml import training
from backend.ml.answer import By, Request
from backend.ml.encoder import Encoder
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.models import JobRun
from backend.operations import changes, freshness
from backend.operations.changes import follow_changes
from backend.operations.freshness import MOST_FILMS, embed_changed, keep_fresh
from tests.catalogue import GODFATHER, TOY_STORY, TOY_STORY_2, fill
from tests.conftest import answer_by
from tests.test_embedded_postgres import eventually

GANGSTERS = "The aging don of a Mafia crime family hands the business of the gangsters to his son."


@pytest.fixture
def settings(own_engine: Engine, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation with the small catalogue, embedded and learned."""
    monkeypatch.setattr(changes, "get_engine", lambda: own_engine)
    settings = Settings(_env_file=None, data_dir=tmp_path, taste_pack="none")
    with session_scope() as session:
        fill(session, encoder)
    training.train(settings)
    return settings


@contextmanager
def following(settings: Settings, is_loaded: Callable[[], bool] = lambda: True) -> Iterator[threading.Event]:
    """The threads of a service; gives what is set when something changed."""
    stop, changed = threading.Event(), threading.Event()
    threads = [
        threading.Thread(target=follow_changes, args=(ResponseCache(), changed, stop)),
        threading.Thread(target=keep_fresh, args=(settings, is_loaded, changed, stop)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield changed
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def run(statement: str, **values: Any) -> None:
    """As an operator at a prompt."""
    with session_scope() as session:
        session.execute(text(statement), values)


def waiting() -> dict[int, bool]:
    """The films whose text changed."""
    with session_scope() as session:
        return find_changed_texts(session, limit=1000)


def similar(film: int, by: By) -> list[int]:
    """The first films like one."""
    with session_scope() as session:
        answer = PgvectorRecommender(session).similar(film, Request(n=10, by=by))
    return [row["id"] for row in answer.rows]


def jobs() -> list[tuple[str, str]]:
    """What has been asked for."""
    with session_scope() as session:
        return [(run.job, run.outcome) for run in session.execute(select(JobRun.job, JobRun.outcome))]


CHANGES = {
    "title": "UPDATE movies SET title = 'Another title' WHERE id = 863",
    "overview": "UPDATE movies SET overview = 'Another overview.' WHERE id = 863",
    "genres": "UPDATE movies SET genres = '{Crime,Documentary,Western,War}' WHERE id = 863",
}


def test_whatever_of_its_text_changed_a_film_is_embedded_anew(settings: Settings) -> None:
    with following(settings):
        for what, statement in CHANGES.items():
            before = vector(TOY_STORY_2)
            run(statement)
            eventually(lambda now=before: vector(TOY_STORY_2) != now, what)  # type: ignore[misc]
    assert waiting() == {}
    assert jobs() == [("cache", "queued")]


def vector(film: int) -> str:
    """Its embedding, as text."""
    with session_scope() as session:
        return str(session.scalar(text("SELECT embedding::text FROM movies WHERE id = :id"), {"id": film}))


def test_what_is_similar_follows(settings: Settings) -> None:
    ways: tuple[By, ...] = ("best", "embedding")
    for by in ways:
        assert similar(TOY_STORY, by)[0] == TOY_STORY_2
        assert TOY_STORY_2 not in similar(GODFATHER, by)
    with following(settings):
        run(
            "UPDATE movies SET title = 'The Godfather II', overview = :overview, genres = '{Drama,Crime}', "
            "collection = NULL WHERE id = :film",
            overview=GANGSTERS,
            film=TOY_STORY_2,
        )
        eventually(lambda: TOY_STORY_2 in similar(GODFATHER, "embedding")[:3], "the film is where it was")
        assert TOY_STORY_2 not in similar(TOY_STORY, "embedding")
        assert TOY_STORY_2 in similar(GODFATHER, "best")


def test_a_film_that_arrives_by_sql_gets_its_place(settings: Settings) -> None:
    with following(settings):
        run(
            "INSERT INTO movies (id, title, overview, genres, vote_count, vote_average, release_date) "
            "SELECT 1, 'Toys', overview, genres, vote_count, vote_average, release_date "
            "FROM movies WHERE id = :film",
            film=TOY_STORY,
        )
        eventually(lambda: 1 in similar(TOY_STORY, "best")[:3], "the film has no place")
        eventually(lambda: TOY_STORY in similar(1, "best")[:3], "it is not found by its place")


def test_changes_that_are_no_change_of_text_ask_for_nothing(settings: Settings) -> None:
    run("UPDATE movies SET vote_count = vote_count + 1, hidden = true WHERE id = :film", film=TOY_STORY)
    assert embed_changed(settings) == 0
    assert jobs() == []


def test_many_are_left_to_the_scheduler(settings: Settings) -> None:
    many = "INSERT INTO movies (id, title) SELECT -n, 'Film ' || n FROM generate_series(1, :films) n"
    run(many, films=MOST_FILMS + 1)
    assert embed_changed(settings) == 0
    assert len(waiting()) == MOST_FILMS + 1
    assert jobs() == [("embeddings", "queued")]
    run("DELETE FROM movies WHERE id = -1")
    assert embed_changed(settings) == MOST_FILMS
    assert waiting() == {}


def test_those_that_another_process_embeds_are_left_to_it(settings: Settings, own_engine: Engine) -> None:
    run("UPDATE movies SET title = title || '!' WHERE id = ANY (:films)", films=[TOY_STORY, TOY_STORY_2])
    with Session(own_engine) as scheduler:
        claimed = claim_pending(scheduler, model=PACKAGED_MODEL, limit=1)
        assert embed_changed(settings) == 1
        assert list(waiting()) == [claimed[0].id]
    assert embed_changed(settings) == 1


def test_nothing_is_embedded_before_the_encoder_is_loaded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "LOOK_SECONDS", 0.01)
    loaded, asked = threading.Event(), threading.Semaphore(0)

    def is_loaded() -> bool:
        asked.release()
        return loaded.is_set()

    with following(settings, is_loaded) as changed:
        run(CHANGES["title"])
        assert changed.wait(10)
        for _ in range(20):
            assert asked.acquire(timeout=10)
        assert list(waiting()) == [TOY_STORY_2]
        loaded.set()
        eventually(lambda: waiting() == {}, "what was told before is forgotten")


def test_a_database_that_is_away_is_said_once_and_its_changes_are_not_missed(
    settings: Settings, own_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "SETTLE_SECONDS", 0.01)
    tries = threading.Semaphore(0)
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none", connect_args=CONNECT_ARGS)
    event.listen(nowhere, "do_connect", lambda *_: tries.release())
    with ExitStack() as stack:
        said = stack.enter_context(capture_logs())
        changed = stack.enter_context(following(settings))
        eventually(lambda: not changed.is_set(), "nothing is looked at")
        run(CHANGES["title"])
        eventually(lambda: waiting() == {}, "nothing is embedded")
        monkeypatch.setattr(database, "get_engine", lambda: nowhere)
        for _ in range(3):
            changed.set()
            assert tries.acquire(timeout=10)
        answer_by(own_engine, monkeypatch)
        run(CHANGES["overview"])
        eventually(lambda: waiting() == {}, "nothing is tried again")
    assert [line["event"] for line in said if line["event"] == "changed_films_not_embedded"] == [
        "changed_films_not_embedded"
    ]


def test_what_changed_is_found_without_reading_the_catalogue(own_engine: Engine) -> None:
    run(
        "INSERT INTO movies (id, title, overview) "
        "SELECT n, 'Film ' || n, repeat(md5(n::text), 10) FROM generate_series(1, 10000) n"
    )
    run("UPDATE movies SET embedding_hash = text_hash, embedding_model = 'a-model'")
    run("UPDATE movies SET title = 'Another' WHERE id = 7777")
    asked: list[str] = []
    event.listen(own_engine, "before_cursor_execute", lambda *args: asked.append(args[2] % args[3]))
    for statistics in ("RESET ALL", "ANALYZE movies"):
        run(statistics)
        asked.clear()
        assert waiting() == {7777: False}
        with own_engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN {asked[0]}").scalars().all()
        assert "Index Scan using movies_changed_text_idx" in "".join(plan)
