"""The taste space: where films are found, what those who like one gain, and where everyone starts.

Every answer is one linear form. A person is `start + loudness * sum(w_i * p_i)` over the films they have an
opinion of, and film j scores `person . q_j`: so the terms of the sum are the exact shares of the score. The
loudness, one number a dimension, goes by how much is known of the person: a longer history outweighs the start.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backend.catalog.records import GENRE_IDS
from backend.feedback.weights import company_scale, history_scale
from backend.ml.artefact import Artefact, Draft
from backend.ml.index_plan import EXACT_LIMIT

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class Block(NamedTuple):
    """A run of dimensions with one meaning."""

    begin: int
    end: int


BLOCKS = {
    "taste": Block(0, 256),
    "company": Block(256, 288),
    "content": Block(288, 320),
    "prior": Block(320, 322),
}
"""What a score is made of: learned from people, what is liked along with what, what films are like, and how well
they are known and rated."""
DIMENSIONS = 322
AT_ONCE = 64
"""People whose scores of all films are in memory at a time."""
GENRES = tuple(GENRE_IDS)
FILES = {part: f"{part}.npy" for part in ("p", "q", "s", "genres", "start", "known")}
"""By part, the file that its array is in."""


@dataclass(frozen=True, kw_only=True)
class ItemFactors:
    """The factors of a catalogue, a row a film."""

    p: Floats
    """Shape (films, DIMENSIONS): what a person who likes the film gains."""
    q: Floats
    """Shape (films, DIMENSIONS): where the film is found."""
    s: Floats
    """Shape (films, any): films are alike by the dot product of these: see `ml/similarity.py`."""
    genres: Floats
    """Shape (films, len(GENRES)): what a person who likes the film gains of each genre: see `genre_shares`."""
    start: Floats
    """Shape (DIMENSIONS,): a person of whom nothing is known."""
    known: Bools
    """Which films have a place; the rows of others are zero."""

    def by_reach(self, people: Floats) -> NDArray[np.intp]:
        """The indexes of the films that have a place, first those that come nearest to the top of anyone's list.

        Args:
            people: shape (people, DIMENSIONS), some that stand for all. How near a film comes is the smallest rank
                that any of them gives it; films that none has among the first EXACT_LIMIT come last.
        """
        here = np.flatnonzero(self.known)
        first = min(len(here), EXACT_LIMIT)
        nearest = np.full(len(here), first, dtype=np.intp)
        for begin in range(0, len(people), AT_ONCE):
            for scores in (self.q[here] @ people[begin : begin + AT_ONCE].T).T:
                top = np.argpartition(-scores, first - 1)[:first]
                top = top[np.lexsort((top, -scores[top]))]
                nearest[top] = np.minimum(nearest[top], np.arange(first))
        ordered: NDArray[np.intp] = here[np.lexsort((here, nearest))]
        return ordered

    def write(self, draft: Draft) -> None:
        """Put them into a draft."""
        for part, file in FILES.items():
            np.save(draft.folder / file, getattr(self, part))

    @classmethod
    def open(cls, artefact: Artefact) -> "ItemFactors":
        """What `write` put there: small parts in memory, the rows of films mapped."""
        arrays = {part: artefact.array(file) for part, file in FILES.items()}
        return cls(**arrays | {name: np.array(arrays[name]) for name in ("start", "known")})


def loudness(totals: float | NDArray[np.floating[Any]]) -> Floats:
    """What the sum of a person's terms is multiplied by, shape (*shape of totals, DIMENSIONS).

    Args:
        totals: the sum of the sizes of their weights, of a person or of many.
    """
    known = np.asarray(totals, dtype=np.float64)[..., None]
    loud = np.repeat(history_scale(known), DIMENSIONS, axis=-1)
    loud[..., slice(*BLOCKS["company"])] = company_scale(known)
    return loud.astype(np.float32)


def genre_shares(genres: Iterable[Sequence[str]]) -> Floats:
    """Shape (films, len(GENRES)): each film's genres by name, sharing 1 equally, but for those that TMDB lacks."""
    rows = [[1 / len(film) if name in film else 0.0 for name in GENRES] for film in genres]
    return np.array(rows, dtype=np.float32).reshape(len(rows), len(GENRES))


def nowhere_to_be_found(films: int) -> ItemFactors:
    """The factors of so many films of which nothing has been learned."""
    nothing, nobody = np.zeros((films, 1), dtype=np.float32), np.zeros(films, dtype=bool)
    genres, start = np.zeros((films, len(GENRES)), dtype=np.float32), np.zeros(1, dtype=np.float32)
    return ItemFactors(p=nothing, q=nothing, s=nothing, genres=genres, start=start, known=nobody)
