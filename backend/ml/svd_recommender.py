"""Layer 3: a matrix factorisation on disk, which needs neither the database nor the cache."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backend.config import Settings
from backend.ml.answer import Source
from backend.ml.array_recommender import ArrayRecommender, Space
from backend.ml.artefact import Artefact
from backend.ml.film_table import FilmTable
from backend.ml.people_store import PEOPLE, PeopleFile

FACTORS = "factors.npy"


def models_folder(settings: Settings) -> Path:
    """Where trained models are, a folder a version."""
    return settings.data_dir / "models"


@dataclass(frozen=True)
class SVDModel:
    """What a training left behind, as a reader has it open."""

    films: FilmTable
    factors: NDArray[np.float32]
    """Shape (films, rank): item factors; zero where nobody did anything with a film."""
    people: PeopleFile
    tags: dict[str, Any]
    """What it was made from."""
    version: str

    @classmethod
    def open(cls, artefact: Artefact) -> "SVDModel":
        """Raises LayerUnavailableError where a file can't be used."""
        people = PeopleFile(artefact.folder / PEOPLE)
        factors = np.array(artefact.array(FACTORS))
        return cls(FilmTable.open(artefact), factors, people, artefact.tags, artefact.version)


class SVDRecommender(ArrayRecommender):
    """Films by item factors: a person is the sum of the factors of what they liked (Cremonesi et al. 2010)."""

    source: ClassVar[Source] = "svd"
    lists_unknown = True

    def __init__(self, model: SVDModel, *, include_adult: bool = False) -> None:
        lengths = np.linalg.norm(model.factors, axis=1, keepdims=True)
        units = np.divide(model.factors, lengths, out=np.zeros_like(model.factors), where=lengths > 0)
        space = Space(items=model.factors, units=units, known=lengths[:, 0] > 0)
        super().__init__(model.films, model.people, space, version=model.version, include_adult=include_adult)
