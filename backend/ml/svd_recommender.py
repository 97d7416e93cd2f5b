"""Layer 3: what the last training left on disk, which needs neither the database nor the cache."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from backend.config import Settings
from backend.ml.answer import Source
from backend.ml.array_recommender import ArrayRecommender, Space
from backend.ml.artefact import Artefact
from backend.ml.film_table import FilmTable
from backend.ml.item_factors import ItemFactors
from backend.ml.kernels import unit
from backend.ml.people_store import PEOPLE, PeopleFile


def models_folder(settings: Settings) -> Path:
    """Where trained models are, a folder a version."""
    return settings.data_dir / "models"


@dataclass(frozen=True)
class SVDModel:
    """What a training left behind, as a reader has it open."""

    films: FilmTable
    factors: ItemFactors
    people: PeopleFile
    tags: dict[str, Any]
    """What it was made from."""
    version: str

    @classmethod
    def open(cls, artefact: Artefact) -> "SVDModel":
        """Raises LayerUnavailableError where a file can't be used."""
        films = FilmTable.open(artefact)
        people = PeopleFile(artefact.folder / PEOPLE)
        return cls(films, ItemFactors.open(artefact), people, artefact.tags, artefact.version)


class SVDRecommender(ArrayRecommender):
    """Films by item factors, as of the training."""

    source: ClassVar[Source] = "svd"

    def __init__(self, model: SVDModel, *, include_adult: bool = False) -> None:
        factors = model.factors
        space = Space(factors=factors, units=unit(factors.s), embedded=factors.known, made_by=model.version)
        super().__init__(model.films, model.people, space, version=model.version, include_adult=include_adult)
