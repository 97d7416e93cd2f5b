"""Maximal marginal relevance: a list whose films differ from one another."""

import numpy as np
from numpy.typing import NDArray


def mmr_order(
    relevance: NDArray[np.float32], vectors: NDArray[np.float32], *, diversity_boost: float
) -> list[int]:
    """The order of candidates by maximal marginal relevance (Carbonell & Goldstein 1998).

    With lambda = 1 - diversity_boost, the next film is always the one that maximises

        lambda * relevance[i] - (1 - lambda) * max(cosine(i, j) for j already chosen)

    so 0 is the order of relevance and 1 looks at nothing but difference, after the most relevant film.

    Args:
        relevance: shape (candidates,), on the scale of a cosine.
        vectors: shape (candidates, dimensions), unit length; a zero row is unlike everything.
        diversity_boost: 0 to 1.

    Returns:
        Every index once; ties go to the earlier candidate.
    """
    trade = 1.0 - diversity_boost
    remaining = np.ones(len(relevance), dtype=bool)
    closest = np.zeros(len(relevance), dtype=np.float32)
    order: list[int] = []
    for _ in range(len(relevance)):
        marginal = trade * relevance - diversity_boost * closest
        chosen = int(np.argmax(np.where(remaining, marginal, -np.inf)))
        order.append(chosen)
        remaining[chosen] = False
        similarity = vectors @ vectors[chosen]
        closest = similarity if len(order) == 1 else np.maximum(closest, similarity)
    return order
