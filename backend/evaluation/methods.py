"""What is compared: methods that learn from people and then rank films for others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.evaluation.data import Catalogue, Dataset
from backend.ml.film_table import Bools, Indexes
from backend.ml.fold_in import Weigh, opinion_matrix
from backend.ml.people_store import Acts

LIST = 100
"""Films in a list that is judged; nothing looks further down."""
AT_ONCE = 500
"""People whose scores for all films are in memory at a time."""

Floats = NDArray[Any]


class Ranker(Protocol):
    """What has been learned."""

    def rank(self, given: Sequence[Acts], *, among: Bools | None = None) -> Indexes:
        """Places of films, best first and none that is given, shape (people, LIST); -1 after the end of a list.

        `among`, shape (films,), leaves out all other films.
        """
        ...


class Method(Protocol):
    """A way to learn, with its parameters chosen."""

    def fit(self, training: Dataset) -> Ranker:
        """Learn from these people and this catalogue, and from nothing else."""
        ...


@dataclass(frozen=True, eq=False)
class ScoreRanker:
    """Ranks by the scores that a function gives to all films."""

    catalogue: Catalogue
    weigh: Weigh
    score: Callable[[csr_array], Floats]
    """From the weights of people, shape (people, films), to scores of the same shape."""

    def rank(self, given: Sequence[Acts], *, among: Bools | None = None) -> Indexes:
        """See Ranker."""
        parts = [self._rank(given[at : at + AT_ONCE], among) for at in range(0, len(given), AT_ONCE)]
        return np.concatenate([np.empty((0, LIST), dtype=np.intp), *parts])

    def _rank(self, given: Sequence[Acts], among: Bools | None) -> Indexes:
        scores = np.array(
            self.score(opinion_matrix(given, self.catalogue.ids, weigh=self.weigh)), dtype=np.float64
        )
        for row, acts in zip(scores, given, strict=True):
            row[self.catalogue.places(acts["movie_id"])] = -np.inf
        if among is not None:
            scores[:, ~among] = -np.inf
        return best(scores)


def best(scores: Floats) -> Indexes:
    """The places of the highest scores of each row, shape (people, LIST); -inf never counts, ties go by place."""
    count = min(LIST, scores.shape[1])
    found = np.full((len(scores), LIST), -1, dtype=np.intp)
    for row, into in zip(scores, found, strict=True):
        least = np.partition(row, len(row) - count)[len(row) - count]
        among = np.flatnonzero((row >= least) & (row > -np.inf))
        chosen = among[np.lexsort((among, -row[among]))][:count]
        into[: len(chosen)] = chosen
    return found
