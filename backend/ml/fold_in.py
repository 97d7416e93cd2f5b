"""From what a person did to what they think of films: as `pgvector_statements.Taste.of_person`, in numpy."""

import numpy as np
from numpy.typing import NDArray

from backend.feedback.weights import (
    BASE_WEIGHTS,
    FORGOTTEN,
    HALF_LIFE_DAYS,
    KINDS,
    NEGATIVE_FACTOR,
    RATING_NEUTRAL,
    RATING_SPAN,
    TASTE_KINDS,
)
from backend.ml.people_store import KIND_NUMBER, Acts

SECONDS_A_DAY = 86_400

Opinions = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Films by id, ascending, and the weight of each: both shape (films,)."""

_IS_TASTE = np.array([kind in TASTE_KINDS for kind in KINDS])
_BASE = np.array([BASE_WEIGHTS.get(kind, np.nan) for kind in KINDS])
_ALPHABETICAL = np.argsort(np.argsort(np.array(KINDS)))


def opinions(acts: Acts) -> Opinions:
    """Per film the newest taste, or else the newest other act, weighed as by `interaction_weight`."""
    order = np.lexsort((_ALPHABETICAL[acts["kind"]], -acts["at"], ~_IS_TASTE[acts["kind"]], acts["movie_id"]))
    ordered = acts[order]
    films, first = np.unique(ordered["movie_id"], return_index=True)
    newest = ordered[first]
    if not len(newest):
        return films, np.empty(0, dtype=np.float32)
    half_lives = (newest["at"].max() - newest["at"]) / SECONDS_A_DAY / HALF_LIFE_DAYS
    weights = _base_weights(newest) * 0.5 ** np.minimum(half_lives, FORGOTTEN)
    return films, weights.astype(np.float32)


def films_done(acts: Acts, *, not_counting: tuple[str, ...]) -> NDArray[np.int32]:
    """The films of a person's acts, but for acts of these kinds."""
    counting = ~np.isin(acts["kind"], [KIND_NUMBER[kind] for kind in KINDS if kind in not_counting])
    return np.unique(acts["movie_id"][counting])


def _base_weights(acts: Acts) -> NDArray[np.float64]:
    distance = (acts["value"].astype(np.float64) - RATING_NEUTRAL) / RATING_SPAN
    rating = np.where(distance >= 0, distance, distance * NEGATIVE_FACTOR)
    return np.where(acts["kind"] == KIND_NUMBER["rating"], rating, _BASE[acts["kind"]])
