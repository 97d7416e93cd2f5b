"""The methods to beat, each with the same input and its own grid of parameters."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from backend.evaluation.data import Dataset
from backend.evaluation.ease import decomposed
from backend.evaluation.grading import WEIGH
from backend.evaluation.methods import Floats, Method, Ranker, ScoreRanker
from backend.evaluation.neighbours import nearest_films
from backend.ml.fold_in import opinion_matrix

SEED = 20_260_101
SWEEPS = 15
"""Of alternating least squares."""


@dataclass(frozen=True)
class Popular:
    """What most people like: the same list for everyone."""

    weigh: str = "graded"

    def fit(self, training: Dataset) -> Ranker:
        """Sum the weights of each film."""
        weigh = WEIGH[self.weigh]
        totals = np.asarray(opinion_matrix(training.people, training.catalogue.ids, weigh=weigh).sum(axis=0))
        return ScoreRanker(training.catalogue, weigh, lambda given: np.tile(totals, (given.shape[0], 1)))


@dataclass(frozen=True)
class TmdbVotes:
    """What most people at TMDB have voted on: known of new films too."""

    def fit(self, training: Dataset) -> Ranker:
        """Look up the counts."""
        votes = np.array([film["vote_count"] for film in training.catalogue.films])
        return ScoreRanker(training.catalogue, WEIGH["graded"], lambda given: np.tile(votes, (given.shape[0], 1)))


@dataclass(frozen=True)
class ContentMean:
    """Films near the mean of the embeddings of what was liked: the specification's method."""

    centred: bool = False
    """Whether what all films have in common is taken away first."""
    weigh: str = "graded"

    def fit(self, training: Dataset) -> Ranker:
        """Nothing is learned from people."""
        units = training.catalogue.embeddings
        if self.centred:
            units = units - units.mean(axis=0)
            units = units / np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
        return ScoreRanker(training.catalogue, WEIGH[self.weigh], lambda given: (given @ units) @ units.T)


@dataclass(frozen=True)
class ItemKnn:
    """Films whose raters are those of what was liked: cosine of columns, the nearest of each film."""

    neighbours: int
    shrinkage: float = 0.0
    weigh: str = "graded"

    def fit(self, training: Dataset) -> Ranker:
        """Compare all films with one another."""
        score = nearest_films(training, "graded", self.shrinkage).scores(neighbours=self.neighbours)
        return ScoreRanker(training.catalogue, WEIGH[self.weigh], score)


@dataclass(frozen=True)
class PureSvd:
    """The right singular vectors of people and films (Cremonesi, Koren & Turrin 2010)."""

    rank: int
    weigh: str = "graded"

    def fit(self, training: Dataset) -> Ranker:
        """Factorise: the strongest eigenvectors of X'X are the right singular vectors of X."""
        factors = decomposed(training, "graded").vectors[-self.rank :]
        return ScoreRanker(training.catalogue, WEIGH[self.weigh], lambda given: (given @ factors.T) @ factors)


@dataclass(frozen=True)
class Ease:
    """A linear item-item model in closed form (Steck 2019)."""

    regularisation: float
    weigh: str = "graded"

    def fit(self, training: Dataset) -> Ranker:
        """Solve."""
        score = decomposed(training, "graded").scores(regularisation=self.regularisation)
        return ScoreRanker(training.catalogue, WEIGH[self.weigh], score)


@dataclass(frozen=True)
class Ials:
    """Factors by alternating least squares with confidence (Hu, Koren & Volinsky 2008), of `implicit`."""

    factors: int
    regularisation: float
    confidence: float
    """Of a weight of 1, where what was not seen has 1."""
    weigh: str = "graded"

    def fit(self, training: Dataset) -> Ranker:
        """Alternate."""
        from implicit.cpu.als import AlternatingLeastSquares

        weigh = WEIGH[self.weigh]
        # One thread: several sum up in another order every time, and wait for one another on a busy machine.
        with threadpool_limits(limits=1, user_api="blas"):
            model = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularisation,
                alpha=self.confidence,
                iterations=SWEEPS,
                random_state=SEED,
                num_threads=1,
            )
            weights = opinion_matrix(training.people, training.catalogue.ids, weigh=weigh)
            model.fit(csr_matrix(weights), show_progress=False)

        def score(given: csr_array) -> Floats:
            with threadpool_limits(limits=1, user_api="blas"):
                people = model.recalculate_user(np.arange(given.shape[0]), csr_matrix(given))
            return np.asarray(people @ model.item_factors.T)

        return ScoreRanker(training.catalogue, weigh, score)


BASELINES: dict[str, tuple[Method, ...]] = {
    "popular": (Popular(),),
    "content mean": tuple(ContentMean(centred, weigh) for centred in (False, True) for weigh in WEIGH),
    "item-kNN": tuple(
        ItemKnn(k, shrink, weigh) for k, shrink, weigh in product((25, 50, 100, 200), (0.0, 5.0), WEIGH)
    ),
    "PureSVD": tuple(PureSvd(rank, weigh) for rank in (8, 16, 32, 48, 64, 96, 128) for weigh in WEIGH),
    "EASE": tuple(Ease(strength, weigh) for strength in (10, 20, 40, 70, 100, 150, 250, 500) for weigh in WEIGH),
    "iALS": tuple(
        Ials(factors, strength, confidence)
        for factors, strength, confidence in product((64, 128), (3.0, 15.0), (3.0, 6.0))
    ),
}
"""By name, the parameters that tuning chooses from."""

FEW_KNOWN: tuple[Method, ...] = tuple(
    Ease(strength, weigh)
    for strength in (100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
    for weigh in WEIGH
)
"""EASE for those of whom little is known, who ask for far more regularisation."""
