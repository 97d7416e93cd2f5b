"""What people did as a matrix of weights: the input of the baselines."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_array

from backend.evaluation.data import Catalogue
from backend.ml.fold_in import Opinions, opinions
from backend.ml.people_store import KIND_NUMBER, Acts

LIKED = 4.0
"""A rating from here up is something to be found."""
GRADES = ((1.0, 2.0, 3.0, 4.0, 5.0), (0.1, 0.2, 0.5, 0.8, 1.0))
"""Ratings and what they weigh, linear between: it beats a threshold with every method."""

Weigh = Callable[[Acts], Opinions]
"""Films by id, each once, and the weight of each."""


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


def matrix(people: Sequence[Acts], catalogue: Catalogue, *, weigh: Weigh) -> csr_array:
    """Shape (people, films): the weight of what each person thinks of each film; 0 for unknown."""
    weighed = [weigh(acts) for acts in people]
    begins = np.concatenate([[0], np.cumsum([len(films) for films, _ in weighed])]).astype(np.int64)
    places = catalogue.places(np.concatenate([np.empty(0, dtype=np.int32), *(films for films, _ in weighed)]))
    weights = np.concatenate([np.empty(0, dtype=np.float32), *(weights for _, weights in weighed)])
    made = csr_array((weights, places, begins), shape=(len(people), len(catalogue)))
    made.sort_indices()
    return made
