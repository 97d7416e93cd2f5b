"""What is asked of a layer, and what it answers: the same for all of them."""

from dataclasses import dataclass
from typing import Any, Literal

from backend.catalog.filters import NO_FILTERS, Filters

LIST_END = 500
"""No list goes further than this."""
MMR_BLOCK = 100
"""Candidates that maximal marginal relevance orders at a time: the list is diverse block by block,
so that every page is a slice of the same order."""

NOT_A_VERDICT = ("click",)
"""Kinds that do not keep a film out of a person's recommendations."""
NOT_SEEN = ("click", "watchlist")
"""Kinds that do not keep a film out of what is similar to another."""
BECAUSE = 3
"""Liked films named as the reason of one recommendation."""

QUALITY_SCALE = 100.0
"""Brings `quality` (0 to about 90) to the scale of the other scores."""

Rows = list[dict[str, Any]]
Source = Literal["pgvector", "file_cache", "svd", "popular"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which part of a list, how diverse, and limited to what."""

    n: int = 10
    page: int = 1
    diversity_boost: float = 0.0
    filters: Filters = NO_FILTERS
    explain: bool = False

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
