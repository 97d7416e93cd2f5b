"""`python -m backend train`: from the interactions in the database to item factors there, and a model on disk."""

import time
from typing import Any, NamedTuple

import numpy as np
import structlog
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from backend.config import Settings
from backend.database import SessionLocal, copying, get_engine, session_scope
from backend.errors import JobSkippedError, LayerUnavailableError, SetupError
from backend.ml import quality_store, taste_store
from backend.ml.artefact import Artefact, Draft, open_current, publishing
from backend.ml.cache_store import database_id, hold_still, next_unseen, stream_films, stream_people
from backend.ml.corpus import find_pack, taste_from
from backend.ml.film_table import write_films
from backend.ml.fold_in import evidence, opinion_matrix
from backend.ml.gathering import Gathered, gather_films
from backend.ml.item_factors import ItemFactors
from backend.ml.learning import SEED, Catalogue, Model, learn, typical_people
from backend.ml.people_store import write_people
from backend.ml.quality import Quality, hold_out, measure
from backend.ml.svd_recommender import models_folder

log = structlog.get_logger()

Ids = NDArray[np.int32]

MODEL = "model.npz"
FORMAT = 3
"""Of what is in it; another number, and a model of an earlier version of Marquee is learned anew."""
MOST_ARRIVALS = 2_000
"""Films that are given a place at a time."""


def train(settings: Settings) -> dict[str, int]:
    """Learn item factors, publish them whole on disk, and let the database answer by them.

    Raises JobSkippedError where there is no film of which anything is known.
    """
    engine = get_engine()
    # On a machine that has other things to do, threads wait for one another longer than they work.
    with taste_store.one_at_a_time(engine), threadpool_limits(1, user_api="blas"):
        with publishing(models_folder(settings)) as draft:
            learned = _fill(draft, settings)
            with copying(engine) as connection:
                taste_store.build(connection, draft.version, learned.ids, learned.factors, learned.order)
        with session_scope() as session:
            taste_store.activate(session, draft.version)
            if learned.quality is not None:
                quality_store.keep(session, draft.version, learned.quality)
        with session_scope() as session:
            taste_store.drop_others(session)
    log.info("model_trained", version=draft.version, **learned.counts)
    place_arrivals(settings)
    return learned.counts


def go_back() -> str:
    """Let the version before the one in force answer again, until the next training. Raises SetupError."""
    with taste_store.one_at_a_time(get_engine()), session_scope() as session:
        version = taste_store.find_previous(session)
        if version is None:
            raise SetupError("There is no earlier version to go back to: only one training has been kept.")
        taste_store.activate(session, version)
    log.info("model_activated", version=version)
    return version


def ensure_trained(settings: Settings) -> bool:
    """Train where the database or the disk has nothing to answer by; whether that was needed."""
    if is_trained(settings):
        return False
    train(settings)
    return True


def is_trained(settings: Settings) -> bool:
    """Whether the database and the disk have something to answer by that was learned as is wanted now."""
    return _find_active() is not None and _find_model(settings) is not None


def place_arrivals(settings: Settings) -> int:
    """Give films that were embedded since the training their place, by what it learned; how many.

    None where what is on disk is of another version than what the database answers by: the next training places
    them.
    """
    if not _without_place(settings):
        return 0
    placed = 0
    with taste_store.one_at_a_time(get_engine()):
        artefact = _find_model(settings)
        if artefact is None or artefact.version != _find_active():
            return placed
        with np.load(artefact.folder / MODEL) as arrays:
            model = Model.from_arrays(arrays)
        while ids := _without_place(settings):
            arrived = gather_films(settings, ids=ids)
            factors = model.place(arrived.films, arrived.embeddings)
            with session_scope() as session:
                taste_store.add(session, artefact.version, arrived.ids, factors)
            placed += len(ids)
    return placed


def _without_place(settings: Settings) -> list[int]:
    with SessionLocal() as session:
        return taste_store.without_place(session, model=settings.embedding_model, limit=MOST_ARRIVALS)


def _find_active() -> str | None:
    with SessionLocal() as session:
        return taste_store.find_active(session)


def _find_model(settings: Settings) -> Artefact | None:
    try:
        artefact = open_current(models_folder(settings))
    except LayerUnavailableError:
        return None
    return artefact if artefact.tags.get("learned") == _way(settings) else None


def _way(settings: Settings) -> dict[str, Any]:
    """What decides, beside the data, what is learned: a model that was learned in another way is outdated."""
    return {"format": FORMAT, "embeddings": settings.embedding_model, "taste": taste_from(settings)}


class _Learned(NamedTuple):
    ids: Ids
    factors: ItemFactors
    order: NDArray[np.intp]
    """See `taste_store.build`."""
    quality: Quality | None
    counts: dict[str, int]


def _fill(draft: Draft, settings: Settings) -> _Learned:
    gathered = Gathered()
    with SessionLocal() as session:
        hold_still(session)
        draft.tags |= {"database": database_id(session), "made_at": time.time(), "learned": _way(settings)}
        films = stream_films(session, model=settings.embedding_model)
        write_films(gathered.noting_films(films), draft)
        seen = next_unseen(session)
        people = write_people(gathered.noting_people(stream_people(session)), draft, seen=seen)
    if not gathered.films:
        raise JobSkippedError("There is no film to learn about yet.")
    catalogue = Catalogue(ids=gathered.ids, films=gathered.films, embeddings=gathered.embeddings)
    held = hold_out(gathered.people, catalogue.ids, rng=np.random.default_rng(SEED))
    own = opinion_matrix(held.people, catalogue.ids, weigh=evidence)
    factors, model = learn(catalogue, own, pack=find_pack(settings))
    if not factors.known.any():
        raise JobSkippedError("Of no film enough is known yet: none has an embedding or anyone's opinion.")
    factors.write(draft)
    arrays: dict[str, Any] = {**model.to_arrays()}
    np.savez(draft.folder / MODEL, **arrays)
    counts = {"films": len(catalogue.ids), "people": people, "opinions": int(own.nnz)}
    order = factors.by_reach(typical_people(own, factors))
    quality = measure(held, factors, catalogue.ids, popularity=np.asarray(own.sum(axis=0), dtype=np.float32))
    return _Learned(catalogue.ids, factors, order, quality, counts | {"crowds": len(model.maps)})
