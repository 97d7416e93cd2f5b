"""`python -m backend train`: from the interactions in the database to a model on disk."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.config import Settings
from backend.database import SessionLocal
from backend.errors import TooLittleFeedbackError
from backend.ml.artefact import Draft, publishing, withdraw
from backend.ml.cache_store import database_id, hold_still, next_unseen, stream_films, stream_people
from backend.ml.factorization import item_factors
from backend.ml.film_table import write_films
from backend.ml.fold_in import opinions
from backend.ml.people_store import Person, write_people
from backend.ml.svd_recommender import FACTORS, models_folder

log = structlog.get_logger()

SEED = 20_260_101
LEAST_PEOPLE = 10
LEAST_FILMS = 10
LEAST_OPINIONS = 100
"""With less than this, what people have in common is chance."""


def train(settings: Settings) -> dict[str, int]:
    """Factorise what people did, and publish the result whole.

    Raises TooLittleFeedbackError where there is not enough to learn from; an older model is withdrawn then, for it
    tells of people who are gone.
    """
    root = models_folder(settings)
    try:
        with publishing(root) as draft:
            counts = _fill(draft, settings)
    except TooLittleFeedbackError:
        withdraw(root)
        raise
    log.info("model_trained", version=draft.version, **counts)
    return counts


def _fill(draft: Draft, settings: Settings) -> dict[str, int]:
    with SessionLocal() as session:
        hold_still(session)
        draft.tags |= {"database": database_id(session), "made_at": time.time()}
        films = write_films(stream_films(session, model=settings.embedding_model), draft)
        gathered = _Gathered(films)
        seen = next_unseen(session)
        people = write_people(gathered.keeping(stream_people(session)), draft, seen=seen)
    matrix = gathered.matrix()
    positive = int(matrix.nnz)
    liking, liked = int((np.diff(matrix.indptr) > 0).sum()), len(np.unique(matrix.indices))
    if liking < LEAST_PEOPLE or liked < LEAST_FILMS or positive < LEAST_OPINIONS:
        raise TooLittleFeedbackError(
            f"{positive} positive opinions of {liking} people on {liked} films are too little to learn from: "
            f"at least {LEAST_OPINIONS} of {LEAST_PEOPLE} people on {LEAST_FILMS} films are needed."
        )
    factors = item_factors(matrix, rng=np.random.default_rng(SEED))
    np.save(draft.folder / FACTORS, factors)
    return {"films": len(films), "people": people, "opinions": positive, "rank": factors.shape[1]}


class _Gathered:
    """The opinions of people as they stream by."""

    def __init__(self, films: NDArray[np.int32]) -> None:
        self._films = films
        self._places: list[NDArray[Any]] = []
        self._weights: list[NDArray[np.float32]] = []

    def keeping(self, people: Iterator[Person]) -> Iterator[Person]:
        """The same people, their opinions noted."""
        for person in people:
            films, weights = opinions(person.acts)
            # What someone dislikes is no reason to recommend what others like along with it.
            liked = weights > 0
            self._places.append(np.searchsorted(self._films, films[liked]))
            self._weights.append(weights[liked])
            yield person

    def matrix(self) -> csr_array:
        """Shape (people, films)."""
        begins = np.concatenate([[0], np.cumsum([len(places) for places in self._places])])
        return csr_array(
            (np.concatenate([*self._weights, []]), np.concatenate([*self._places, []]).astype(np.int64), begins),
            shape=(len(self._places), len(self._films)),
        )
