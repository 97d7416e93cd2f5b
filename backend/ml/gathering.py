"""What a training needs of the films and people of a database, as they stream by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.config import Settings
from backend.database import SessionLocal
from backend.ml.cache_store import stream_films
from backend.ml.people_store import Acts, Person
from backend.ml.pgvector_recommender import vector_of
from backend.models import EMBEDDING_DIMENSION

FEATURES = (
    *("id", "imdb_id", "genres", "keywords", "directors", "actors", "collection"),
    *("release_year", "original_language", "vote_count", "vote_average"),
)
"""What of a film a training goes by, beside its embedding."""


@dataclass
class Gathered:
    """Films in the order of ids, and people."""

    films: list[dict[str, Any]] = field(default_factory=list)
    people: list[Acts] = field(default_factory=list)
    _embeddings: list[NDArray[np.float32]] = field(default_factory=list)

    @property
    def ids(self) -> NDArray[np.int32]:
        """Of the films, ascending."""
        return np.array([film["id"] for film in self.films], dtype=np.int32)

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """Shape (films, 384); zeros where there is none."""
        return np.array(self._embeddings, dtype=np.float32).reshape(len(self.films), EMBEDDING_DIMENSION)

    def noting_films(self, films: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        """The same films, what is known of them noted."""
        for film in films:
            self.films.append({name: film[name] for name in FEATURES})
            self._embeddings.append(vector_of(film["vector"]))
            yield film

    def noting_people(self, people: Iterator[Person]) -> Iterator[Person]:
        """The same people, their acts noted."""
        for person in people:
            self.people.append(person.acts)
            yield person


def gather_films(settings: Settings, *, ids: list[int] | None = None) -> Gathered:
    """All films, or some by their ids."""
    gathered = Gathered()
    with SessionLocal() as session:
        for _ in gathered.noting_films(stream_films(session, model=settings.embedding_model, ids=ids)):
            pass
    return gathered
