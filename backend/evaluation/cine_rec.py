"""A rival at finding similar films: the scorer of cine-rec-engine, without its database around it.

Its own code and its learned weights judge every pair. It is given what its channels would bring along: the cosine
of our embeddings for its semantic similarity, and its director channel for films that share a director. Its lists
also leave out all but one film of a collection, which would only cost it here.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.data import Catalogue, Film
from backend.ml.film_table import Indexes

PACKAGE = "cine_rec_engine"
NAME = "cine-rec-engine"


def installed() -> bool:
    """Whether the rival is here: it is a requirement of development only."""
    return find_spec(PACKAGE) is not None


class CineRec:
    """Its scores of films."""

    def __init__(self, catalogue: Catalogue) -> None:
        # It logs and reads the environment when imported, so whoever does without it never imports it.
        from cine_rec_engine import service

        self._service = service
        self._catalogue = catalogue
        self._entities = [_entity(film) for film in catalogue.films]

    def __call__(self, seeds: Indexes, candidates: Indexes) -> NDArray[np.float32]:
        """Shape (seeds, candidates)."""
        units = self._catalogue.embeddings
        cosines = np.maximum(units[seeds] @ units[candidates].T, 0.0)
        rows = [
            [self._score(seed, film, float(cosine)) for film, cosine in zip(candidates, row, strict=True)]
            for seed, row in zip(seeds, cosines, strict=True)
        ]
        return np.array(rows, dtype=np.float32).reshape(cosines.shape)

    def _score(self, seed: int, film: int, cosine: float) -> float:
        from_seed, profile = self._profiles[seed], self._profiles[film]
        entity = self._entities[film]
        if from_seed["dir_ids"] & profile["dir_ids"]:
            profile = profile | {"via": "director"}
        score: float = self._service._score_pair_fast(
            from_seed, profile, {"via": profile["via"]}, entity, set(entity["genres"]), cosine, self._weights
        )
        return score

    @cached_property
    def _profiles(self) -> list[dict[str, Any]]:
        return [self._service._entity_profile(entity, None) for entity in self._entities]

    @cached_property
    def _weights(self) -> list[float]:
        """As CINE_REC_SCORER=learned makes them: the learned ones, and its own guesses for the rest."""
        learned: Mapping[str, float] = json.loads((files(PACKAGE) / "weights.json").read_text())["weights"]
        return [float(learned.get(name, guess)) for name, guess in self._service.HEURISTIC_WEIGHTS.items()]


def _entity(film: Film) -> dict[str, Any]:
    """A film as its queries would give it; names stand for ids of people and collections."""
    return {
        "id": film["id"],
        "genres": list(film["genres"]),
        "overview": film["overview"],
        "release_year": film["release_year"],
        "vote_count": film["vote_count"],
        "vote_average": film["vote_average"],
        "original_language": film["original_language"],
        "keywords": list(film["keywords"]),
        "director_ids": list(film["directors"]),
        "director": next(iter(film["directors"]), None),
        "cast_ids": list(film["actors"]),
        "collection_id": film["collection"],
        "media_type": "movie",
        "via": None,
    }
