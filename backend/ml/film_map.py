"""A map of the best-known films: in two dimensions what is alike in many, and every night nearly the same."""

from contextlib import suppress

import numpy as np
import structlog
from numpy.typing import NDArray

from backend.config import Settings
from backend.database import SessionLocal, session_scope
from backend.errors import LayerUnavailableError
from backend.ml import map_store
from backend.ml.artefact import Artefact, open_current
from backend.ml.film_table import FilmTable
from backend.ml.item_factors import ItemFactors
from backend.ml.map_store import Placed
from backend.ml.similarity import PRIOR
from backend.ml.svd_recommender import models_folder

log = structlog.get_logger()

Floats = NDArray[np.float32]

MOST_FILMS, LEAST_FILMS = 10_000, 50
MOSTLY = 0.5
"""Where no more films than this share lay on the map before, it is made anew."""
PERPLEXITY = 30
"""Neighbours that a film keeps near, about."""
EXAGGERATION = 12.0
"""Of the nearness of neighbours while a first map unfolds; later ones only go on from the one before."""
POINT = 1e-4
"""The standard deviation of the places from which a first map unfolds."""
SPREAD = 0.5
"""That of a whole map, by the square root of the films on it: as far as t-SNE spreads them, about."""
SEED = 20_260_101


def ensure_map(settings: Settings) -> int:
    """Lay films out where the last training has moved them; how many, 0 where there is nothing to do."""
    training = _find_training(settings)
    if training is None:
        return 0
    version, ids, vectors = training
    with SessionLocal() as session:
        made = map_store.find_made(session)
        if made and made["version"] == version:
            return 0
        before = map_store.find_places(session)
    placed = Placed(ids, lay_out(ids, vectors, before))
    with session_scope() as session:
        map_store.keep(session, version, placed)
    log.info("map_made", version=version, films=len(ids))
    return len(ids)


def is_wanting(settings: Settings) -> bool:
    """Whether there is no map, and enough to make one of."""
    with SessionLocal() as session:
        if map_store.find_made(session):
            return False
    return _find_training(settings) is not None


def _find_training(settings: Settings) -> tuple[str, NDArray[np.int32], Floats] | None:
    """The version of the last training and its best-known films; None where it is too small, or can't be read."""
    with suppress(LayerUnavailableError):
        artefact = open_current(models_folder(settings))
        ids, vectors = best_known(artefact, include_adult=settings.include_adult)
        return (artefact.version, ids, vectors) if len(ids) >= LEAST_FILMS else None
    return None


def best_known(artefact: Artefact, *, include_adult: bool) -> tuple[NDArray[np.int32], Floats]:
    """Of a training, the films with most votes that may be shown, and what makes them alike."""
    films, factors = FilmTable.open(artefact), ItemFactors.open(artefact)
    hidden = films.columns["hidden"] if include_adult else films.columns["hidden"] | films.columns["adult"]
    here = np.flatnonzero(factors.known & ~hidden)
    first = here[np.lexsort((here, -films.columns["vote_count"][here]))][:MOST_FILMS]
    # Without what speaks for a film whatever it is compared with.
    return films.ids[first], np.delete(factors.s[first], PRIOR, axis=1)


def lay_out(ids: NDArray[np.int32], vectors: Floats, before: Placed | None) -> Floats:
    """Where films lie, shape (films, 2), from 0 to 1: by t-SNE (van der Maaten & Hinton 2008).

    Films begin where they lay before, and the whole is turned, mirrored and moved to fit that: who looks again the
    next day finds them there.

    Args:
        ids: of the films.
        vectors: shape (films, dimensions); what is near by distance is to lie near.
        before: an earlier map, of these films or of others.
    """
    known, old = _known(ids, before)
    if known.mean() > MOSTLY:
        start = _scaled(_beginning(vectors, known, old), SPREAD * len(ids) ** 0.5)
        moved = _turned(_unfolded(vectors, start, exaggeration=1.0), known, old)
    else:
        moved = _unfolded(vectors, _scaled(_main_plane(vectors), POINT), exaggeration=EXAGGERATION)
    low, high = moved.min(axis=0), moved.max(axis=0)
    fitted: Floats = 0.5 + (moved - (low + high) / 2) / (high - low).max()
    return fitted.clip(0, 1).round(4).astype(np.float32)


def _known(ids: NDArray[np.int32], before: Placed | None) -> tuple[NDArray[np.bool_], Floats]:
    """Which of the films lay somewhere before, and where these did."""
    if before is None:
        return np.zeros(len(ids), dtype=bool), np.empty((0, 2), dtype=np.float32)
    order = np.argsort(before.ids)
    places = np.minimum(np.searchsorted(before.ids, ids, sorter=order), len(order) - 1)
    found = order[places]
    known = before.ids[found] == ids
    return known, before.places[found[known]]


def _beginning(vectors: Floats, known: NDArray[np.bool_], old: Floats) -> Floats:
    """Where films lay, and new ones beside the film that they are most like."""
    from sklearn.neighbors import NearestNeighbors

    start = np.empty((len(vectors), 2), dtype=np.float32)
    start[known] = old
    if not known.all():
        nearest = NearestNeighbors(n_neighbors=1).fit(vectors[known])
        start[~known] = old[nearest.kneighbors(vectors[~known], return_distance=False)[:, 0]]
    return start


def _main_plane(vectors: Floats) -> Floats:
    """Films in the two directions in which they differ most."""
    centred = vectors - vectors.mean(axis=0)
    _, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    plane: Floats = centred @ axes[:, :-3:-1].astype(np.float32)
    return plane


def _scaled(places: Floats, deviation: float) -> Floats:
    centred = places - places.mean(axis=0)
    scaled: Floats = (centred / (float(centred.std()) or 1.0) * deviation).astype(np.float32)
    return scaled


def _unfolded(vectors: Floats, start: Floats, *, exaggeration: float) -> Floats:
    # Takes seconds to import.
    from sklearn.manifold import TSNE

    moving = TSNE(
        init=start,
        early_exaggeration=exaggeration,
        # As it is by itself with the usual exaggeration.
        learning_rate=max(len(vectors) / EXAGGERATION / 4, 50),
        perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
        random_state=SEED,
    )
    moved: Floats = moving.fit_transform(vectors)
    return moved


def _turned(moved: Floats, known: NDArray[np.bool_], old: Floats) -> Floats:
    """The places turned and mirrored as a whole, so that films come nearest to where they lay (Procrustes)."""
    there, here = old - old.mean(axis=0), moved[known] - moved[known].mean(axis=0)
    left, _, right = np.linalg.svd(here.T @ there)
    turned: Floats = moved @ (left @ right)
    return turned
