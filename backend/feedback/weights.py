"""What an interaction says about taste, as a number: for a person who asks, and for the training."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Kind = Literal["rating", "like", "dislike", "watched", "watchlist", "not_interested", "click"]

KINDS: tuple[Kind, ...] = get_args(Kind)
TASTE_KINDS: tuple[Kind, ...] = ("rating", "like", "dislike")
"""Of these, the newest per person and film is what the person thinks of the film."""

BASE_WEIGHTS: dict[Kind, float] = {
    "like": 1.0,
    "watchlist": 0.4,
    "watched": 0.2,
    "click": 0.05,
    "not_interested": -0.3,
    "dislike": -0.5,
}
"""Every kind but a rating, whose weight comes from its value."""
RATING_WEIGHTS = (-0.4, -0.2, 0.0, 0.3, 0.8, 1.0)
"""Of a rating of 0, 1, … 5; straight lines between. Chosen on ml-latest-small: +0.7 % NDCG@10 over
`RATING_EVIDENCE`."""
HALF_LIFE_DAYS = 7300
FORGOTTEN = 20.0
"""Half-lives after which a weight fades no further: a product that underflows is an error."""
HALF_PRIOR = 1.0
"""Films that a person has to like for what everyone starts with to count half as much."""
HALF_COMPANY = 4.0
"""Films that a person has to like for the company of each to count half as much."""

EVIDENCE: dict[Kind, float] = {
    "like": 1.0,
    "watchlist": 0.3,
    "watched": 0.4,
    "click": 0.0,
    "not_interested": 0.0,
    "dislike": 0.1,
}
RATING_EVIDENCE = (0.0, 0.1, 0.2, 0.5, 0.8, 1.0)
"""What the training goes by: never negative, for even a film disliked tells which films a person watches."""


def interaction_weight(kind: Kind, value: float | None, age_days: float) -> float:
    """The weight of an interaction: base(kind, value) * 0.5 ** min(age_days / HALF_LIFE_DAYS, FORGOTTEN).

    base is BASE_WEIGHTS[kind], of a rating RATING_WEIGHTS at its value. `age_days` (>= 0) counts back from the
    person's own last act, not from now: equal rows give equal answers whenever they are asked for.
    """
    decay: float = 0.5 ** min(age_days / HALF_LIFE_DAYS, FORGOTTEN)
    return _base_weight(kind, value) * decay


def between(weights: Sequence[float], values: float | NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The weights of ratings by their values, one or many: those of 0, 1, … as given, straight lines between."""
    return np.asarray(np.interp(values, range(len(weights)), weights))


def history_scale(total: Any) -> Any:
    """What a person's films say counts so many times, by the sum of their weights' sizes: 1 + total / HALF_PRIOR.

    The more someone is known, the less counts what everyone starts with. The same for a number, an array and an
    expression in SQL.
    """
    return 1.0 + total / HALF_PRIOR


def company_scale(total: Any) -> Any:
    """What the company of their films says counts so many times instead: 1 / (1 + (total / HALF_COMPANY)²).

    Of whom little is known, it is told at first sight by what is liked together; later by what sets them apart.
    """
    return 1.0 / (1.0 + total * total / HALF_COMPANY**2)


def _base_weight(kind: Kind, value: float | None) -> float:
    if kind != "rating":
        return BASE_WEIGHTS[kind]
    if value is None:
        raise ValueError("a rating has a value")
    return float(between(RATING_WEIGHTS, value))
