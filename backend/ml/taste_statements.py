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
    Select,
    Subquery,
    and_,
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

from backend.feedback.weights import (
    BASE_WEIGHTS,
    FORGOTTEN,
    HALF_LIFE_DAYS,
    RATING_WEIGHTS,
    TASTE_KINDS,
    history_scale,
)
from backend.ml.answer import LONG_HISTORY
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
        given = weights.subquery("weights")
        scale = history_scale(func.sum(func.abs(given.c.weight)).over())
        return cls(select(given.c.movie_id, (given.c.weight * scale).label("weight")).cte("opinions"))

    def profile_statement(self) -> Select[Any]:
        """One row: `vector`, start + sum(weight * p), and `personal`, whether any weight is positive.

        The vector is NULL before the first training. The terms are added in the order of ids, so that equal rows
        give equal answers.
        """
        given = self._given()
        times = cast(func.array_fill(cast(given.c.weight, REAL), array([func.vector_dims(FACTORS.c.p)])), Vector())
        part = FACTORS.c.p.op("*")(times)
        total = func.sum(aggregate_order_by(part, given.c.movie_id)).label("vector")
        liked = and_(given.c.movie_id != START, given.c.weight > 0)
        personal = func.coalesce(func.bool_or(liked), False).label("personal")
        return select(total, personal).join_from(given, FACTORS, FACTORS.c.movie_id == given.c.movie_id)

    def terms_statement(self, ids: Sequence[int]) -> CompoundSelect[Any]:
        """What the scores of films are made of: rows of `movie_id`, `weight` and a vector as it is sent.

        Of the start and the person's own films it is p; of the films asked for, which have no weight, q.
        """
        given = self._given()
        own = select(given.c.movie_id, given.c.weight, func.vector_send(FACTORS.c.p).label("vector"))
        found = select(FACTORS.c.movie_id, null(), func.vector_send(FACTORS.c.q))
        return union_all(
            own.join_from(given, FACTORS, FACTORS.c.movie_id == given.c.movie_id),
            found.where(FACTORS.c.movie_id.in_(ids)),
        )

    def _given(self) -> Subquery:
        start = select(literal(START).label("movie_id"), literal(1.0, Double).label("weight"))
        return union_all(start, select(self.opinions)).subquery("given")

    def genres_statement(self) -> Select[Any]:
        """One value: the positive weight of each genre as JSON; NULL where the history is short."""
        counted = select(self.opinions).join(FACTORS, FACTORS.c.movie_id == self.opinions.c.movie_id)
        given = counted.where(self.opinions.c.weight > 0).cte("counted")
        weight = given.c.weight / func.cardinality(Movie.genres)
        genres = select(func.unnest(Movie.genres).label("name"), weight.label("weight"))
        genres = genres.join_from(given, Movie, Movie.id == given.c.movie_id)
        liked = genres.where(func.cardinality(Movie.genres) > 0).subquery()
        sums = select(liked.c.name, func.sum(liked.c.weight).label("weight")).group_by(liked.c.name).subquery()
        films = select(func.count()).select_from(given).scalar_subquery()
        told = aggregate_order_by(sums.c.weight, sums.c.name)
        listed = func.json_object_agg(sums.c.name, told)
        return select(case((films >= LONG_HISTORY, listed)))


def product(left: Any, right: Any) -> ColumnElement[Any]:
    """The inner product of two vectors."""
    return cast(left, Vector()).op("<#>", return_type=Double())(right) * -1.0


def _base_weight(kind: ColumnElement[str], value: ColumnElement[float]) -> ColumnElement[float]:
    others = [(kind == name, literal(weight, Double)) for name, weight in BASE_WEIGHTS.items()]
    return case((kind == "rating", _rating_weight(value)), *others)


def _rating_weight(value: ColumnElement[float]) -> ColumnElement[Any]:
    """Straight lines between RATING_WEIGHTS: the first, and of each step as much as the value has climbed."""
    weight: ColumnElement[Any] = literal(RATING_WEIGHTS[0], Double)
    for step, (below, above) in enumerate(pairwise(RATING_WEIGHTS)):
        weight = weight + (above - below) * func.least(func.greatest(cast(value, Double) - step, 0.0), 1.0)
    return weight
