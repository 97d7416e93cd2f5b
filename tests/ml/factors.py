"""Item factors that tests know: films lie where their embeddings are, and everyone starts with quality."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from backend import database
from backend.config import Settings
from backend.migrations.versions import r0004_narrow_tables as r0004
from backend.migrations.versions import r0008_genres_of_films as r0008
from backend.ml import map_store, quality_store, taste_store
from backend.ml.answer import QUALITY_SCALE
from backend.ml.artefact import publishing
from backend.ml.cache_store import database_id, next_unseen, stream_films, stream_people
from backend.ml.film_table import write_films
from backend.ml.item_factors import BLOCKS, DIMENSIONS, ItemFactors, genre_shares
from backend.ml.people_store import write_people
from backend.ml.quality import Quality
from backend.ml.similarity import PRIOR
from backend.ml.svd_recommender import models_folder
from backend.models import EMBEDDING_DIMENSION, Movie, QualityMeasurement

VERSION = "20260101T000000-0001"
START = 0.05
"""How much quality counts: less than one opinion."""

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]


def factors_of(
    embeddings: Floats, quality: Floats, genres: Sequence[Sequence[str]], *, start: float = START
) -> ItemFactors:
    """Factors whose products are those of the embeddings, shape (films, 384), as far as the dimensions carry.

    A row of zeros is a film without a place.
    """
    prior = BLOCKS["prior"].begin
    directions = np.linalg.svd(embeddings, full_matrices=False)[2][:prior]
    known = np.asarray(embeddings.any(axis=1))
    p = np.zeros((len(embeddings), DIMENSIONS), dtype=np.float32)
    p[:, : len(directions)] = embeddings @ directions.T
    q, person = p.copy(), np.zeros(DIMENSIONS, dtype=np.float32)
    q[known, prior] = quality[known] / QUALITY_SCALE
    person[prior] = start
    # Nothing speaks for a film whatever it is compared with.
    s = np.insert(p[:, :prior], PRIOR, 0, axis=1)
    shares = genre_shares(genres)
    return ItemFactors(p=p, q=q, s=s, genres=shares, start=person, known=known)


def factors_there(session: Session, *, start: float = START) -> tuple[Ids, ItemFactors]:
    """The same of the films of a database, with their ids."""
    columns = (Movie.id, Movie.embedding, Movie.quality, Movie.genres)
    films = session.execute(select(*columns).order_by(Movie.id)).all()
    nothing = np.zeros(EMBEDDING_DIMENSION, dtype=np.float32)
    embeddings = np.array([nothing if film.embedding is None else film.embedding for film in films], dtype="f4")
    quality = np.array([film.quality for film in films], dtype=np.float32)
    genres = [film.genres for film in films]
    return np.array([film.id for film in films], dtype=np.int32), factors_of(
        embeddings, quality, genres, start=start
    )


def publish(session: Session, version: str = VERSION, *, start: float = START) -> None:
    """Let these factors answer."""
    ids, factors = factors_there(session, start=start)
    taste_store.build(session.connection(), version, ids, factors)
    taste_store.activate(session, version)


def tell(session: Session, version: str = VERSION) -> None:
    """What a training tells beside factors: where some films lie on a map, and how good it found itself."""
    ids = np.array(session.scalars(select(Movie.id).order_by(Movie.id)).all(), dtype=np.int32)
    places = np.random.default_rng(1).random((len(ids), 2), dtype=np.float32)
    map_store.keep(session, version, map_store.Placed(ids, places))
    figures = {"ndcg_at_10": 0.1, "recall_at_20": 0.2, "coverage": 0.3}
    session.execute(delete(QualityMeasurement))
    quality_store.keep(session, version, Quality(50, figures, figures))


def place_like(session: Session, film: int, like: int) -> None:
    """Let a film that has come since lie where another does."""
    for view, columns in {
        "item_factors": "p, q, genres, reach",
        "within_reach": "q",
        "likeness": "s, place",
    }.items():
        copied = f"INSERT INTO {view} (movie_id, {columns}) SELECT :film, {columns} FROM {view}"  # noqa: S608
        session.execute(text(f"{copied} WHERE movie_id = :like"), {"film": film, "like": like})


def withdraw(session: Session) -> None:
    """Be as before the first training."""
    for view, shown in (r0004.VIEWS | {"item_factors": r0008.VIEW}).items():
        session.execute(text(f"DROP VIEW {view}"))
        session.execute(text(f"CREATE VIEW {view} AS {shown}"))
    session.execute(text("DELETE FROM active_model"))
    taste_store.drop_others(session)


def write_model(settings: Settings) -> None:
    """Write the same factors as a model on disk, as a training leaves it behind."""
    with publishing(models_folder(settings)) as draft, database.SessionLocal() as session:
        draft.tags |= {"database": database_id(session), "made_at": time.time()}
        write_films(stream_films(session, model=settings.embedding_model), draft)
        factors_there(session)[1].write(draft)
        seen = next_unseen(session)
        write_people(stream_people(session), draft, seen=seen)
