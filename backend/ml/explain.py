"""Why a film stands in a list: what it shares with another, and what its score is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.ml.answer import Answer, Request, Rows

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
    liked: Rows
    """The films of the person that bring most, each with id, title and share, the largest first."""

    def reasons(self) -> Rows:
        """Their shares add up to the score."""
        others = self.score - self.start - sum(film["share"] for film in self.liked)
        rows: Rows = [{"kind": "liked", **film} for film in self.liked]
        if abs(others) > abs(self.score) * 1e-6:
            rows.append({"kind": "others", "share": others})
        return [*rows, {"kind": "popular", "share": self.start}]


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


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
