"""From what a person did to what they think of films: as `taste_statements.Taste.of_person`, in numpy."""

import numpy as np
from numpy.typing import NDArray

from backend.feedback.weights import (
    BASE_WEIGHTS,
    EVIDENCE,
    FORGOTTEN,
    HALF_LIFE_DAYS,
    KINDS,
    RATING_EVIDENCE,
    RATING_WEIGHTS,
    TASTE_KINDS,
    history_scale,
)
from backend.ml.people_store import KIND_NUMBER, Acts

SECONDS_A_DAY = 86_400

Opinions = tuple[NDArray[np.int32], NDArray[np.float32]]
"""Films by id, ascending, and the weight of each: both shape (films,)."""

_IS_TASTE = np.array([kind in TASTE_KINDS for kind in KINDS])
_BASE = np.array([BASE_WEIGHTS.get(kind, np.nan) for kind in KINDS])
_EVIDENCE = np.array([EVIDENCE.get(kind, np.nan) for kind in KINDS])
_ALPHABETICAL = np.argsort(np.argsort(np.array(KINDS)))


def opinions(acts: Acts) -> Opinions:
    """What a person is folded in by: per film the newest taste, or else the newest other act, weighed.

    The weights are those of `interaction_weight` times the `history_scale` of the person.
    """
    newest = _newest(acts)
    if not len(newest):
        return newest["movie_id"], np.empty(0, dtype=np.float32)
    half_lives = (newest["at"].max() - newest["at"]) / SECONDS_A_DAY / HALF_LIFE_DAYS
    weights = _weights(newest, _BASE, RATING_WEIGHTS) * 0.5 ** np.minimum(half_lives, FORGOTTEN)
    return newest["movie_id"], scaled(weights)


def scaled(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Weights times the `history_scale` of the person they are of."""
    return (weights * history_scale(float(np.abs(weights).sum()))).astype(np.float32)


def evidence(acts: Acts) -> Opinions:
    """What the training learns from the same acts: never negative, however old; films without any are left out."""
    newest = _newest(acts)
    weights = _weights(newest, _EVIDENCE, RATING_EVIDENCE)
    told = weights > 0
    return newest["movie_id"][told], weights[told].astype(np.float32)


def films_done(acts: Acts, *, not_counting: tuple[str, ...]) -> NDArray[np.int32]:
    """The films of a person's acts, but for acts of these kinds."""
    counting = ~np.isin(acts["kind"], [KIND_NUMBER[kind] for kind in KINDS if kind in not_counting])
    return np.unique(acts["movie_id"][counting])


def _newest(acts: Acts) -> Acts:
    order = np.lexsort((_ALPHABETICAL[acts["kind"]], -acts["at"], ~_IS_TASTE[acts["kind"]], acts["movie_id"]))
    ordered = acts[order]
    _, first = np.unique(ordered["movie_id"], return_index=True)
    return ordered[first]


def _weights(acts: Acts, by_kind: NDArray[np.float64], by_value: tuple[float, ...]) -> NDArray[np.float64]:
    ratings = np.interp(acts["value"].astype(np.float64), range(len(by_value)), by_value)
    return np.where(acts["kind"] == KIND_NUMBER["rating"], ratings, by_kind[acts["kind"]])
