"""What is similar to what: one vector per film, made of facts, meaning, era, fame, quality and taste.

How similar film j is to film i is a weighted sum of kernels, one for each thing that is known about films:
the cosine of their genres, keywords, people and languages (each rare one counting more), the cosine of their
embeddings, `exp(-years between / 20)`, how near they are in fame and in quality, how good j is, and where there
are interactions whether the same people like both. Every kernel is an inner product, so the sum is one too:

    similarity(i, j) = query(s_i) . s_j

where `query` only replaces the coordinate that holds what speaks for a film whatever it is compared with. What so
few dimensions blur is then added, for every film: the `closeness` of the embeddings, and SAME_COLLECTION where it
applies. The nearest by the first and the nearest by the second are found by an index each, for the first over
`places`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds

from backend.ml.facts import Vocabulary
from backend.ml.kernels import (
    ERA_DIMENSIONS,
    TASTE_DIMENSIONS,
    Known,
    Matrix,
    Taste,
    balanced,
    directions,
    eras,
    fact_kinds,
    own_places,
    standings,
    sureness,
)

WEIGHTS: Mapping[str, float] = {
    "genre": 1.0,
    "keyword": 0.7,
    "director": 0.4,
    "actor": 0.3,
    "language": 0.9,
    "meaning": 1.4,
    "era": 3.0,
    "fame": 2.4,
    "quality": 0.5,
    "better": 0.6,
    "taste": 8.0,
}
"""How much each kernel counts: as `evaluation.similar_weights` fits them to co-liked films of ml-latest-small, on
half of the seeds and half of the people, averaged over six splits and rounded. Lower than fitted are fame (2.8),
better (1.1) and taste (12): 0.01 to 0.02 of precision@10 is given for half as many answers from the hundred most
popular films, and for more sequels among the first ten."""

FACT_DIMENSIONS, MEANING_DIMENSIONS = 48, 20
"""What is kept of each: it costs 0.005 of precision@10 against the exact kernels."""
FAME_DIMENSIONS = 2
"""Fame and quality."""
CONTENT_DIMENSIONS = FACT_DIMENSIONS + MEANING_DIMENSIONS + ERA_DIMENSIONS + FAME_DIMENSIONS
PRIOR = CONTENT_DIMENSIONS
"""The place, from 0, of what speaks for a film whatever it is compared with."""
DIMENSIONS = CONTENT_DIMENSIONS + 1 + TASTE_DIMENSIONS

CLOSE, CLOSE_FROM = 12.0, 0.45
"""What a cosine of two embeddings adds to the inner product, for each unit above CLOSE_FROM: sequels whose
collection nobody noted, the same story told again. Most films lie below it, where a cosine says little."""
SAME_COLLECTION = 6.0
"""What a shared collection adds to the inner product: sequels come first, distant ones of a long series later."""

MAP_RIDGE = 10.0
"""Ridge of the map from content to taste, for films that nobody has an opinion of."""


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """How films become vectors; the arrays go with a model, so that films that arrive later are placed alike."""

    kinds: NDArray[np.uint8]
    """Of the vocabulary's facts: see `fact_kinds`."""
    fact_axes: Matrix
    """Shape (facts, FACT_DIMENSIONS)."""
    meaning_centre: Matrix
    meaning_axes: Matrix
    """Shape (embedding dimensions, MEANING_DIMENSIONS)."""
    taste_map: Matrix
    """Shape (CONTENT_DIMENSIONS + 2, TASTE_DIMENSIONS), from content, prior and 1; zeros if none was learned."""
    weights: Mapping[str, float]

    def vectors(self, known: Known, *, taste: Taste | None = None) -> Matrix:
        """Shape (films, DIMENSIONS), float32: where each film is found."""
        content = self._content(known)
        mapped = content_features(content) @ self.taste_map
        if taste is not None:
            mapped = np.where(taste.people[:, None] > 0, own_places(taste), mapped)
        return np.hstack([content, mapped * np.sqrt(self.weights["taste"])]).astype(np.float32)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, which `np.savez` writes without pickle."""
        return {
            "similarity_kinds": self.kinds,
            "similarity_fact_axes": self.fact_axes,
            "similarity_meaning_centre": self.meaning_centre,
            "similarity_meaning_axes": self.meaning_axes,
            "similarity_taste_map": self.taste_map,
            "similarity_weights": np.array([self.weights[name] for name in WEIGHTS]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Similarity":
        """What `to_arrays` gave."""
        return cls(
            kinds=arrays["similarity_kinds"],
            fact_axes=arrays["similarity_fact_axes"],
            meaning_centre=arrays["similarity_meaning_centre"],
            meaning_axes=arrays["similarity_meaning_axes"],
            taste_map=arrays["similarity_taste_map"],
            weights=dict(zip(WEIGHTS, arrays["similarity_weights"].tolist(), strict=True)),
        )

    def _content(self, known: Known) -> Matrix:
        """Shape (films, CONTENT_DIMENSIONS + 1): all but taste."""
        weights = self.weights
        standing = standings(known)
        prior = weights["better"] * standing[:, 1] - standing**2 @ _standing_weights(weights)
        parts = [
            balanced(known.facts, self.kinds, weights) @ self.fact_axes,
            directions(known.embeddings, self.meaning_centre) @ self.meaning_axes * np.sqrt(weights["meaning"]),
            eras(known.years) * np.sqrt(weights["era"]),
            standing * np.sqrt(2 * _standing_weights(weights)),
            prior[:, None],
        ]
        return np.hstack(parts).astype(np.float32)


def learn_similarity(
    vocabulary: Vocabulary, known: Known, *, taste: Taste | None = None, weights: Mapping[str, float] = WEIGHTS
) -> Similarity:
    """The axes along which these films differ most, and how their taste follows from their content."""
    kinds = fact_kinds(vocabulary)
    has_embedding = known.embeddings.any(axis=1)
    centre = known.embeddings[has_embedding].mean(axis=0) if has_embedding.any() else known.embeddings.sum(axis=0)
    towards = directions(known.embeddings, centre)
    unmapped = Similarity(
        kinds=kinds,
        fact_axes=_axes(balanced(known.facts, kinds, weights), FACT_DIMENSIONS),
        meaning_centre=centre.astype(np.float32),
        meaning_axes=_top_axes(towards.T @ towards, MEANING_DIMENSIONS),
        taste_map=np.zeros((CONTENT_DIMENSIONS + 2, TASTE_DIMENSIONS), dtype=np.float32),
        weights=dict(weights),
    )
    if taste is None or not taste.people.any():
        return unmapped
    content = unmapped.vectors(known)[:, : PRIOR + 1]
    return Similarity(**{**vars(unmapped), "taste_map": _learn_map(content_features(content), taste)})


def query(vector: Matrix) -> Matrix:
    """What to multiply films' vectors by, to find those similar to the film of this vector."""
    asking = vector.copy()
    asking[..., PRIOR] = 1.0
    return asking


