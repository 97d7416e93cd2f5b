"""Item-kNN: films compared by who weighed them, a block of films at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from backend.evaluation.data import Dataset
from backend.evaluation.grading import WEIGH
from backend.evaluation.methods import Floats
from backend.ml.fold_in import opinion_matrix

BLOCK = 512
"""Films compared with all others at a time."""
MOST_NEIGHBOURS = 400


@dataclass(frozen=True, eq=False)
class Nearest:
    """For each film the nearest others, nearest first."""

    places: Floats
    """Shape (films, neighbours)."""
    similarities: Floats
    """Shape (films, neighbours)."""

    @classmethod
    def of(cls, weights: csr_array, *, shrinkage: float) -> "Nearest":
        """By x_i . x_j / (|x_i| |x_j| + shrinkage) of the columns of a matrix of people and films."""
        dense = weights.toarray().astype(np.float32)
        lengths = np.linalg.norm(dense, axis=0)
        films = dense.shape[1]
        count = min(MOST_NEIGHBOURS, films)
        places = np.empty((films, count), dtype=np.int32)
        similarities = np.empty((films, count), dtype=np.float32)
        for begin in range(0, films, BLOCK):
            own = slice(begin, min(begin + BLOCK, films))
            similarity = dense[:, own].T @ dense
            similarity /= np.outer(lengths[own], lengths) + max(shrinkage, 1e-9)
            similarity[np.arange(own.stop - begin), np.arange(begin, own.stop)] = 0
            found = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
            near = np.take_along_axis(similarity, found, axis=1)
            order = np.argsort(-near, axis=1, kind="stable")
            places[own] = np.take_along_axis(found, order, axis=1)
            similarities[own] = np.take_along_axis(near, order, axis=1)
        return cls(places, similarities)

    def scores(self, *, neighbours: int) -> Callable[[csr_array], Floats]:
        """From the weights of people, shape (people, films): film j gets the sum of weight_i * S_ij over those
        films i of a person that are among the nearest of j.
        """
        places, similarities = self.places[:, :neighbours], self.similarities[:, :neighbours]
        films, count = places.shape
        begins = np.arange(0, films * count + 1, count)
        nearest = csr_array((similarities.ravel(), places.ravel(), begins), shape=(films, films)).T.tocsr()
        return lambda given: (given @ nearest).toarray()


@lru_cache(maxsize=3)
def nearest_films(training: Dataset, weigh: str, shrinkage: float) -> Nearest:
    """What all numbers of neighbours have in common."""
    return Nearest.of(
        opinion_matrix(training.people, training.catalogue.ids, weigh=WEIGH[weigh]), shrinkage=shrinkage
    )
