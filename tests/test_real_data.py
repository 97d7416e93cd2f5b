"""The main job on the real data: run by `make test-data`, from the folder that MARQUEE_DATA names."""

import contextlib
import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session

import movie_pipeline
from backend import cli, database, generate_embeddings
from backend.config import Settings
from backend.embedded_postgres import EmbeddedPostgres
from backend.migrations import migrate
from backend.ml.answer import Request
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.ml.vector_index import ensure_index, status
from backend.models import Interaction, Movie, PendingInteraction, User
from tests.catalogue import DARK_KNIGHT, TOY_STORY, TOY_STORY_2, TOY_STORY_3
from tests.conftest import make_database
from tests.test_commands import Main, forget_settings

FOLDER = Path(os.environ.get("MARQUEE_DATA") or Path(__file__).parents[2] / "shared" / "data")
THE_DARK_KNIGHT_RISES = 49026
TIE = 1e-5

# Embedding nearly ten thousand films takes minutes.
ON_REAL_DATA = [
    pytest.mark.data,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no {FOLDER}; MARQUEE_DATA names another folder"),
]
pytestmark = ON_REAL_DATA


class Real(NamedTuple):
    """The database, and what the commands said that filled it: the first time, and once more."""

    engine: Engine
    first: list[str]
    again: list[str]


class Space(NamedTuple):
    """Every film's vector, as stored."""

    ids: list[int]
    vectors: NDArray[np.float32]

    def of(self, films: list[int]) -> NDArray[np.float32]:
        """The vectors of some films."""
        row = {film: number for number, film in enumerate(self.ids)}
        return self.vectors[[row[film] for film in films]]


