"""A learned map from what is known about a film to what people think of it, for films that nobody rated."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from backend.ml.facts import Vocabulary, learn_vocabulary

Film = Mapping[str, Any]
Floats = NDArray[np.float32]

REGULARISATION = 1000.0
"""Of the ridge regression; 300 to 3,000 are alike on ml-latest-small, where this and all below were tuned."""
LEAST_FILMS = 3
"""A fact of fewer placed films is left out of the map."""
EMBEDDING_SCALE = 30.0
"""Makes a centred embedding of unit length as loud as a film's facts."""
NUMBER_SCALE = 9.0
"""The same for the numbers."""
KINDS_BY_FAME = ("genre", "decade", "language")
"""Facts that mean something else for a famous film than for an obscure one: these count once more, times fame."""
FAME = 0
"""The column of fame among the numbers."""
CONSTANT = 0.33
"""Lets the map have an intercept."""
PRIOR_VOTES, PRIOR_AVERAGE = 200.0, 6.5
"""What a vote average is drawn to while its votes are few."""
SWEEPS = 60
"""At most so many steps of the conjugate gradient; about 40 are needed."""
PRECISION = 1e-3
"""Of the solution: the residual's share at which the steps end."""


@dataclass(frozen=True)
class Features:
    """A row for each film, in a sparse and a dense part: multiplied apart, they take a tenth of the time."""

    sparse: csr_array
    dense: Floats

    def times(self, weights: Floats) -> Floats:
        """(films, features) @ (features, targets)."""
        split = self.sparse.shape[1]
        product: Floats = self.sparse @ weights[:split] + self.dense @ weights[split:]
        return product

    def transposed_times(self, rows: Floats) -> Floats:
        """(features, films) @ (films, targets)."""
        return np.concatenate([self.sparse.T @ rows, self.dense.T @ rows])

    def squares(self) -> Floats:
        """The sum of squares of each feature."""
        return np.concatenate([self.sparse.power(2).sum(axis=0), np.square(self.dense).sum(axis=0)])


@dataclass(frozen=True)
class Placing:
    """The map: linear in the features of a film."""

    vocabulary: Vocabulary
    centre: Floats
    """The mean embedding of the films it was learned from."""
    weights: Floats
    """Shape (features, targets)."""

    def place(self, films: Sequence[Film], embeddings: Floats) -> Floats:
        """Where films belong, shape (films, targets).

        Args:
            films: with the columns of `movies` as keys; whatever is missing is taken as average.
            embeddings: shape (films, dimensions), of unit length; a row of zeros where there is none.
        """
        return _features(self.vocabulary, self.centre, films, embeddings).times(self.weights)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, the weights in half precision."""
        weights = self.weights.astype(np.float16)
        return {**self.vocabulary.to_arrays(), "map_centre": self.centre, "map_weights": weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Placing":
        """What `to_arrays` gave."""
        weights = arrays["map_weights"].astype(np.float32)
        return cls(Vocabulary.from_arrays(arrays), arrays["map_centre"], weights)


def learn_placing(films: Sequence[Film], embeddings: Floats, targets: Floats) -> Placing:
    """The ridge regression from the features of films to their factors.

    Leave `vote_count` and `vote_average` out of the films (here and when placing) for a map that does without.

    Args:
        films: those with interactions.
        embeddings: shape (films, dimensions), see `Placing.place`.
        targets: shape (films, targets), learned from the interactions.
    """
    vocabulary = learn_vocabulary(films, least_films=LEAST_FILMS)
    embedded = embeddings[embeddings.any(axis=1)]
    mean = embedded.mean(axis=0) if len(embedded) else np.zeros(embeddings.shape[1])
    centre = mean.astype(np.float32)
    features = _features(vocabulary, centre, films, embeddings)
    return Placing(vocabulary, centre, _ridge(features, targets.astype(np.float32)))


def _features(vocabulary: Vocabulary, centre: Floats, films: Sequence[Film], embeddings: Floats) -> Features:
    facts = vocabulary.matrix(films)
    numbers = np.array([_numbers(film) for film in films], dtype=np.float32).reshape(len(films), len(_numbers({})))
    famed = [column for column, (kind, _) in enumerate(vocabulary.facts) if kind in KINDS_BY_FAME]
    by_fame = csr_array(facts[:, famed].multiply(numbers[:, [FAME]]))
    content = np.where(embeddings.any(axis=1, keepdims=True), embeddings - centre, 0.0)
    dense = np.hstack([NUMBER_SCALE * numbers, EMBEDDING_SCALE * content]).astype(np.float32)
    return Features(csr_array(hstack([facts, by_fame], format="csr")), dense)


def _numbers(film: Film) -> tuple[float, ...]:
    """Fame and quality with their curves, era, and era by fame: each about 0 ± 1 over films that people rated."""
    votes = film.get("vote_count") or 0
    fame = (math.log1p(votes) - 5.0) / 2.0 if votes else 0.0
    total = votes * (film.get("vote_average") or 0.0) + PRIOR_VOTES * PRIOR_AVERAGE
    quality = (total / (votes + PRIOR_VOTES) - PRIOR_AVERAGE) / 0.6
    year = film.get("release_year")
    era = (min(max(year, 1920), 2030) - 1993.0) / 20.0 if year else 0.0
    of_votes = (fame, fame**2, fame**3, quality, fame * quality, float(not votes))
    return (*of_votes, era, era**2, fame * era, fame * era**2, CONSTANT)


def _ridge(features: Features, targets: Floats) -> Floats:
    """argmin |features W - targets|² + λ |W|², by conjugate gradients for all targets at once.

    The normal equations are never written out: there may be tens of thousands of features. Preconditioned by their
    diagonal.
    """
    inverse_diagonal = (1.0 / (features.squares() + REGULARISATION))[:, None].astype(np.float32)
    residual = features.transposed_times(targets)
    weights = np.zeros_like(residual)
    goal = PRECISION**2 * np.square(residual).sum()
    scaled = inverse_diagonal * residual
    direction, energy = scaled, (residual * scaled).sum(axis=0)
    for _ in range(SWEEPS):
        if np.square(residual).sum() <= goal:
            break
        pulled = features.transposed_times(features.times(direction)) + REGULARISATION * direction
        step = _ratio(energy, (direction * pulled).sum(axis=0))
        weights += step * direction
        residual -= step * pulled
        scaled = inverse_diagonal * residual
        before, energy = energy, (residual * scaled).sum(axis=0)
        direction = scaled + _ratio(energy, before) * direction
    return weights


def _ratio(above: Floats, below: Floats) -> Floats:
    """0 where a target has nothing left to solve."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
