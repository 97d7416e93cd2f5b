"""The method that is served, judged by the code that serves: fold-in, exclusions, diversity, order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from backend.evaluation.data import Catalogue, Dataset
from backend.evaluation.methods import LIST
from backend.ml.answer import Request, Source
from backend.ml.array_recommender import ArrayRecommender, Space
from backend.ml.film_table import Bools, FilmTable, Indexes
from backend.ml.item_factors import ItemFactors
from backend.ml.people_store import Acts, PeopleFile

VERSION = "evaluation"


class Learner(Protocol):
    """What a training does, without the database around it."""

    def pack(self, crowd: Dataset) -> Any:
        """A taste pack: what is learned from people who never become users."""
        ...

    def factors(self, training: Dataset, *, pack: Any | None = None) -> ItemFactors:
        """The factors of the training's catalogue from its people, and from a pack where there is one."""
        ...


class PeopleAtHand(PeopleFile):
    """People by number, without a file that would wait for the disk."""

    def __init__(self, given: Sequence[Acts]) -> None:
        self._acts = {str(number): acts for number, acts in enumerate(given)}

    @property
    def names(self) -> list[str]:
        """Of everyone, in order."""
        return list(self._acts)

    def acts(self, user_id: str) -> Acts:
        """What a person did."""
        return self._acts[user_id]


class LabRecommender(ArrayRecommender):
    """The file layers' recommender on factors that were just learned."""

    source: ClassVar[Source] = "file_cache"


@dataclass(frozen=True, eq=False)
class ServedRanker:
    """Asks the recommender that the file layers are."""

    catalogue: Catalogue
    factors: ItemFactors
    diversity_boost: float = 0.0

    def diverse(self, boost: float) -> "ServedRanker":
        """The same with that much diversity."""
        return replace(self, diversity_boost=boost)

    def rank(self, given: Sequence[Acts], *, among: Bools | None = None) -> Indexes:
        """See Ranker."""
        films, units = film_table(self.catalogue, among=among), self.catalogue.embeddings
        space = Space(factors=self.factors, units=units, embedded=np.any(units, axis=1), made_by=VERSION)
        people = PeopleAtHand(given)
        recommender = LabRecommender(films, people, space, version=VERSION)
        lists = [self._list(recommender, name) for name in people.names]
        return np.array(lists, dtype=np.intp).reshape(len(given), LIST)

    def _list(self, recommender: LabRecommender, name: str) -> list[int]:
        answer = recommender.recommend(name, Request(n=LIST, diversity_boost=self.diversity_boost))
        places: list[int] = self.catalogue.places(np.array([row["id"] for row in answer.rows])).tolist()
        return places + [-1] * (LIST - len(places))


@dataclass(frozen=True, eq=False)
class Served:
    """The served method; a pack takes the place of a crowd."""

    learner: Learner
    pack: Any | None = None

    def fit(self, training: Dataset) -> ServedRanker:
        """Train."""
        return ServedRanker(training.catalogue, self.learner.factors(training, pack=self.pack))


def film_table(catalogue: Catalogue, *, among: Bools | None = None) -> FilmTable:
    """The films as layers hold them. Those left out are flagged as what no answer shows."""
    shown = np.ones(len(catalogue), dtype=bool) if among is None else among
    return FilmTable.of(
        film if is_shown else {**film, "adult": True}
        for film, is_shown in zip(catalogue.films, shown, strict=True)
    )
