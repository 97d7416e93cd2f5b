"""A person in SQL: folded in from what they did, and taken apart again to explain a score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    ARRAY,
    CTE,
    REAL,
    ColumnElement,
    CompoundSelect,
    Double,
    Integer,
    ScalarSelect,
    Select,
    case,
    cast,
    extract,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, array, distinct_on

from backend.catalog.store import visible
from backend.feedback.weights import (
    BASE_WEIGHTS,
    FORGOTTEN,
    HALF_LIFE_DAYS,
    RATING_WEIGHTS,
    TASTE_KINDS,
    company_scale,
    history_scale,
)
from backend.ml.answer import LONG_HISTORY, MOST_LIKED
from backend.ml.item_factors import BLOCKS
from backend.ml.taste_store import FACTORS, START
from backend.models import Interaction, Movie, User

Vector384 = NDArray[np.float32]


@dataclass(frozen=True)
class Taste:
    """What a person goes by: films with weights."""

    opinions: CTE
    """Rows of (movie_id, weight)."""

    @classmethod
    def of_person(cls, user_id: str) -> "Taste":
        """Folded in from what a person did: per film the newest taste, or else the newest other act.

        The weights are those of `feedback.weights.interaction_weight`.
        """
        newest = (
            select(Interaction.movie_id, Interaction.kind, Interaction.value, Interaction.at)
            .join(User, User.id == Interaction.user_id)
            .where(User.external_id == user_id)
            .ext(distinct_on(Interaction.movie_id))
            .order_by(Interaction.movie_id, Interaction.kind.in_(TASTE_KINDS).desc())
            .order_by(Interaction.at.desc(), Interaction.kind)
            .subquery()
        )
        age_days = extract("epoch", func.max(newest.c.at).over() - newest.c.at) / 86400.0
        decay = func.power(0.5, func.least(cast(age_days / HALF_LIFE_DAYS, Double), FORGOTTEN))
        weight = _base_weight(newest.c.kind, newest.c.value) * decay
        return cls._of(select(newest.c.movie_id, weight.label("weight")))

    @classmethod
    def of_films(cls, weights: Mapping[int, float]) -> "Taste":
        """Films by TMDB id with their weights, as given in a request."""
        ids, values = cast(list(weights), ARRAY(Integer)), cast(list(weights.values()), ARRAY(Double))
        given = func.unnest(ids, values).table_valued("movie_id", "weight").render_derived(name="films")
        return cls._of(select(given.c.movie_id, given.c.weight))

    @classmethod
    def _of(cls, weights: Select[Any]) -> "Taste":
        return cls(weights.cte("opinions"))

    def profile_statement(self, *, with_genres: bool = False) -> Select[Any]:
        """One row: `vector`, start + loudness * sum(weight * p), and `personal`, whether any weight is positive.

        The vector is NULL before the first training. The terms are added in the order of ids, so that equal rows
        give equal answers. Where they are asked for, `genres`: the sum of the positive weights in each; NULL where
        the history is short.
        """
        given = self.opinions
        liked = given.c.weight > 0
        sums = select(
            self._sum_of(FACTORS.c.p).label("vector"), func.coalesce(func.bool_or(liked), False).label("personal")
        )
        if with_genres:
            history = func.count().filter(liked)
            genres = self._sum_of(FACTORS.c.genres).filter(liked)
            sums = sums.add_columns(case((history >= LONG_HISTORY, genres)).label("genres"))
        own = sums.join_from(given, FACTORS, FACTORS.c.movie_id == given.c.movie_id).subquery("own")
        start = select(FACTORS.c.p).where(FACTORS.c.movie_id == START).scalar_subquery()
        person = start.op("+")(own.c.vector.op("*")(_loudness(self._total())))
        vector = case((own.c.vector.is_(None), start), else_=person).label("vector")
        return select(vector, *(column for column in own.c if column.key != "vector"))

    def terms_statement(self, ids: Sequence[int]) -> CompoundSelect[Any]:
        """What the scores of films are made of: rows of `movie_id`, `weight` and a vector as it is sent.

        Of the start, whose weight is the sum of the sizes of all others, and of the person's own films it is p; of
        the films asked for, which have no weight, q.
        """
        given, vector = self.opinions, func.vector_send(FACTORS.c.p).label("vector")
        start = select(FACTORS.c.movie_id, self._total().label("weight"), vector)
        own = select(given.c.movie_id, given.c.weight, vector)
        found = select(FACTORS.c.movie_id, null(), func.vector_send(FACTORS.c.q))
        return union_all(
            start.where(FACTORS.c.movie_id == START),
            own.join_from(given, FACTORS, FACTORS.c.movie_id == given.c.movie_id),
            found.where(FACTORS.c.movie_id.in_(ids)),
        )

    def _total(self) -> ScalarSelect[Any]:
        return select(func.coalesce(func.sum(func.abs(self.opinions.c.weight)), 0.0)).scalar_subquery()

    def _sum_of(self, vectors: ColumnElement[Any]) -> Any:
        given = self.opinions
        part = vectors.op("*")(_filled(given.c.weight, func.vector_dims(vectors)))
        return func.sum(aggregate_order_by(part, given.c.movie_id))


def likes_of(user_id: str, include_adult: bool) -> Select[Any]:
    """The films that a person thinks well of: those they think most of first, of equals the newest."""
    given = Taste.of_person(user_id).opinions
    films = select(Movie.id, Movie.title, Movie.genres, Movie.collection, given.c.weight)
    films = films.join_from(given, Movie, Movie.id == given.c.movie_id)
    # A weight fades with age: of two equal ratings the newer one counts more.
    return (
        films.where(given.c.weight > 0, visible(include_adult=include_adult))
        .order_by(given.c.weight.desc(), Movie.id)
        .limit(MOST_LIKED)
    )


def product(left: Any, right: Any) -> ColumnElement[Any]:
    """The inner product of two vectors."""
    return cast(left, Vector()).op("<#>", return_type=Double())(right) * -1.0


def _loudness(total: ColumnElement[Any]) -> ColumnElement[Any]:
    """As `item_factors.loudness` has it."""
    scales = {name: company_scale(total) if name == "company" else history_scale(total) for name in BLOCKS}
    parts = [_filled(scales[name], block.end - block.begin) for name, block in BLOCKS.items()]
    loud, *others = parts
    for part in others:
        loud = loud.op("||", return_type=Vector())(part)
    return loud


def _filled(number: Any, dimensions: Any) -> ColumnElement[Any]:
    return cast(func.array_fill(cast(number, REAL), array([dimensions])), Vector())


def _base_weight(kind: ColumnElement[str], value: ColumnElement[float]) -> ColumnElement[float]:
    others = [(kind == name, literal(weight, Double)) for name, weight in BASE_WEIGHTS.items()]
    return case((kind == "rating", _rating_weight(value)), *others)


def _rating_weight(value: ColumnElement[float]) -> ColumnElement[Any]:
    """Straight lines between RATING_WEIGHTS: the first, and of each step as much as the value has climbed."""
    weight: ColumnElement[Any] = literal(RATING_WEIGHTS[0], Double)
    for step, (below, above) in enumerate(pairwise(RATING_WEIGHTS)):
        weight = weight + (above - below) * func.least(func.greatest(cast(value, Double) - step, 0.0), 1.0)
    return weight
