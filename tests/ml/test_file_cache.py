"""The file cache: what the database holds, followed as it changes, and forgotten with who is erased."""

import datetime as dt
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from backend.catalog.filters import Filters
from backend.catalog.records import MovieRecord
from backend.catalog.store import save_embeddings, upsert
from backend.config import PACKAGED_MODEL, Settings
from backend.errors import LayerUnavailableError, MovieNotFoundError
from backend.feedback.records import NewInteraction
from backend.feedback.store import erase, record, remove
from backend.ml import file_cache, taste_store
from backend.ml.answer import Request
from backend.ml.artefact import open_current
from backend.ml.embedding_recommender import EmbeddingRecommender
from backend.ml.file_cache import VECTORS, CacheKeeper, FileCache, build_cache, cache_folder
from backend.ml.film_table import FILMS
from backend.ml.people_store import PEOPLE, PeopleFile
from backend.models import EMBEDDING_DIMENSION, Movie
from tests.ml.factors import factors_there, publish
from tests.ml.test_artefact import flip_a_byte, halve

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SIZE = 8
"""Films 1 to 8; the last one has no vector, and that of the one before it is another model's."""


BUILDS_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from backend.config import Settings
from backend.ml.file_cache import build_cache

resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
build_cache(Settings(_env_file=None, data_dir=Path(sys.argv[1])))
"""
ROOT = Path(__file__).parents[2]


def vectors(count: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Directions at random."""
    rows = np.random.default_rng(seed).standard_normal((count, EMBEDDING_DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def act(engine: Engine, person: str, *films: int, kind: Any = "like") -> None:
    """Have a person do something with films, which need not be in the catalogue."""
    with Session(engine) as session, session.begin():
        record(session, [interaction(person, film, kind) for film in films])


def interaction(person: str, film: int, kind: Any = "like") -> NewInteraction:
    """What a person did."""
    return NewInteraction(person, kind, None, NOW, film, None, None, None)


def run(engine: Engine, statement: str, **values: Any) -> None:
    """Plain SQL, committed."""
    with engine.begin() as connection:
        connection.execute(text(statement), values)


@pytest.fixture
def films(emptied_engine: Engine) -> Engine:
    """A small catalogue, and what two people did."""
    with Session(emptied_engine) as session, session.begin():
        made = [MovieRecord(id=i, title=f"Film {i}", vote_count=i, genres=["Drama"]) for i in range(1, SIZE + 1)]
        upsert(session, made, source="file")
        save_embeddings(session, range(1, 7), vectors(6), model=PACKAGED_MODEL)
        save_embeddings(session, [7], vectors(1, seed=9), model="another")
    act(emptied_engine, "anna", 1, 2)
    act(emptied_engine, "bob", 3)
    return emptied_engine


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Where the cache is to be."""
    return Settings(_env_file=None, data_dir=tmp_path)  # type: ignore[call-arg]


@pytest.fixture
def keeper(films: Engine, settings: Settings) -> CacheKeeper:
    """Someone who keeps a cache that is up to date."""
    keeper = CacheKeeper(settings)
    assert keeper.ensure() is True
    return keeper


@pytest.fixture
def cache(keeper: CacheKeeper, settings: Settings) -> Iterator[FileCache]:
    """The same cache, as a reader has it open."""
    cache = open_cache(settings)
    yield cache
    cache.people.close()


def open_cache(settings: Settings) -> FileCache:
    """The cache in force, opened anew."""
    return FileCache.open(open_current(cache_folder(settings)), model=settings.embedding_model)


def version(settings: Settings) -> str:
    """The version in force."""
    return open_current(cache_folder(settings)).version


def file_of(settings: Settings, name: str) -> Path:
    """A file of the version in force."""
    return open_current(cache_folder(settings)).folder / name


def films_of(cache: FileCache, person: str) -> list[int]:
    """The films that someone did something with, as the cache has it."""
    films: list[int] = cache.people.acts(person)["movie_id"].tolist()
    return films


# What it holds


def test_it_holds_the_films_and_vectors_of_the_database(cache: FileCache, films: Engine) -> None:
    with Session(films) as session:
        rows = session.execute(select(Movie.id, Movie.embedding).order_by(Movie.id)).all()
    assert cache.films.ids.tolist() == [row.id for row in rows]
    assert cache.known.tolist() == [True] * 6 + [False] * 2
    np.testing.assert_array_equal(
        cache.vectors[:6], np.array([row.embedding for row in rows[:6]], dtype=np.float32)
    )
    assert not cache.vectors[6:].any()
    assert isinstance(cache.vectors, np.memmap)


def test_it_holds_what_people_did(cache: FileCache) -> None:
    assert (films_of(cache, "anna"), films_of(cache, "bob"), films_of(cache, "carl")) == ([1, 2], [3], [])
    assert cache.people.acts("anna")["at"].tolist() == [NOW.timestamp()] * 2


def test_a_cache_of_another_model_is_refused(cache: FileCache, settings: Settings) -> None:
    with pytest.raises(LayerUnavailableError, match="another-model"):
        FileCache.open(open_current(cache_folder(settings)), model="another-model")


def test_a_build_that_fails_leaves_the_old_cache_in_force(
    cache: FileCache, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = version(settings)
    monkeypatch.setattr(file_cache, "stream_people", lambda session: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build_cache(settings)
    assert version(settings) == old
    assert films_of(cache, "anna") == [1, 2]


def test_a_full_disk_is_an_error_and_leaves_nothing_behind(films: Engine, settings: Settings) -> None:
    """Not the end of the process, as where a mapped file can't grow."""
    build_cache(settings)
    old = version(settings)
    run = subprocess.run(
        [sys.executable, "-c", BUILDS_ON_A_FULL_DISK, str(settings.data_dir)],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": films.url.render_as_string(hide_password=False)},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, "File too large" in run.stderr) == (1, True), run.stderr
    assert version(settings) == old
    assert {path.name for path in cache_folder(settings).iterdir()} == {old, "current", "lock"}


def test_readers_go_on_with_the_old_cache_while_another_takes_its_place(
    cache: FileCache, settings: Settings, films: Engine
) -> None:
    act(films, "anna", 4)
    assert build_cache(settings) == {"films": SIZE, "people": 2}
    assert films_of(cache, "anna") == [1, 2]
    assert cache.films.details(0)["title"] == "Film 1"
    again = open_cache(settings)
    assert films_of(again, "anna") == [1, 2, 4]
    again.people.close()


def test_an_empty_catalogue_is_a_cache_that_answers(emptied_engine: Engine, settings: Settings) -> None:
    assert build_cache(settings) == {"films": 0, "people": 0}
    cache = open_cache(settings)
    layer = EmbeddingRecommender(cache)
    for request in (Request(), Request(diversity_boost=0.5, explain=True, filters=Filters(genre=("Drama",)))):
        assert layer.recommend("anna", request).rows == []
        answer, unknown = layer.recommend_for(
            request, liked=[1], disliked=["tt0000001"], meaning=vectors(1)[0] if request.explain else None
        )
        assert (answer.rows, unknown) == ([], [1, "tt0000001"])
        with pytest.raises(MovieNotFoundError):
            layer.similar(1, request)
    assert layer.browse(Filters(), limit=10, offset=0) == ([], 0)
    with pytest.raises(MovieNotFoundError):
        layer.detail("tt0000001")
    assert CacheKeeper(settings).ensure() is False
    cache.people.close()


# The factors in force


def publish_factors(engine: Engine, version: str, *, start: float = 0.05) -> None:
    """Let factors of the films there answer."""
    with Session(engine) as session, session.begin():
        publish(session, version, start=start)


def test_before_the_first_training_it_holds_no_factors(cache: FileCache) -> None:
    assert (cache.tags["taste"], cache.version) == (None, PACKAGED_MODEL)
    assert not cache.factors.known.any()
    answer = EmbeddingRecommender(cache).recommend("anna", Request())
    assert (answer.source, answer.cold_start, answer.model_version) == ("popular", True, PACKAGED_MODEL)


def test_it_holds_the_factors_in_force(films: Engine, settings: Settings) -> None:
    publish_factors(films, "20260101T000000-0001")
    with Session(films) as session:
        _, factors = factors_there(session)
    build_cache(settings)
    cache = open_cache(settings)
    assert cache.version == "20260101T000000-0001"
    for part in ("p", "q", "s", "start", "known"):
        np.testing.assert_array_equal(getattr(cache.factors, part), getattr(factors, part))
    assert cache.factors.known.tolist() == [True] * 7 + [False]
    assert cache.known.tolist() == [True] * 6 + [False] * 2
    assert isinstance(cache.factors.q, np.memmap)
    cache.people.close()


@pytest.mark.parametrize("follows", [True, False])
def test_another_version_in_force_has_the_cache_written_anew(
    keeper: CacheKeeper, films: Engine, settings: Settings, follows: bool
) -> None:
    for version in ("20260101T000000-0001", "20260101T000000-0002"):
        publish_factors(films, version)
        if follows:
            assert keeper.follow() is None
            assert keeper.follow() == 0
        else:
            assert keeper.ensure() is True
        assert keeper.ensure() is False
        cache = open_cache(settings)
        assert cache.version == version
        cache.people.close()
    with Session(films) as session, session.begin():
        taste_store.activate(session, "20260101T000000-0001")
    assert keeper.follow() is None


def test_a_switch_while_the_cache_is_written_leaves_it_with_the_whole_old_version(
    films: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_factors(films, "20260101T000000-0001")
    real = file_cache.stream_films

    def stream_films(session: Session, *, model: str) -> Iterator[Any]:
        publish_factors(films, "20260101T000000-0002", start=7)
        return real(session, model=model)

    monkeypatch.setattr(file_cache, "stream_films", stream_films)
    build_cache(settings)
    monkeypatch.setattr(file_cache, "stream_films", real)
    cache = open_cache(settings)
    assert cache.version == "20260101T000000-0001"
    assert cache.factors.start.max() == pytest.approx(0.05)
    assert cache.factors.known.sum() == 7
    cache.people.close()
    assert CacheKeeper(settings).follow() is None
    cache = open_cache(settings)
    assert (cache.version, cache.factors.start.max()) == ("20260101T000000-0002", 7)
    cache.people.close()


# Following what people do


def test_a_new_act_is_followed(keeper: CacheKeeper, cache: FileCache, films: Engine) -> None:
    act(films, "anna", 5, 2)
    act(films, "carl", 6)
    assert keeper.follow() == 2
    assert (films_of(cache, "anna"), films_of(cache, "bob"), films_of(cache, "carl")) == ([1, 2, 5], [3], [6])
    assert keeper.follow() == 0


def test_an_act_that_changes_is_followed(keeper: CacheKeeper, cache: FileCache, films: Engine) -> None:
    run(films, "UPDATE interactions SET kind = 'rating', value = 4.5 WHERE movie_id = 3")
    assert keeper.follow() == 1
    assert cache.people.acts("bob")["value"].tolist() == [4.5]


def test_an_undo_is_followed(keeper: CacheKeeper, cache: FileCache, films: Engine) -> None:
    with Session(films) as session, session.begin():
        remove(session, "anna", 1)
        remove(session, "bob", 3)
    assert keeper.follow() == 2
    assert (films_of(cache, "anna"), films_of(cache, "bob")) == ([2], [])


def test_nothing_of_an_erased_person_remains(
    keeper: CacheKeeper, cache: FileCache, films: Engine, settings: Settings
) -> None:
    act(films, "zoe-who-wants-out", 4, 5)
    keeper.follow()
    people = file_of(settings, PEOPLE)
    bytes_of_acts = cache.people.acts("zoe-who-wants-out").tobytes()
    assert b"zoe-who-wants-out" in people.read_bytes()
    assert bytes_of_acts in people.read_bytes()
    with Session(films) as session, session.begin():
        erase(session, "zoe-who-wants-out")
    assert keeper.follow() == 1
    for file in people.parent.iterdir():
        assert b"zoe-who-wants-out" not in file.read_bytes()
        assert bytes_of_acts not in file.read_bytes()
    assert films_of(cache, "zoe-who-wants-out") == []


def test_who_was_erased_and_comes_back_is_someone_new(
    keeper: CacheKeeper, cache: FileCache, films: Engine
) -> None:
    with Session(films) as session, session.begin():
        erase(session, "anna")
        record(session, [interaction("anna", 6)])
    assert keeper.follow() == 2
    assert films_of(cache, "anna") == [6]


def test_what_waited_for_its_film_is_followed(keeper: CacheKeeper, cache: FileCache, films: Engine) -> None:
    act(films, "bob", 99)
    assert keeper.follow() == 0
    with Session(films) as session, session.begin():
        upsert(session, [MovieRecord(id=99, title="Arrived")], source="file")
    assert keeper.follow() == 1
    assert films_of(cache, "bob") == [3, 99]


def test_the_acts_with_a_film_that_goes_are_followed(keeper: CacheKeeper, cache: FileCache, films: Engine) -> None:
    run(films, "DELETE FROM movies WHERE id = 2")
    assert keeper.follow() == 1
    assert films_of(cache, "anna") == [1]


def test_a_change_that_was_not_committed_at_the_last_look_is_followed(
    keeper: CacheKeeper, cache: FileCache, films: Engine
) -> None:
    with Session(films) as slow:
        record(slow, [interaction("anna", 5)])
        act(films, "bob", 6)
        assert keeper.follow() == 1
        assert (films_of(cache, "anna"), films_of(cache, "bob")) == ([1, 2], [3, 6])
        slow.commit()
    assert keeper.follow() == 1
    assert (films_of(cache, "anna"), films_of(cache, "bob")) == ([1, 2, 5], [3, 6])
    assert keeper.follow() == 0


def test_a_change_that_was_not_committed_when_the_cache_was_written_is_followed(
    films: Engine, settings: Settings
) -> None:
    keeper = CacheKeeper(settings)
    with Session(films) as slow:
        record(slow, [interaction("anna", 5)])
        keeper.ensure()
        slow.commit()
    cache = open_cache(settings)
    assert films_of(cache, "anna") == [1, 2]
    assert keeper.follow() == 1
    assert films_of(cache, "anna") == [1, 2, 5]
    cache.people.close()


def test_a_change_while_the_cache_is_written_is_followed(
    films: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = CacheKeeper(settings)
    real = file_cache.stream_films

    def stream_films(session: Session, *, model: str) -> Iterator[Any]:
        act(films, "anna", 5)
        with Session(films) as other, other.begin():
            upsert(other, [MovieRecord(id=100, title="Came meanwhile")], source="file")
        return real(session, model=model)

    monkeypatch.setattr(file_cache, "stream_films", stream_films)
    keeper.ensure()
    monkeypatch.setattr(file_cache, "stream_films", real)
    cache = open_cache(settings)
    assert (len(cache.films), films_of(cache, "anna")) == (SIZE, [1, 2])
    assert keeper.follow() == 1
    assert films_of(cache, "anna") == [1, 2, 5]
    assert keeper.ensure() is True
    cache.people.close()


def test_where_nothing_changed_nothing_is_written(keeper: CacheKeeper, films: Engine, settings: Settings) -> None:
    run(films, "UPDATE movies SET vote_count = vote_count + 1 WHERE id = 1")
    # A transaction of another test holds back what counts as seen; without notes there is nothing to look at.
    run(films, "DELETE FROM people_changes")
    people = file_of(settings, PEOPLE)
    before = (people.stat().st_mtime_ns, version(settings))
    assert keeper.follow() == 0
    assert keeper.follow() == 0
    assert (people.stat().st_mtime_ns, version(settings)) == before


def test_while_a_transaction_stays_open_a_change_counts_once(keeper: CacheKeeper, films: Engine) -> None:
    with Session(films) as slow:
        slow.execute(text("SELECT pg_current_xact_id()"))
        act(films, "anna", 5)
        assert [keeper.follow() for _ in range(3)] == [1, 0, 0]


def test_two_keepers_of_one_cache_do_each_other_no_harm(
    keeper: CacheKeeper, cache: FileCache, films: Engine, settings: Settings
) -> None:
    other = CacheKeeper(settings)
    act(films, "anna", 5)
    assert (keeper.follow(), other.follow()) == (1, 0)
    build_cache(settings)
    act(films, "anna", 6)
    assert (keeper.follow(), other.follow()) == (1, 0)


# When it is written anew


def test_a_cache_that_holds_what_the_database_holds_is_not_written_anew(
    keeper: CacheKeeper, cache: FileCache, films: Engine, settings: Settings
) -> None:
    before = version(settings)
    act(films, "anna", 5)
    assert keeper.ensure() is False
    assert CacheKeeper(settings).ensure() is False
    assert version(settings) == before
    assert films_of(cache, "anna") == [1, 2, 5]


def change_title(engine: Engine, settings: Settings) -> None:
    with Session(engine) as session, session.begin():
        upsert(session, [MovieRecord(id=1, title="Another")], source="file")


def add_film(engine: Engine, settings: Settings) -> None:
    with Session(engine) as session, session.begin():
        upsert(session, [MovieRecord(id=50, title="New")], source="file")


def remove_film(engine: Engine, settings: Settings) -> None:
    run(engine, "DELETE FROM movies WHERE id = 4")


def embed_pending_film(engine: Engine, settings: Settings) -> None:
    with Session(engine) as session, session.begin():
        save_embeddings(session, [SIZE], vectors(1), model=PACKAGED_MODEL)


def retitle_and_embed_by_plain_sql(engine: Engine, settings: Settings) -> None:
    run(engine, "UPDATE movies SET title = 'Retitled' WHERE id = 1")
    with Session(engine) as session, session.begin():
        save_embeddings(session, [1], vectors(1, seed=5), model=PACKAGED_MODEL)


def another_database(engine: Engine, settings: Settings) -> None:
    run(engine, "UPDATE installation SET id = gen_random_uuid()")


def damage_vectors(engine: Engine, settings: Settings) -> None:
    flip_a_byte(file_of(settings, VECTORS))


def cut_films(engine: Engine, settings: Settings) -> None:
    halve(file_of(settings, FILMS))


def cut_people(engine: Engine, settings: Settings) -> None:
    os.truncate(file_of(settings, PEOPLE), 10)


def remove_people(engine: Engine, settings: Settings) -> None:
    file_of(settings, PEOPLE).unlink()


def remove_everything(engine: Engine, settings: Settings) -> None:
    shutil.rmtree(cache_folder(settings))


Harm = Callable[[Engine, Settings], None]
FILES = (damage_vectors, cut_films, cut_people, remove_people, remove_everything)
FILMS_CHANGE = (change_title, add_film, remove_film, embed_pending_film, retitle_and_embed_by_plain_sql)


@pytest.mark.parametrize("harm", [*FILMS_CHANGE, another_database, *FILES])
def test_a_cache_that_is_not_what_the_database_holds_is_written_anew(
    keeper: CacheKeeper, films: Engine, settings: Settings, harm: Harm
) -> None:
    harm(films, settings)
    assert CacheKeeper(settings).ensure() is True
    assert CacheKeeper(settings).ensure() is False
    assert keeper.ensure() is False
    cache = open_cache(settings)
    assert films_of(cache, "anna") == [1, 2]
    cache.people.close()


@pytest.mark.parametrize("harm", [another_database, *FILES])
def test_who_follows_writes_a_cache_anew_that_is_damaged_or_of_another_database(
    keeper: CacheKeeper, films: Engine, settings: Settings, harm: Harm
) -> None:
    act(films, "anna", 5)
    harm(films, settings)
    assert keeper.follow() is None
    cache = open_cache(settings)
    assert films_of(cache, "anna") == [1, 2, 5]
    act(films, "anna", 6)
    assert keeper.follow() == 1
    assert films_of(cache, "anna") == [1, 2, 5, 6]
    cache.people.close()


def test_films_changed_by_who_began_before_another_and_ended_after_are_noticed(
    films: Engine, settings: Settings
) -> None:
    with Session(films) as slow:
        slow.execute(text("UPDATE movies SET vote_average = 9, updated_at = now() WHERE id = 1"))
        run(films, "UPDATE movies SET vote_average = 8, updated_at = now() WHERE id = 2")
        assert CacheKeeper(settings).ensure() is True
        slow.commit()
    assert CacheKeeper(settings).ensure() is True
    assert CacheKeeper(settings).ensure() is False


def test_another_model_has_the_cache_written_anew(keeper: CacheKeeper, settings: Settings) -> None:
    other = CacheKeeper(settings.model_copy(update={"embedding_model": "another"}))
    assert other.ensure() is True
    cache = FileCache.open(open_current(cache_folder(settings)), model="another")
    assert np.flatnonzero(cache.known).tolist() == [6]
    assert keeper.follow() is None
    cache.people.close()


def test_a_restored_database_has_the_cache_written_anew(
    keeper: CacheKeeper, settings: Settings, films: Engine
) -> None:
    people = PeopleFile(file_of(settings, PEOPLE))
    people.update([], seen=2**60)
    people.close()
    act(films, "anna", 5)
    assert keeper.follow() is None
    assert keeper.follow() == 0


def test_a_cache_older_than_the_notes_of_changes_is_written_anew(
    keeper: CacheKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_cache, "LIFE_SECONDS", -1)
    assert keeper.follow() is None


def test_old_notes_of_changes_are_dropped(keeper: CacheKeeper, films: Engine, settings: Settings) -> None:
    run(films, "UPDATE people_changes SET at = now() - interval '4 days' WHERE user_id = 1")
    build_cache(settings)
    with Session(films) as session:
        assert session.scalars(text("SELECT user_id FROM people_changes")).all() == [2]
