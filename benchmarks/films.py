"""The films of an installation as arrays, so that what is right is computed without the database's help."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import product
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from backend.catalog.filters import Filters
from backend.errors import UsageError
from backend.ml.answer import By
from backend.ml.similarity import SAME_COLLECTION, closeness, query
from backend.ml.taste_store import stacked
from backend.models import EMBEDDING_DIMENSION
from benchmarks.server import MODEL

NEIGHBOURS = 10
TIES: dict[By, float] = {"embedding": 1e-5, "best": 1e-4}
"""Scores this close count as equal: what numpy and the database make of the same floats."""

Places = NDArray[np.intp]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Films:
    """Those that may stand in answers; a *place* is a film's index among them."""

    ids: NDArray[np.int32]
    units: Floats
    """Shape (films, 384); zeros where there is no embedding."""
    s: Floats
    """Shape (films, dimensions of likeness); NaN where a film has no place."""
    collections: NDArray[np.object_]
    genres: NDArray[np.object_]
    years: NDArray[np.int32]
    votes: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def complete(self) -> Places:
        """The places of films that have all of it."""
        return np.flatnonzero(self.units.any(axis=1) & ~np.isnan(self.s[:, 0]))

    def only(self, places: Places) -> "Films":
        """The films at these places, in this order."""
        return Films(**{field.name: getattr(self, field.name)[places] for field in fields(self)})

    def and_(self, others: "Films") -> "Films":
        """These, and after them the others."""
        both = {field.name: (getattr(self, field.name), getattr(others, field.name)) for field in fields(self)}
        return Films(**{name: np.concatenate(arrays) for name, arrays in both.items()})

    def places(self, ids: Sequence[int]) -> Places:
        """The places of those of these films that are here."""
        return np.flatnonzero(np.isin(self.ids, ids))

    def scores(self, place: int, by: By) -> Floats:
        """How like this film all others are; itself, and what can't be compared, by -inf."""
        cosines = self.units @ self.units[place]
        if by == "embedding":
            scores = np.where(self.units.any(axis=1), cosines, -np.inf)
        else:
            name = self.collections[place]
            same = np.zeros(len(self), dtype=bool) if name is None else self.collections == name
            likeness = self.s @ query(self.s[place])
            scores = np.nan_to_num(likeness + closeness(cosines) + SAME_COLLECTION * same, nan=-np.inf)
        scores[place] = -np.inf
        return np.asarray(scores, dtype=np.float32)

    def share_found(self, found: Sequence[int], scores: Floats, by: By) -> float:
        """Of the first ten by these scores, or as many as there are, how many were found."""
        wanted = min(NEIGHBOURS, int(np.isfinite(scores).sum()))
        if not wanted:
            return 1.0
        least = np.partition(scores, -wanted)[-wanted] - TIES[by]
        return min(1.0, float((scores[self.places(found)] >= least).sum()) / wanted)

    def let_through(self, filters: Filters) -> Mask:
        """The films that have the one genre, and are of the years."""
        through = self._of_genre(filters.genre[0])
        if filters.year_min is not None and filters.year_max is not None:
            through = through & (self.years >= filters.year_min) & (self.years <= filters.year_max)
        return through

    def filters_that_pass(self, share: float) -> Filters:
        """Of all genres, alone or within years or decades, what lets through the share nearest to this."""
        return min(self._filters(), key=lambda found: abs(np.log(max(found[0], 1e-9) / share)))[1]

    def _filters(self) -> Iterator[tuple[float, Filters]]:
        names = sorted({name for genres in self.genres for name in genres})
        for name in names:
            of_genre = self.years[self._of_genre(name)]
            yield len(of_genre) / len(self), Filters(genre=(name,))
            for first, long in product(range(1930, 2030), (1, 10)):
                if long == 1 or first % 10 == 0:
                    within = ((of_genre >= first) & (of_genre < first + long)).sum()
                    yield within / len(self), Filters(genre=(name,), year_min=first, year_max=first + long - 1)

    def _of_genre(self, name: str) -> Mask:
        return np.array([name in genres for genres in self.genres])


def read_films(engine: Engine) -> Films:
    """All that may be shown. Raises UsageError where the installation has not learned yet."""
    with engine.connect() as connection:
        rows = connection.execution_options(yield_per=5_000).execute(_FILMS, {"model": MODEL}).all()
    likeness = _filled([row.s for row in rows])
    if likeness is None or not any(row.embedding for row in rows):
        raise UsageError("The installation's films are not embedded and learned from yet")
    units = _filled([row.embedding for row in rows])
    assert units is not None
    assert units.shape[1] == EMBEDDING_DIMENSION
    return Films(
        ids=np.array([row.id for row in rows], dtype=np.int32),
        units=np.nan_to_num(units),
        s=likeness,
        collections=_objects([row.collection for row in rows]),
        genres=_objects([tuple(row.genres) for row in rows]),
        years=np.array([row.release_year or 0 for row in rows], dtype=np.int32),
        votes=np.array([row.vote_count for row in rows], dtype=np.int32),
    )


def bare_recall(connection: Connection, films: Films, places: Places, statement: str) -> float:
    """What a statement for ten ids finds, which has the film `:id` itself among them."""
    asked, shares = text(statement), []
    for place in places:
        scores = films.scores(int(place), "embedding")
        scores[place] = 1.0
        found = connection.scalars(asked, {"id": int(films.ids[place])}).all()
        shares.append(films.share_found(found, scores, "embedding"))
    return mean(shares)


def _filled(sent: Sequence[memoryview | None]) -> Floats | None:
    """A row each, NaN where there is none."""
    here = [number for number, value in enumerate(sent) if value is not None]
    if not here:
        return None
    vectors = stacked([value for value in sent if value is not None])
    rows = np.full((len(sent), vectors.shape[1]), np.nan, dtype=np.float32)
    rows[here] = vectors
    return rows


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


_FILMS = text("""
    SELECT m.id, vector_send(CASE WHEN m.embedding_model = :model THEN m.embedding END) AS embedding,
        vector_send(l.s) AS s, m.collection, m.genres, m.release_year, m.vote_count
    FROM movies m LEFT JOIN likeness l ON l.movie_id = m.id
    WHERE NOT m.adult ORDER BY m.id
""")
