"""EASE (Steck 2019) as a baseline, over all films: dense over whichever is fewer, people or films."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from backend.evaluation.data import Dataset
from backend.evaluation.grading import WEIGH
from backend.evaluation.methods import Floats
from backend.ml.fold_in import opinion_matrix


@dataclass(frozen=True, eq=False)
class Decomposed:
    """The eigenvectors of X'X that belong to eigenvalues above zero, from which B follows for any strength."""

    eigenvalues: Floats
    """Shape (rank,)."""
    vectors: Floats
    """Shape (rank, films), orthonormal rows."""

    @classmethod
    def of(cls, weights: csr_array) -> "Decomposed":
        """By the smaller of X'X and XX', which share their eigenvalues."""
        exact = weights.astype(np.float64)
        people, films = weights.shape
        gram = (exact @ exact.T if people < films else exact.T @ exact).toarray()
        eigenvalues, vectors = np.linalg.eigh(gram)
        telling = eigenvalues > eigenvalues[-1] * 1e-10
        eigenvalues, found = eigenvalues[telling], vectors[:, telling].T
        if people < films:
            found = (found @ exact) / np.sqrt(eigenvalues)[:, None]
        return cls(eigenvalues, found)

    def scores(self, *, regularisation: float) -> Callable[[csr_array], Floats]:
        """From the weights of people, shape (people, films), to their scores X . B, where

        B = I - P / diag(P), P = inverse(X'X + regularisation * I) = (I - V'(e / (e + regularisation))V) / r.
        """
        shrunk = self.eigenvalues / (self.eigenvalues + regularisation)
        diagonal = 1 - shrunk @ self.vectors**2

        def score(given: csr_array) -> Floats:
            projected = given.toarray() - ((given @ self.vectors.T) * shrunk) @ self.vectors
            return np.asarray(given.toarray() - projected / diagonal)

        return score


@lru_cache(maxsize=4)
def decomposed(training: Dataset, weigh: str) -> Decomposed:
    """What all strengths of regularisation have in common."""
    return Decomposed.of(opinion_matrix(training.people, training.catalogue.ids, weigh=WEIGH[weigh]))
