"""What is asked of a layer, and what it answers: the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backend.catalog.filters import NO_FILTERS, Filters

LIST_END = 500
"""No list goes further than this."""
MMR_BLOCK = 50
"""Candidates that maximal marginal relevance orders at a time: the list is diverse block by block,
so that every page is a slice of the same order."""

NOT_A_VERDICT = ("click",)
"""Kinds that do not keep a film out of a person's recommendations."""
NOT_SEEN = ("click", "watchlist")
"""Kinds that do not keep a film out of what is similar to another."""
LONG_HISTORY = 20
"""From so many films with a positive weight on, a person's lists keep to the genres of their taste."""
MOST_LIKED = 200
"""Films that are looked at to tell what a person likes most."""
BECAUSE = 3
"""Liked films named as the reason of one recommendation."""

QUALITY_SCALE = 100.0
"""Brings `quality` (0 to about 90) to the scale of the other scores."""

Rows = list[dict[str, Any]]
Source = Literal["pgvector", "file_cache", "svd", "popular"]
By = Literal["best", "embedding"]
"""What makes films alike: all that is known, or the cosine of their embeddings alone."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which part of a list, how diverse, and limited to what."""

    n: int = 10
    page: int = 1
    diversity_boost: float = 0.0
    filters: Filters = NO_FILTERS
    explain: bool = False
    by: By = "best"
    """What makes films alike; of no matter to recommendations."""

    @property
    def start(self) -> int:
        """Index of the first row asked for."""
        return min((self.page - 1) * self.n, LIST_END)

    @property
    def stop(self) -> int:
        """Index after the last row asked for."""
        return min(self.start + self.n, LIST_END)

    @property
    def window(self) -> "Window":
        """The candidates that decide these rows: with diversity, whole blocks."""
        if not self.diversity_boost:
            return Window(offset=self.start, limit=self.stop - self.start)
        first = self.start // MMR_BLOCK * MMR_BLOCK
        last = -(-self.stop // MMR_BLOCK) * MMR_BLOCK
        return Window(offset=first, limit=last - first, vectors=True)


@dataclass(frozen=True, kw_only=True)
class Window:
    """A run of candidates, with their vectors where the order is yet to be made."""

    offset: int
    limit: int
    vectors: bool = False
    exact: bool = False
    """Compare with every film instead of using the index."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Rows in order, and how they came about."""

    rows: Rows
    source: Source
    """The layer that really answered."""
    model_version: str
    """What the order was made by: the embedding model, or the version of the factors."""
    cold_start: bool = False
    degraded: bool = False
    """Whether the layer that should have answered could not."""
    total_results: int | None = None
    """How long the list is; None where filters limit it."""


Status = Literal["recommended", "outranked", "seen", "filtered", "no_embedding"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Why one film is, or is not, among a person's recommendations."""

    id: int
    title: str
    status: Status
    source: Source
    model_version: str
    acts: list[str] = field(default_factory=list)
    """What the person did with it that keeps it out."""
    filters: list[str] = field(default_factory=list)
    """The filters that keep it out."""
    rank: int | None = None
    """Its place among the films that may be recommended, by score, before diversity; None without a score."""
    score: float | None = None
    needed: float | None = None
    """The score of the last film of the list."""
    score_parts: Mapping[str, float] | None = None
    """The score by what it was learned from."""
    why: Rows = field(default_factory=list)

    @property
    def behind(self) -> float | None:
        """By how much it is outranked."""
        if self.status != "outranked" or self.score is None or self.needed is None:
            return None
        return self.needed - self.score

    @classmethod
    def of(
        cls, *, acts: list[str], filters: list[str], score: float | None, rank: int | None, n: int, **told: Any
    ) -> "Verdict":
        """What the findings come to, the first thing that keeps a film out named first."""
        status: Status = "recommended" if rank is not None and rank <= n else "outranked"
        if acts:
            status = "seen"
        elif filters:
            status = "filtered"
        elif score is None:
            status = "no_embedding"
        return cls(
            status=status,
            acts=acts,
            filters=filters,
            score=score,
            rank=rank if score is not None else None,
            **told,
        )
