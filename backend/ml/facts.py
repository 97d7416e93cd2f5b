"""What is known about films, as a sparse matrix: genres, keywords, people, collection, era, language."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Fact = tuple[str, str]
"""A kind, such as `director`, and a name."""
KIND_WEIGHTS = {
    "genre": 1.0,
    "keyword": 1.0,
    "director": 1.0,
    "actor": 1.0,
    "collection": 1.0,
    "decade": 1.0,
    "language": 1.0,
}
"""How loud a fact of each kind is, beside the loudness of its rarity."""
LEAST_FILMS = 2
"""A fact of fewer films connects nothing."""
MOST_ACTORS = 5
"""Billed first; those further down hardly matter for taste, and some sources know only so many."""
_LISTS = {"genre": "genres", "keyword": "keywords", "director": "directors", "actor": "actors"}


@dataclass(frozen=True)
class Vocabulary:
    """The facts that count, and how loud each is."""

    facts: tuple[Fact, ...]
    loudness: NDArray[np.float32]
    """By fact: the weight of its kind × its inverse document frequency."""

    @cached_property
    def columns(self) -> dict[Fact, int]:
        """The column of each fact."""
        return {fact: column for column, fact in enumerate(self.facts)}

    def matrix(self, films: Iterable[Mapping[str, Any]]) -> csr_array:
        """Shape (films, facts), float32; unknown facts are left out, and a film without any has an empty row."""
        pointers, indices = [0], list[int]()
        for film in films:
            known = {self.columns[fact] for fact in facts_of(film) if fact in self.columns}
            indices.extend(sorted(known))
            pointers.append(len(indices))
        columns = np.array(indices, dtype=np.int32)
        shape = (len(pointers) - 1, len(self.facts))
        return csr_array((self.loudness[columns], columns, np.array(pointers, dtype=np.int32)), shape=shape)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, which `np.savez` writes without pickle."""
        kinds = tuple(KIND_WEIGHTS)
        text = "\n".join(name for _, name in self.facts).encode()
        return {
            "fact_kinds": np.array([kinds.index(kind) for kind, _ in self.facts], dtype=np.uint8),
            "fact_names": np.frombuffer(text, dtype=np.uint8),
            "fact_loudness": self.loudness,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Vocabulary":
        """What `to_arrays` gave."""
        kinds = tuple(KIND_WEIGHTS)
        # By "\n" alone: `splitlines` would also break at characters that names may hold.
        names = arrays["fact_names"].tobytes().decode().split("\n") if len(arrays["fact_kinds"]) else []
        facts = tuple((kinds[kind], name) for kind, name in zip(arrays["fact_kinds"], names, strict=True))
        return cls(facts, arrays["fact_loudness"])


def learn_vocabulary(films: Iterable[Mapping[str, Any]], *, least_films: int = LEAST_FILMS) -> Vocabulary:
    """The facts of at least so many films, in a fixed order, each the louder the rarer it is."""
    number, seen = 0, Counter[Fact]()
    for film in films:
        number += 1
        seen.update(set(facts_of(film)))
    facts = tuple(sorted(fact for fact, films_with in seen.items() if films_with >= least_films))
    loudness = [KIND_WEIGHTS[kind] * math.log(1 + number / seen[kind, name]) for kind, name in facts]
    return Vocabulary(facts, np.array(loudness, dtype=np.float32))


def facts_of(film: Mapping[str, Any]) -> Iterator[Fact]:
    """The facts of a film whose keys are the columns of `movies`; any may be missing, None or empty."""
    for kind, column in _LISTS.items():
        names = film.get(column) or ()
        for name in names[:MOST_ACTORS] if kind == "actor" else names:
            if name:
                yield kind, _tidy(name)
    if film.get("collection"):
        yield "collection", _tidy(film["collection"])
    if film.get("release_year"):
        yield "decade", str(film["release_year"] // 10 * 10)
    if film.get("original_language"):
        yield "language", film["original_language"]


def _tidy(name: str) -> str:
    return " ".join(name.split()).casefold()
