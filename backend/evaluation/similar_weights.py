"""How much each kernel of `ml.similarity` counts, learned from films that the same people like."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from backend.ml.facts import Vocabulary
from backend.ml.film_table import Bools, Indexes
from backend.ml.kernels import FACT_KINDS, Known, Matrix, balanced, directions, eras, fact_kinds, standings
from backend.ml.similarity import WEIGHTS

Floats = NDArray[np.float64]
RIDGE = 1e-3
"""On the weights of standardised kernels."""


def kernels(
    vocabulary: Vocabulary, known: Known, *, taste: Matrix | None, seeds: Indexes, candidates: Indexes
) -> dict[str, Floats]:
    """By name, how similar each candidate is to each seed; shape (seeds, candidates)."""
    kinds, found = fact_kinds(vocabulary), {}
    for kind in FACT_KINDS:
        facts = balanced(known.facts, kinds, {name: float(name == kind) for name in FACT_KINDS})
        found[kind] = (facts[seeds] @ facts[candidates].T).toarray().astype(np.float64)
    centre = known.embeddings[known.embeddings.any(axis=1)].mean(axis=0)
    towards, era = directions(known.embeddings, centre), eras(known.years)
    found["meaning"] = (towards[seeds] @ towards[candidates].T).astype(np.float64)
    found["era"] = (era[seeds] @ era[candidates].T).astype(np.float64)
    standing = standings(known)
    apart = -((standing[seeds][:, None] - standing[candidates]) ** 2)
    found["fame"], found["quality"] = apart[..., 0], apart[..., 1]
    found["better"] = np.tile(standing[candidates, 1], (len(seeds), 1))
    if taste is not None:
        found["taste"] = (taste[seeds] @ taste[candidates].T).astype(np.float64)
    return found


def fit_weights(kernels: Mapping[str, Floats], relevant: Bools, itself: Bools) -> dict[str, float]:
    """The weights, none below zero, under which the relevant films of each seed are likeliest to be chosen.

    Maximum likelihood of softmax(sum of weight * kernel) over a seed's candidates, itself left out, with a ridge.
    """
    names = list(kernels)
    spread = np.array([kernels[name].std() or 1.0 for name in names])
    stack = np.stack([kernels[name] / width for name, width in zip(names, spread, strict=True)], axis=-1)
    chosen = relevant / np.maximum(relevant.sum(axis=1, keepdims=True), 1)

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = np.where(itself, -np.inf, stack @ weights)
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        total = odds.sum(axis=1, keepdims=True)
        likelihood = (chosen * np.where(itself, 0.0, scores - np.log(total))).sum()
        slope = np.tensordot(odds / total - chosen, stack, axes=2)
        return RIDGE * weights @ weights - likelihood / len(stack), 2 * RIDGE * weights + slope / len(stack)

    found = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(names))
    fitted = dict(zip(names, (found.x / spread).tolist(), strict=True))
    return {name: fitted.get(name, 0.0) for name in WEIGHTS}
