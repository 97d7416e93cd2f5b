"""A MovieLens folder and TMDB-shaped films, read by the code that imports them, as arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.catalog.records import MovieRecord, UnusableRecordError, parse_record
from backend.catalog.sources import read_json_lines
from backend.errors import UsageError
from backend.evaluation.vectors import embeddings_of
from backend.feedback.imports import read_movielens
from backend.feedback.reading import ImportSummary
from backend.feedback.records import NewInteraction
from backend.ml.film_table import Indexes, quality
from backend.ml.people_store import ACT, KIND_NUMBER, Acts

Film = Mapping[str, Any]
"""A film with the columns of a detail, adult, hidden and quality."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """Films in the order of their ids; a *place* is a film's index among them."""

    films: tuple[Film, ...]
    embeddings: NDArray[np.float32]
    """Shape (films, 384), unit length."""

    def __len__(self) -> int:
        return len(self.films)

    @cached_property
    def ids(self) -> NDArray[np.int32]:
        """TMDB ids, ascending."""
        return np.array([film["id"] for film in self.films], dtype=np.int32)

    def places(self, movie_ids: NDArray[Any]) -> Indexes:
        """The places of films that are all here."""
        return np.searchsorted(self.ids, movie_ids)

    def only(self, places: Indexes) -> "Catalogue":
        """The films at these places."""
        return Catalogue(tuple(self.films[place] for place in np.sort(places)), self.embeddings[np.sort(places)])

    def without_votes(self) -> "Catalogue":
        """The same films, and nobody at TMDB has said anything of them."""
        silent = {"vote_average": 0.0, "vote_count": 0, "popularity": 0.0, "quality": quality(0.0, 0)}
        return Catalogue(tuple({**film, **silent} for film in self.films), self.embeddings)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A catalogue, and people by what they did with its films."""

    catalogue: Catalogue
    people: tuple[Acts, ...]

    def of(self, people: Iterable[Acts]) -> "Dataset":
        """The same catalogue, other people."""
        return replace(self, people=tuple(people))

    @property
    def interactions(self) -> int:
        """How much all of them did."""
        return sum(map(len, self.people))

    @cached_property
    def raters(self) -> NDArray[np.int64]:
        """How many people did something with each film, shape (films,)."""
        counts = np.zeros(len(self.catalogue), dtype=np.int64)
        for acts in self.people:
            counts[self.catalogue.places(np.unique(acts["movie_id"]))] += 1
        return counts


def load(movielens: Path, films: Path, *, cache: Path) -> Dataset:
    """The films of a file of JSON lines, and the people of a MovieLens folder with what they rated of these.

    Embeddings are computed once and kept in `cache`. Raises UsageError where a file is missing or of another kind.
    """
    records = read_films(films)
    people = read_people(movielens, records)
    if not people:
        raise UsageError(f"No rating in {movielens} is of a film in {films}")
    return Dataset(Catalogue(tuple(map(as_film, records)), embeddings_of(records, cache=cache)), people)


def read_films(path: Path) -> list[MovieRecord]:
    """The usable films of a file in the order of ids; of two with one id the later one."""
    by_id: dict[int, MovieRecord] = {}
    for _, raw in read_json_lines(path):
        try:
            record = parse_record(raw)
        except UnusableRecordError:
            continue
        by_id[record.id] = record
    return [by_id[number] for number in sorted(by_id)]


def read_people(folder: Path, films: Sequence[MovieRecord]) -> tuple[Acts, ...]:
    """What each person of a MovieLens folder rated, by time; of two ratings of one film the newer one."""
    ids = {film.id for film in films}
    by_imdb_id = {film.imdb_id: film.id for film in films if film.imdb_id}
    people: dict[str, dict[int, NewInteraction]] = {}
    for rating in read_movielens(folder, ImportSummary()):
        number = rating.tmdb_id if rating.tmdb_id in ids else by_imdb_id.get(rating.imdb_id or "")
        if number is not None:
            rated = people.setdefault(rating.user_id, {})
            if number not in rated or rated[number].at <= rating.at:
                rated[number] = rating
    return tuple(_as_acts(rated) for rated in people.values())


def as_film(record: MovieRecord) -> Film:
    """A film as rows of `movies` are read."""
    return asdict(record) | {"hidden": False, "quality": quality(record.vote_average, record.vote_count)}


def _as_acts(rated: Mapping[int, NewInteraction]) -> Acts:
    kind = KIND_NUMBER["rating"]
    rows = [(number, kind, rating.value, rating.at.timestamp()) for number, rating in rated.items()]
    acts = np.array(rows, dtype=ACT)
    return acts[np.argsort(acts["at"], kind="stable")]
