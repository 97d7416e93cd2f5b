"""What an interaction says about taste, as a number between -1 and 1."""

from typing import Literal, get_args

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

RATING_NEUTRAL = 2.5
RATING_SPAN = 2.5
NEGATIVE_FACTOR = 0.5
"""A film disliked says less about the next one than a film liked."""
HALF_LIFE_DAYS = 730
FORGOTTEN = 20.0
"""Half-lives (forty years) after which a weight fades no further: a product that underflows is an error."""


def interaction_weight(kind: Kind, value: float | None, age_days: float) -> float:
    """The weight of an interaction: base(kind, value) * 0.5 ** min(age_days / HALF_LIFE_DAYS, FORGOTTEN).

    base is BASE_WEIGHTS[kind]; of a rating it is r = (value - RATING_NEUTRAL) / RATING_SPAN where r >= 0, and
    NEGATIVE_FACTOR * r below. `age_days` (>= 0) counts back from the person's own last act, not from now: equal
    rows give equal answers whenever they are asked for.
    """
    decay: float = 0.5 ** min(age_days / HALF_LIFE_DAYS, FORGOTTEN)
    return _base_weight(kind, value) * decay


def _base_weight(kind: Kind, value: float | None) -> float:
    if kind != "rating":
        return BASE_WEIGHTS[kind]
    if value is None:
        raise ValueError("a rating has a value")
    distance = (value - RATING_NEUTRAL) / RATING_SPAN
    return distance if distance >= 0 else NEGATIVE_FACTOR * distance