@pytest.fixture(scope="module")
def real(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """A database filled by the commands from the real files."""
    steps: list[tuple[Main, list[str]]] = [
        (movie_pipeline.main, ["--from-file", str(FOLDER / "movies_ml.jsonl.gz")]),
        (generate_embeddings.main, []),
        (movie_pipeline.main, ["--ratings", str(FOLDER / "ml-latest-small")]),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", make_database(postgres))
        patch.setenv("DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setattr(cli, "configure_logging", lambda settings: None)
        forget_settings()
        yield Real(database.get_engine(), [run(*step) for step in steps], [run(*step) for step in steps])
        database.get_engine().dispose()
    forget_settings()


def run(main: Main, arguments: list[str]) -> str:
    """What a command says when it succeeds."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(arguments) == 0
    return said.getvalue()


@pytest.fixture
def recommender(real: Real) -> Iterator[PgvectorRecommender]:
    """The layer on the real films."""
    with Session(real.engine) as session:
        yield PgvectorRecommender(session)


@pytest.fixture(scope="module")
def space(real: Real) -> Space:
    """What answers are compared with."""
    with Session(real.engine) as session:
        rows = session.execute(select(Movie.id, func.vector_send(Movie.embedding)).order_by(Movie.id)).all()
    vectors = [np.frombuffer(sent, dtype=">f4", offset=4) for _, sent in rows]
    return Space([film for film, _ in rows], np.stack(vectors).astype(np.float32))


def test_every_film_and_every_rating_finds_its_place(real: Real) -> None:
    films, embeddings, ratings = real.first
    assert "9,583 new, 0 changed, 0 unchanged, 0 rejected" in films
    assert "coverage: 9,583 of 9,583 films (100.0 %)" in embeddings
    assert "100,836 read: 100,512 stored, 1 merged, 323 pending, 0 rejected" in ratings
    with Session(real.engine) as session:
        counts = [
            session.scalar(select(func.count()).select_from(t)) for t in (Interaction, PendingInteraction, User)
        ]
    assert counts == [100_512, 323, 610]


def test_a_second_time_there_is_nothing_to_do(real: Real) -> None:
    films, embeddings, ratings = real.again
    assert "0 new, 0 changed, 9,583 unchanged, 0 rejected" in films
    assert "Nothing to embed." in embeddings
    assert "nothing to do" in embeddings.splitlines()[-1]
    assert "323 pending, 0 rejected; nothing to do" in ratings


def test_the_stats_say_so_too(recommender: PgvectorRecommender) -> None:
    stats = recommender.get_stats()
    assert (stats["total_movies"], stats["coverage_percentage"]) == (9_583, 100.0)


def test_franchises_stand_on_top(recommender: PgvectorRecommender) -> None:
    first, second = (film.id for film, _ in recommender.get_similar_movies(TOY_STORY, 2))
    assert (first, second) == (TOY_STORY_3, TOY_STORY_2)
    assert recommender.get_similar_movies(DARK_KNIGHT, 1)[0][0].id == THE_DARK_KNIGHT_RISES


@pytest.mark.parametrize("kind", ["exact", "ivfflat", "hnsw"])
def test_similar_agrees_with_exact_cosine(real: Real, space: Space, kind: str) -> None:
    settings = Settings(_env_file=None, vector_index=kind)  # type: ignore[arg-type, call-arg]
    ensure_index(real.engine, settings)
    with Session(real.engine) as session:
        assert status(session)["kind"] == kind
        if kind != "exact":
            session.execute(text("SET LOCAL enable_seqscan = off"))
        recommender = PgvectorRecommender(session)
        recalls = [recall(recommender, film, space) for film in random.Random(1).sample(space.ids, 200)]
    assert np.mean(recalls) >= 0.98


def recall(recommender: PgvectorRecommender, film: int, space: Space) -> float:
    """The share of the ten results that are as near as the ten nearest; of ties either is right."""
    cosines = dict(zip(space.ids, (space.vectors @ space.of([film])[0]).tolist(), strict=True))
    del cosines[film]
    tenth = sorted(cosines.values(), reverse=True)[9]
    found = [row["id"] for row in recommender.similar(film, Request(n=10, by="embedding")).rows]
    assert len(found) == 10
    return sum(cosines[other] >= tenth - TIE for other in found) / 10


def test_a_person_gets_ten_films_that_are_new_to_them(recommender: PgvectorRecommender) -> None:
    answer = recommender.recommend("1", Request(n=10, diversity_boost=0.2))
    history = (
        select(Interaction.movie_id).join(User, User.id == Interaction.user_id).where(User.external_id == "1")
    )
    assert answer.source == "pgvector"
    assert len({row["id"] for row in answer.rows}) == 10
    assert {row["id"] for row in answer.rows}.isdisjoint(recommender.db.scalars(history))


def test_a_diversity_boost_makes_the_ten_less_alike(recommender: PgvectorRecommender, space: Space) -> None:
    lowered = 0
    for person in range(1, 101):
        means = [mean_cosine(recommender, str(person), boost, space) for boost in (0, 0.5, 1)]
        lowered += means[0] > means[1] > means[2]
    assert lowered >= 95


def mean_cosine(recommender: PgvectorRecommender, person: str, boost: float, space: Space) -> float:
    """Of the ten films recommended, over pairs."""
    answer = recommender.recommend(person, Request(n=10, diversity_boost=boost))
    vectors = space.of([row["id"] for row in answer.rows])
    return float((vectors @ vectors.T)[~np.eye(10, dtype=bool)].mean())


def test_the_whole_file_loads_and_its_adult_films_are_flagged(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_database(postgres)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    forget_settings()
    said = run(movie_pipeline.main, ["--from-file", str(FOLDER / "movies.jsonl.gz")])
    assert "101,749 new, 0 changed, 0 unchanged, 0 rejected" in said
    engine = create_engine(url)
    migrate(engine)
    with Session(engine) as session:
        assert session.scalar(select(func.count()).select_from(Movie).where(Movie.adult)) == 143
    engine.dispose()
    database.get_engine().dispose()
    forget_settings()
