"""Why a film stands in a list: what it shares with another, and what its score is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.ml.answer import BECAUSE, Answer, Request, Rows
from backend.ml.item_factors import BLOCKS, Floats

Facts = Callable[[int], Mapping[str, Any]]
"""What is known of a film, by its id."""

SHARED = {
    "collection": "collection",
    "director": "directors",
    "actor": "actors",
    "keyword": "keywords",
    "genre": "genres",
}
"""Kinds of reasons, the telling ones first, with the field that each compares."""


@dataclass(frozen=True, kw_only=True)
class Contributions:
    """What the score of one film for one person is made of."""

    score: float
    start: float
    """What everyone starts with: how popular and well rated the film is."""
    blocks: Mapping[str, float]
    """The score by what it was learned from: `BLOCKS` of `ml/item_factors.py`."""
    liked: Mapping[int, float]
    """The films of the person that bring most, by id, each with its share, the largest first."""

    def reasons(self, facts: Facts) -> Rows:
        """Their shares add up to the score; a film that is hidden is not named, but among the others."""
        named = {film: share for film, share in self.liked.items() if not facts(film)["hidden"]}
        rows: Rows = [
            {"kind": "liked", "id": film, "title": facts(film)["title"], "share": share}
            for film, share in named.items()
        ]
        rest = self.score - sum(named.values())
        if abs(rest - self.start) <= abs(self.score) * 1e-6:
            return [*rows, {"kind": "popular", "share": rest}]
        return [*rows, {"kind": "others", "share": rest - self.start}, {"kind": "popular", "share": self.start}]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a person is the sum of."""

    start: Floats
    """Shape (dimensions,)."""
    ids: NDArray[np.int32]
    """The films that they have an opinion of, ascending."""
    gains: NDArray[np.floating[Any]]
    """Shape (films, dimensions): loudness * weight * p of each."""

    def contributions(self, scores: Sequence[float], q: Floats) -> list[Contributions]:
        """What the scores of the films that are found at `q`, shape (films, dimensions), are made of.

        Film i's share of the score of film j is gains_i . q_j, so those of all films and of the start add up to
        the score.
        """
        person = self.start + self.gains.sum(axis=0)
        shares, starts = _product(q, self.gains), _product(q, self.start)
        blocks = {name: _product(q[:, slice(*block)], person[slice(*block)]) for name, block in BLOCKS.items()}
        most = np.argsort(-shares, axis=1, kind="stable")[:, :BECAUSE]
        return [
            Contributions(
                score=score,
                start=float(starts[j]),
                blocks={name: float(products[j]) for name, products in blocks.items()},
                liked={int(self.ids[i]): float(shares[j, i]) for i in most[j] if shares[j, i] > 0},
            )
            for j, score in enumerate(scores)
        ]


def explain_by_taste(rows: Rows, made_of: Mapping[int, Contributions], facts: Facts) -> None:
    """Put into each row what its score is made of, where that is known, and else that the film is popular."""
    for row in rows:
        row["why"] = [{"kind": "popular"}]
        if found := made_of.get(row["id"]):
            row["score_parts"] = found.blocks
            row["why"] = found.reasons(facts)
            first = row["why"][0]
            if first["kind"] == "liked":
                row["why"] += shared_with(facts(first["id"]), facts(row["id"]))


def shared_facts(seed: Mapping[str, Any], film: Mapping[str, Any]) -> Rows:
    """The facts that two films have in common, as reasons with the names that are shared."""
    reasons = []
    for kind, field in SHARED.items():
        names = [name for name in _as_list(film[field]) if name in _as_list(seed[field])]
        if names:
            reasons.append({"kind": kind, "names": names})
    return reasons


def shared_with(liked: Mapping[str, Any], film: Mapping[str, Any]) -> Rows:
    """The same, each reason naming the liked film."""
    return [reason | {"id": liked["id"], "title": liked["title"]} for reason in shared_facts(liked, film)]


def with_words_as_reason(answer: Answer, request: Request) -> Answer:
    """A list that was asked for with words: a place in two orders has no shares."""
    if request.explain:
        for row in answer.rows:
            row["why"] = [{"kind": "words"}]
    return answer


def _product(q: Floats, terms: NDArray[np.floating[Any]]) -> Floats:
    """Rounded, so that what differs by the order of summing alone is equal: shares of one size go by id."""
    product: Floats = (q.astype(np.float64) @ terms.T).astype(np.float32)
    return product


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
