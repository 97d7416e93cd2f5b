"""Maximal marginal relevance: a list whose films differ from one another."""

import numpy as np
from numpy.typing import NDArray

from backend.ml.answer import MMR_BLOCK, Request

Floats = NDArray[np.float32]


def page_order(relevance: Floats, vectors: Floats, request: Request) -> list[int]:
    """Which of the candidates of `request.window` stand on the page asked for, in order.

    Each block of candidates is ordered by maximal marginal relevance, so that pages are slices of one list.

    Args:
        relevance: shape (candidates,), in falling order.
        vectors: shape (candidates, dimensions), unit length or zero.
    """
    order: list[int] = []
    for begin in range(0, len(relevance), MMR_BLOCK):
        block = slice(begin, begin + MMR_BLOCK)
        chosen = mmr_order(relevance[block], vectors[block], diversity_boost=request.diversity_boost)
        order += [begin + i for i in chosen]
    first = request.start - request.window.offset
    return order[first : first + request.stop - request.start]


def mmr_order(relevance: Floats, vectors: Floats, *, diversity_boost: float) -> list[int]:
    """The order of candidates by maximal marginal relevance (Carbonell & Goldstein 1998).

    With lambda = 1 - diversity_boost, the next film is always the one that maximises

        lambda * relevance[i] / sd(relevance) - (1 - lambda) * max(cosine(i, j) for j already chosen) / sd(cosine)

    Both are measured in their standard deviations over the candidates, so that a boost means the same on every
    scale of scores: 0 is the order of relevance, 1 looks at nothing but difference after the most relevant film.

    Args:
        relevance: shape (candidates,), on any scale.
        vectors: shape (candidates, dimensions), unit length; a zero row is unlike everything.
        diversity_boost: 0 to 1.

    Returns:
        Every index once; ties go to the earlier candidate.
    """
    similarity = vectors @ vectors.T
    gain = (1.0 - diversity_boost) * _in_deviations(relevance, relevance)
    pairs = similarity[~np.eye(len(relevance), dtype=bool)]
    cost = diversity_boost * _in_deviations(similarity, pairs)
    marginal = gain.copy()
    closest = np.full(len(relevance), -np.inf, dtype=np.float32)
    order: list[int] = []
    while len(order) < len(relevance):
        # The first is the most relevant one whatever the boost.
        chosen = int(np.argmax(marginal if order else relevance))
        order.append(chosen)
        closest = np.maximum(closest, cost[chosen])
        marginal = gain - closest
        marginal[order] = -np.inf
    return order


def _in_deviations(values: Floats, population: Floats) -> Floats:
    deviation = float(population.std()) if population.size else 0.0
    return values / deviation if deviation > 0 else np.zeros_like(values)
