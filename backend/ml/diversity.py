"""Lists whose films differ from one another, and whose genres are those of the person."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.ml.answer import MMR_BLOCK, Request

Floats = NDArray[np.float32]

SEEN_TOGETHER = 9
"""A film is compared with so many before it: a list is looked at ten films at a time."""
LIKENESS_WEIGHT = 0.32
CALIBRATION_WEIGHT = 2.0
"""Chosen on ml-latest-small: the default boost of 0.2 costs 1 % of NDCG@10, makes lists of ten a sixth less alike,
and brings their genres a third nearer to those of the person."""
SMOOTHING = 0.01
"""Of the target in the genres of a list: without, a genre that is not there yet would be infinitely far."""


@dataclass(frozen=True)
class Calibration:
    """The genres that a list should have (Steck 2018), and those of its candidates."""

    target: Floats
    """Shape (genres,): the shares of a person's taste; they sum to 1."""
    candidates: Floats
    """Shape (candidates, genres): each film's genres, sharing 1 equally; zero where it has none."""

    @classmethod
    def of(cls, taste: Floats, candidates: Floats) -> "Calibration | None":
        """Of the genres that a person has any of; None where these are none.

        Args:
            taste: shape (genres,), a person's weight of each.
            candidates: shape (candidates, genres).
        """
        some = taste > 0
        target = taste[some]
        return cls(target / target.sum(), candidates[:, some]) if len(target) else None

    def block(self, rows: slice) -> "Calibration":
        """The same for some of the candidates."""
        return Calibration(self.target, self.candidates[rows])

    def divergence(self, chosen: Floats, count: int) -> Floats:
        """For each candidate the Kullback-Leibler divergence of the target from the list that it would complete.

        Args:
            chosen: shape (genres,), the sum over the films chosen already.
            count: how many these are.
        """
        listed = (chosen + self.candidates) / (count + 1)
        listed = (1 - SMOOTHING) * listed + SMOOTHING * self.target
        divergence: Floats = (self.target * np.log(self.target / listed)).sum(axis=1)
        return divergence


def page_order(
    relevance: Floats, vectors: Floats, request: Request, calibration: Calibration | None = None
) -> list[int]:
    """Which of the candidates of `request.window` stand on the page asked for, in order.

    Each block of candidates is ordered on its own, so that pages are slices of one list.

    Args:
        relevance: shape (candidates,), in falling order.
        vectors: shape (candidates, dimensions), unit length or zero.
    """
    first = request.start - request.window.offset
    last = first + request.stop - request.start
    order: list[int] = []
    for begin in range(0, min(len(relevance), last), MMR_BLOCK):
        block = slice(begin, begin + MMR_BLOCK)
        chosen = mmr_order(
            relevance[block],
            vectors[block],
            diversity_boost=request.diversity_boost,
            count=min(last - begin, MMR_BLOCK),
            calibration=calibration.block(block) if calibration else None,
        )
        order += [begin + i for i in chosen]
    return order[first:last]


def mmr_order(
    relevance: Floats,
    vectors: Floats,
    *,
    diversity_boost: float,
    count: int | None = None,
    calibration: Calibration | None = None,
) -> list[int]:
    """The order of candidates by marginal relevance: the first `count` of it, or all.

    As in maximal marginal relevance (Carbonell & Goldstein 1998), with the sum over the films just before in place
    of the maximum over all: with b = diversity_boost, the next film is always the one that maximises

        (1 - b) * relevance[i] / sd(relevance)
        - b * LIKENESS_WEIGHT * sum(cosine(i, j) for j of the last SEEN_TOGETHER chosen) / sd(cosine)
        - b * CALIBRATION_WEIGHT * sqrt(k) * KL(target || the genres of the k films chosen and i)

    Relevance and cosine are measured in their standard deviations over the candidates, so that a boost means the
    same on every scale of scores: 0 is the order of relevance, 1 looks at nothing but difference after the most
    relevant film.

    Args:
        relevance: shape (candidates,), on any scale.
        vectors: shape (candidates, dimensions), unit length; a zero row is unlike everything.
        diversity_boost: 0 to 1.

    Returns:
        Indexes, each once; ties go to the earlier candidate.
    """
    if not len(relevance):
        return []
    similarity = vectors @ vectors.T
    pairs = similarity[~np.eye(len(relevance), dtype=bool)]
    gain = (1.0 - diversity_boost) * _in_deviations(relevance, relevance)
    cost = diversity_boost * LIKENESS_WEIGHT * _in_deviations(similarity, pairs)
    # The first is the most relevant one whatever the boost.
    order = [int(np.argmax(relevance))]
    while len(order) < min(count or len(relevance), len(relevance)):
        marginal = gain - cost[order[-SEEN_TOGETHER:]].sum(axis=0)
        if calibration is not None:
            divergence = calibration.divergence(calibration.candidates[order].sum(axis=0), len(order))
            marginal -= diversity_boost * CALIBRATION_WEIGHT * len(order) ** 0.5 * divergence
        marginal[order] = -np.inf
        order.append(int(np.argmax(marginal)))
    return order


def _in_deviations(values: Floats, population: Floats) -> Floats:
    deviation = float(population.std()) if population.size else 0.0
    return values / deviation if deviation > 0 else np.zeros_like(values)