def furthest(vectors: Matrix) -> float:
    """The least that `places` of these vectors need."""
    return float(_reaches(vectors).max(initial=0.0))


def places(vectors: Matrix, *, limit: float) -> Matrix:
    """Shape (films, DIMENSIONS): what is near by distance where vectors have a great product.

    An index for the greatest product finds less than half of them. With a for a vector without its prior, the
    product is a_i . a_j + prior_j, and its place (a_j, e_j) where e_j^2 = limit - 2 prior_j - |a_j|^2: so the
    squared distance to (a_i, 0) is |a_i|^2 + limit - 2 (a_i . a_j + prior_j) (Bachrach et al. 2014). A film for
    which the limit does not suffice is taken to be somewhat less like others than it is.
    """
    placed = vectors.copy()
    placed[:, PRIOR] = np.sqrt(np.maximum(limit - _reaches(vectors), 0.0))
    return placed


def _reaches(vectors: Matrix) -> NDArray[np.float64]:
    prior = vectors[:, PRIOR].astype(np.float64)
    reaches: NDArray[np.float64] = 2 * prior + np.square(vectors, dtype=np.float64).sum(axis=1) - prior**2
    return reaches


def closeness(cosines: Matrix) -> Matrix:
    """What the cosines of films' embeddings to the seed's add to the inner products."""
    return np.asarray(CLOSE * np.maximum(cosines - CLOSE_FROM, 0.0), dtype=np.float32)


def content_features(content: Matrix) -> Matrix:
    """What the map to taste starts from: content, prior and 1."""
    return np.hstack([content, np.ones((len(content), 1), dtype=np.float32)])


def _standing_weights(weights: Mapping[str, float]) -> NDArray[np.float64]:
    return np.array([weights["fame"], weights["quality"]])


def _learn_map(features: Matrix, taste: Taste) -> Matrix:
    """Ridge regression of the places of films, each counting by how sure its place is."""
    weighted = (features * sureness(taste)[:, None]).astype(np.float64)
    gram = weighted.T @ features + MAP_RIDGE * np.eye(features.shape[1])
    return np.linalg.solve(gram, weighted.T @ own_places(taste)).astype(np.float32)


def _axes(rows: csr_array, dimensions: int) -> Matrix:
    """The right singular vectors of the largest singular values: shape (columns, dimensions)."""
    if min(rows.shape) <= dimensions:
        return _top_axes((rows.T @ rows).toarray(), dimensions)
    start = np.ones(min(rows.shape))
    _, _, axes = svds(rows.astype(np.float64), k=dimensions, v0=start)
    return np.ascontiguousarray(axes[::-1].T, dtype=np.float32)


def _top_axes(gram: NDArray[Any], dimensions: int) -> Matrix:
    """The eigenvectors of the largest eigenvalues, padded with zeros: shape (columns, dimensions)."""
    _, axes = np.linalg.eigh(gram.astype(np.float64))
    kept = axes[:, ::-1][:, :dimensions]
    return np.pad(kept, ((0, 0), (0, dimensions - kept.shape[1]))).astype(np.float32)
