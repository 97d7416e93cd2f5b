"""What the baselines learn from and are asked with: ratings by their grade, or what serving goes by."""

import numpy as np

from backend.ml.fold_in import Opinions, Weigh, opinions
from backend.ml.people_store import KIND_NUMBER, Acts

LIKED = 4.0
"""A rating from here up is something to be found."""
GRADES = ((1.0, 2.0, 3.0, 4.0, 5.0), (0.1, 0.2, 0.5, 0.8, 1.0))
"""Ratings and what they weigh, linear between: it beats a threshold with every method."""


def graded(acts: Acts) -> Opinions:
    """Ratings by GRADES, each film once; whatever else was done does not count."""
    rated = acts[acts["kind"] == KIND_NUMBER["rating"]]
    return rated["movie_id"], np.interp(rated["value"], *GRADES).astype(np.float32)


def as_served(acts: Acts) -> Opinions:
    """What serving folds in, of either sign: for asking methods that do not mind the scale of a row."""
    return opinions(acts)


WEIGH: dict[str, Weigh] = {"graded": graded, "as served": as_served}
"""What a baseline is asked with, which its tuning chooses; all of them learn from `graded`."""


def liked(acts: Acts) -> Acts:
    """The acts that say a film was liked."""
    found: Acts = acts[(acts["kind"] == KIND_NUMBER["rating"]) & (acts["value"] >= LIKED)]
    return found
