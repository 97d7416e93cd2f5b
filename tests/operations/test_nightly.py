"""What each job does: its work, its counts, and nothing where there is nothing to do."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from backend.config import Settings
from backend.errors import JobSkippedError, TmdbKeyError
from backend.ml.encoder import Encoder
from backend.operations import nightly
from backend.operations.hours import JOBS, job_hours
from backend.operations.nightly import JOB_WORK
from tests.tmdb_stand_in import KEY, TmdbStandIn, numbered_films


@pytest.fixture
def settings(own_engine: Engine, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Of an installation with an empty database; the model has been loaded."""
    monkeypatch.setattr(nightly, "get_engine", lambda: own_engine)
    return Settings(_env_file=None, data_dir=tmp_path)


@pytest.fixture
def no_encoder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that loads the model fails."""

    def load(model: str) -> Encoder:
        raise AssertionError(model)

    monkeypatch.setattr(nightly, "get_encoder", load)


def with_tmdb(settings: Settings, tmdb: TmdbStandIn, *, key: str = KEY) -> Settings:
    return Settings(
        _env_file=None, data_dir=settings.data_dir, tmdb_api_key=key, tmdb_base_url=tmdb.url, tmdb_rate=1000
    )


def put_films(engine: Engine, films: int) -> None:
    insert = """
        INSERT INTO movies (id, title, overview)
        SELECT id, 'Film ' || id, 'About ' || id FROM generate_series(1, :films) AS id
    """
    with engine.begin() as connection:
        connection.execute(text(insert), {"films": films})


def put_likes(engine: Engine, *, people: int, films: int) -> None:
    """Everyone likes every film."""
    insert = """
        WITH people AS (
            INSERT INTO users (external_id) SELECT 'person ' || number FROM generate_series(1, :people) AS number
            RETURNING id
        )
        INSERT INTO interactions (user_id, movie_id, kind)
        SELECT people.id, film, 'like' FROM people, generate_series(1, :films) AS film
    """
    with engine.begin() as connection:
        connection.execute(text(insert), {"people": people, "films": films})


def cache_version(settings: Settings) -> str | None:
    pointer = settings.data_dir / "cache" / "current"
    return pointer.read_text() if pointer.exists() else None


def test_every_job_has_work_and_an_hour(settings: Settings) -> None:
    assert list(JOBS) == list(JOB_WORK) == list(job_hours(settings))


def test_films_come_from_tmdb_are_embedded_and_cached_and_a_second_time_nothing_is_done(
    settings: Settings,
) -> None:
    with TmdbStandIn(numbered_films(120)) as tmdb:
        with_key = with_tmdb(settings, tmdb)
        first = JOB_WORK["ingest"](with_key)
        assert (first["new"], first["failed"], first["embedded"]) == (120, 0, 120)
        cached = cache_version(settings)
        assert cached
        second = JOB_WORK["ingest"](with_key)
    assert (second["new"], second["changed"], second["embedded"]) == (0, 0, 0)
    assert cache_version(settings) == cached


def test_without_a_key_for_tmdb_there_is_nothing_to_fetch(settings: Settings) -> None:
    with pytest.raises(JobSkippedError, match="TMDB_API_KEY is not set"):
        JOB_WORK["ingest"](settings)


def test_a_key_that_tmdb_refuses_is_a_failure(settings: Settings) -> None:
    with TmdbStandIn([]) as tmdb, pytest.raises(TmdbKeyError):
        JOB_WORK["ingest"](with_tmdb(settings, tmdb, key="wrong"))


def test_what_is_pending_is_embedded_and_the_file_cache_follows(settings: Settings, own_engine: Engine) -> None:
    put_films(own_engine, 3)
    assert JOB_WORK["embeddings"](settings) == {"embedded": 3, "coverage_percentage": 100.0}
    assert cache_version(settings)


@pytest.mark.usefixtures("no_encoder")
def test_the_model_is_not_loaded_while_nothing_is_pending(settings: Settings) -> None:
    assert JOB_WORK["embeddings"](settings)["embedded"] == 0
    assert cache_version(settings) is None


def test_the_index_is_brought_to_what_the_catalogue_needs(settings: Settings, own_engine: Engine) -> None:
    put_films(own_engine, 12)
    JOB_WORK["embeddings"](settings)
    assert JOB_WORK["index"](settings)["kind"] == "exact"
    built = JOB_WORK["index"](settings.model_copy(update={"vector_index": "hnsw"}))
    assert (built["kind"], built["recall_at_10"]) == ("hnsw", 1.0)


def test_training_counts_what_it_learned_from(settings: Settings, own_engine: Engine) -> None:
    put_films(own_engine, 12)
    put_likes(own_engine, people=12, films=10)
    assert JOB_WORK["train"](settings) == {"films": 12, "people": 12, "opinions": 120, "crowds": 1}
    assert list((settings.data_dir / "models").iterdir())


def test_training_without_a_film_is_skipped_and_says_so(settings: Settings) -> None:
    with pytest.raises(JobSkippedError, match="no film"):
        JOB_WORK["train"](settings)


def active_version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT version FROM active_model"))


def placed(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM item_factors WHERE movie_id > 0")) or 0)


def test_embedding_trains_where_nothing_answers_yet_and_later_places_what_arrives(
    settings: Settings, own_engine: Engine
) -> None:
    put_films(own_engine, 3)
    JOB_WORK["embeddings"](settings)
    version = active_version(own_engine)
    assert version
    assert placed(own_engine) == 3
    with own_engine.begin() as connection:
        connection.execute(text("INSERT INTO movies (id, title, overview) VALUES (4, 'Film 4', 'About 4')"))
    assert JOB_WORK["embeddings"](settings)["embedded"] == 1
    assert placed(own_engine) == 4
    assert active_version(own_engine) == version


@pytest.mark.usefixtures("no_encoder")
def test_without_an_embedding_nothing_is_trained(settings: Settings, own_engine: Engine) -> None:
    JOB_WORK["embeddings"](settings)
    assert active_version(own_engine) is None
    assert not (settings.data_dir / "models").exists()


def test_films_from_tmdb_are_placed_as_they_come(settings: Settings, own_engine: Engine) -> None:
    put_films(own_engine, 3)
    JOB_WORK["embeddings"](settings)
    with TmdbStandIn(numbered_films(5)) as tmdb:
        JOB_WORK["ingest"](with_tmdb(settings, tmdb))
    with own_engine.connect() as connection:
        films = connection.scalar(text("SELECT count(*) FROM movies WHERE embedding IS NOT NULL"))
    assert placed(own_engine) == films > 3


def test_the_file_cache_is_written(settings: Settings, own_engine: Engine) -> None:
    put_films(own_engine, 3)
    counts = JOB_WORK["cache"](settings)
    assert counts["films"] == 3
    assert cache_version(settings)
