"""Which index over the embeddings a catalogue should have, and how hard a search should look."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from backend.ml.embedding_statements import INDEXED

Kind = Literal["exact", "ivfflat", "hnsw"]

EXACT_LIMIT = 10_000
"""Up to this many films comparing with all of them takes a few milliseconds, and misses nothing."""
OPERATORS = "halfvec_cosine_ops"
HNSW_M, HNSW_EF_CONSTRUCTION = 16, 128
LISTS_A_ROOT = 2.0
"""Lists of an IVFFlat index for each square root of a film: at recall 0.98 a search through twice as many, smaller
lists takes two thirds of the time, and more than that gains little and takes long to build."""
GROWN, SHRUNK = 1.5, 0.5
"""Lists are made anew when a catalogue has so many times the films that they were made for."""
FINE = 1.1
"""Efforts closer than this are not told apart."""


@dataclass(frozen=True)
class IndexPlan:
    """The index that a catalogue of some size should have."""

    kind: Kind
    lists: int | None = None

    @classmethod
    def for_catalogue(cls, films: int, *, wanted: str) -> "IndexPlan":
        """What VECTOR_INDEX and the number of embedded films come to."""
        if wanted == "exact" or (wanted == "auto" and films <= EXACT_LIMIT) or films == 0:
            return cls("exact")
        return cls("ivfflat", lists=lists_for(films)) if wanted == "ivfflat" else cls("hnsw")

    @property
    def definition(self) -> str:
        """What follows `ON movies` in CREATE INDEX."""
        if self.kind == "ivfflat":
            return f"USING ivfflat ({INDEXED} {OPERATORS}) WITH (lists = {self.lists})"
        return f"USING hnsw ({INDEXED} {OPERATORS}) WITH (m = {HNSW_M}, ef_construction = {HNSW_EF_CONSTRUCTION})"

    def memory(self, films: int) -> int:
        """Megabytes that building it takes: a graph of all films, or k-means over fifty films a list."""
        lists = self.lists or 0
        taken = 50 * lists * (4 * lists + 1_000) if self.kind == "ivfflat" else films * 1_700
        return 64 + taken * 5 // 4 // 2**20

    @property
    def effort(self) -> str:
        """The setting that trades time for recall."""
        return "ivfflat.probes" if self.kind == "ivfflat" else "hnsw.ef_search"

    @property
    def least(self) -> int:
        """Where looking for the right effort begins."""
        return math.isqrt(self.lists or 1) if self.kind == "ivfflat" else 40

    @property
    def most(self) -> int:
        """The greatest effort there is."""
        return self.lists or 1 if self.kind == "ivfflat" else 1_000

    def least_effort(self, is_enough: Callable[[int], bool]) -> int:
        """The least effort that is enough, or the most there is: up by halves, then between the last two."""
        less = 0
        for enough in self._upwards():
            if is_enough(enough):
                break
            less = enough
        while less and enough > less * FINE and enough - less > 1:
            middle = (less + enough) // 2
            if is_enough(middle):
                enough = middle
            else:
                less = middle
        return enough

    def _upwards(self) -> Iterator[int]:
        value = self.least
        while value < self.most:
            yield value
            value += max(1, value // 2)
        yield self.most


def lists_for(films: int) -> int:
    """How many lists an IVFFlat index over so many films gets."""
    return max(1, round(LISTS_A_ROOT * math.sqrt(films)))


def have_outgrown(lists: int, films: int) -> bool:
    """Whether so many lists were made for a catalogue of quite another size."""
    made_for = (lists / LISTS_A_ROOT) ** 2
    return lists != lists_for(films) and not SHRUNK < films / made_for < GROWN
