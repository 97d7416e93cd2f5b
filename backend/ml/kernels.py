"""What makes films alike, each as vectors whose inner products say how much: facts, meaning, era, fame, taste."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.ml.facts import Vocabulary
from backend.ml.item_factors import genre_shares

Matrix = NDArray[np.float32]

FACT_KINDS = ("genre", "keyword", "director", "actor", "language")
"""The kinds of facts that have a kernel; era has its own, and a collection is looked up, not approximated."""
ERA_DIMENSIONS, TASTE_DIMENSIONS = 9, 48
"""What is kept of each."""
ERA_YEARS = 20.0
"""Films so many years apart are e times less alike in era."""
FIRST_YEAR, LAST_YEAR = 1890, 2040
USUAL_RATING, USUAL_VOTES = 6.5, 500
"""The prior of a film's rating, as in `movies.quality`."""
FAME_SCALE = 5.0
"""A difference of so much in the natural logarithm of the votes counts as 1."""
ENOUGH_PEOPLE = 5
"""So many people with an opinion make a film's place in taste half of what it could be."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known about films, a row each."""

    facts: csr_array
    """Columns as in the vocabulary."""
    embeddings: Matrix
    """Shape (films, embedding dimensions); zeros where there is none."""
    years: NDArray[np.int32]
    """0 where unknown."""
    vote_counts: NDArray[np.int32]
    vote_averages: NDArray[np.float32]
    genres: NDArray[np.float32]
    """As `item_factors.genre_shares`."""

    @classmethod
    def of(cls, films: Sequence[Mapping[str, Any]], vocabulary: Vocabulary, embeddings: Matrix) -> "Known":
        """From films whose keys are the columns of `movies`, in the order of the embeddings."""
        return cls(
            facts=vocabulary.matrix(films),
            embeddings=embeddings,
            years=np.array([film["release_year"] or 0 for film in films], dtype=np.int32),
            vote_counts=np.array([film["vote_count"] or 0 for film in films], dtype=np.int32),
            # Of a film whose votes someone wrote in as NaN, nothing is known.
            vote_averages=np.nan_to_num(
                np.array([film["vote_average"] or 0.0 for film in films], dtype=np.float32)
            ),
            genres=genre_shares(film["genres"] or () for film in films),
        )


@dataclass(frozen=True, kw_only=True)
class Taste:
    """Where interactions put films, a row each."""

    places: Matrix
    """Shape (films, any): films whose rows point the same way are liked by the same people.

    For factors `X B = U S V'` these are the rows of `V S`, not of `V` alone.
    """
    people: NDArray[np.int32]
    """How many have an opinion of the film; the place of a film without any does not count."""


def fact_kinds(vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """By fact: the place of its kind in FACT_KINDS, or len(FACT_KINDS) where the kind has no kernel."""
    places = {kind: place for place, kind in enumerate(FACT_KINDS)}
    return np.array([places.get(kind, len(FACT_KINDS)) for kind, _ in vocabulary.facts], dtype=np.uint8)


def balanced(facts: csr_array, kinds: NDArray[np.uint8], weights: Mapping[str, float]) -> csr_array:
    """The facts, those of each kind together having the length sqrt(weight) in every film that has any."""
    entries = facts.tocoo()
    loudness = np.sqrt([*(weights[kind] for kind in FACT_KINDS), 0.0])
    kind = kinds[entries.coords[1]]
    cell = entries.coords[0] * len(loudness) + kind
    length = np.sqrt(np.bincount(cell, weights=entries.data**2, minlength=facts.shape[0] * len(loudness)))
    data = (entries.data / length[cell] * loudness[kind]).astype(np.float32)
    return csr_array((data, entries.coords), shape=facts.shape)


def directions(embeddings: Matrix, centre: Matrix) -> Matrix:
    """Unit vectors from the centre to the embeddings; zeros where there is none."""
    away = np.where(embeddings.any(axis=1, keepdims=True), embeddings - centre, 0.0)
    return unit(away)


def eras(years: NDArray[np.int32]) -> Matrix:
    """Shape (films, ERA_DIMENSIONS): whose products are near exp(-years between / ERA_YEARS); or zeros."""
    rows = _era_table()[np.clip(years, FIRST_YEAR, LAST_YEAR) - FIRST_YEAR]
    return np.where(years[:, None] > 0, rows, 0.0).astype(np.float32)


def standings(known: Known) -> NDArray[np.float64]:
    """Shape (films, 2): fame, the logarithm of the votes, and quality, how far above the usual the rating is."""
    fame = np.log1p(known.vote_counts.astype(np.float64)) / FAME_SCALE
    return np.column_stack([fame, surplus(known.vote_counts, known.vote_averages)])


def surplus(votes: NDArray[np.int32], averages: Matrix) -> NDArray[np.float64]:
    """Shape (films,): how far the Bayesian mean rating is above the usual one."""
    return np.asarray(votes * (averages - USUAL_RATING) / (votes + USUAL_VOTES))


def own_places(taste: Taste) -> Matrix:
    """Shape (films, TASTE_DIMENSIONS): directions, the longer the more people have an opinion, at most 1."""
    kept = np.zeros((len(taste.people), TASTE_DIMENSIONS), dtype=np.float32)
    width = min(TASTE_DIMENSIONS, taste.places.shape[1])
    kept[:, :width] = unit(taste.places[:, :width])
    return (kept * sureness(taste)[:, None]).astype(np.float32)


def unit(rows: Matrix) -> Matrix:
    """The rows at length 1; those of zeros as they are."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1.0), dtype=np.float32)


def sureness(taste: Taste) -> NDArray[np.float64]:
    """From 0 to 1, shape (films,): how far a film's place in taste can be relied on."""
    return np.asarray(taste.people / (taste.people + ENOUGH_PEOPLE))


@cache
def _era_table() -> NDArray[np.float64]:
    years = np.arange(FIRST_YEAR, LAST_YEAR + 1)
    kernel = np.exp(-np.abs(years[:, None] - years) / ERA_YEARS)
    values, axes = np.linalg.eigh(kernel)
    top = slice(-1, -ERA_DIMENSIONS - 1, -1)
    return np.asarray(axes[:, top] * np.sqrt(values[top]))
