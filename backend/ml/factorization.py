"""PureSVD: item factors from who did what with which film."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

RANK = 32
"""More is worse on MovieLens, with this method."""
SMALLER_SIDE_A_RANK = 10
"""Fewer people or films with an opinion than this for each factor would be learned by heart, not generalised."""


def item_factors(matrix: csr_array, *, rng: np.random.Generator) -> NDArray[np.float32]:
    """The right singular vectors of a matrix of people and films (Cremonesi, Koren & Turrin 2010).

    A row `x` of the matrix is scored by `x @ V @ V.T`: a person is a sum over films, so someone whom the training
    did not know is folded in without another one.

    Args:
        matrix: shape (people, films), the weight of what each person thinks of each film; 0 for unknown.
        rng: the start of the iteration; equal generators give equal factors.

    Returns:
        V, shape (films, rank); a film that nobody did anything with has a row of zeros.
    """
    touched = np.unique(matrix.indices)
    people = int((np.diff(matrix.indptr) > 0).sum())
    rank = min(RANK, max(1, min(people, len(touched)) // SMALLER_SIDE_A_RANK))
    start = rng.standard_normal(min(matrix.shape))
    _, _, transposed = svds(matrix.astype(np.float64), k=rank, v0=start)
    factors = transposed.T
    # The sign of a singular vector is arbitrary: fixed here, so that two machines agree.
    factors *= np.where(factors[np.abs(factors).argmax(axis=0), np.arange(rank)] < 0, -1.0, 1.0)
    placed = np.zeros(factors.shape, dtype=np.float32)
    placed[touched] = factors[touched]
    return placed
