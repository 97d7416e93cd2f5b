"""Parameters, chosen on people of the training who are then given back to it."""

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from backend.evaluation.data import Dataset
from backend.evaluation.methods import Method
from backend.evaluation.metrics import hits, ndcg
from backend.evaluation.splits import validation


class Tuner:
    """Chooses by validation people, who are the same for every method."""

    def __init__(self, training: Dataset, *, rng: np.random.Generator, known: int | None = None) -> None:
        """With `known`, for those of whom only so many liked films are known."""
        split = validation(training, rng=rng)
        self._training = split.training
        self._cases = split.cases(rng) if known is None else split.newcomers(rng)[known]

    def choose(self, grid: Sequence[Method]) -> Method:
        """The method of the grid with the best NDCG@10; the first of equal ones."""
        if len(grid) == 1 or not len(self._cases):
            return grid[0]
        return grid[int(np.argmax([self._score(method) for method in grid]))]

    def _score(self, method: Method) -> float:
        found = hits(method.fit(self._training).rank(self._cases.given), self._cases.wanted)
        return float(ndcg(found, np.array([len(films) for films in self._cases.wanted]), at=10).mean())


def parameters(method: Method) -> dict[str, Any]:
    """What was chosen, by name."""
    return asdict(method) if is_dataclass(method) and not isinstance(method, type) else {}
