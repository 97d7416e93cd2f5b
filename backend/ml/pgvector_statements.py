"""The statements of the Postgres layer: each of them is a whole answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    and_,
    case,
    cast,
    extract,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, array, distinct_on

from backend.catalog.filters import NO_FILTERS, Filters, MovieRef
from backend.catalog.store import SUMMARY_COLUMNS, filter_conditions, movie_is, movie_is_not, visible
from backend.feedback.weights import (
    BASE_WEIGHTS,
    FORGOTTEN,
    HALF_LIFE_DAYS,
    NEGATIVE_FACTOR,
    RATING_NEUTRAL,
    RATING_SPAN,
    TASTE_KINDS,
)
from backend.ml.answer import BECAUSE, LIST_END, NOT_A_VERDICT, QUALITY_SCALE, Window
from backend.models import EMBEDDING_DIMENSION, Interaction, Movie, User

Vector384 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The films that a list may hold."""

    model: str
    include_adult: bool
    filters: Filters = NO_FILTERS
    without: tuple[int, ...] = ()
    """Films by TMDB id, beside those that the filters leave out."""
    unless_done_by: str | None = None
    """A person, by external id, whose films are left out …"""
    not_counting: tuple[str, ...] = NOT_A_VERDICT
    """… but for interactions of these kinds."""

    def condition(self) -> ColumnElement[bool]:
        """All of it, as a condition on `movies`."""
        conditions = [visible(include_adult=self.include_adult), filter_conditions(self.filters)]
        if self.without:
            conditions.append(Movie.id.not_in(self.without))
        if self.unless_done_by is not None:
            conditions.append(Movie.id.not_in(_films_of(self.unless_done_by, self.not_counting)))
        return and_(*conditions)


@dataclass(frozen=True)
class Taste:
    """What a person goes by: films with weights, and perhaps words."""

    opinions: Select[Any]
    """Rows of (movie_id, weight)."""
    words: Vector384 | None = None
    """The embedding of words, which weigh as much as one liked film."""

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
        return cls(select(newest.c.movie_id, weight.label("weight")))

    @classmethod
    def of_films(cls, weights: Mapping[int, float], *, words: Vector384 | None) -> "Taste":
        """Films by TMDB id with their weights, as given in a request."""
        ids, values = cast(list(weights), ARRAY(Integer)), cast(list(weights.values()), ARRAY(Double))
        given = func.unnest(ids, values).table_valued("movie_id", "weight").render_derived(name="films")
        return cls(select(given.c.movie_id, given.c.weight), words)

    def vector_statement(self, *, model: str) -> Select[Any]:
        """One row with sum(weight * embedding); NULL where nothing is positive.

        The terms are added in the order of ids, so that equal rows give equal answers.
        """
        given = self.opinions.subquery()
        times = cast(func.array_fill(cast(given.c.weight, REAL), array([EMBEDDING_DIMENSION])), Vector())
        part = select(given.c.movie_id, given.c.weight, Movie.embedding.op("*")(times).label("part"))
        part = part.join(Movie, Movie.id == given.c.movie_id).where(Movie.embedding_model == model)
        parts: Select[Any] | CompoundSelect[Any] = part
        if self.words is not None:
            words = cast(self.words.tolist(), Vector(EMBEDDING_DIMENSION))
            parts = union_all(part, select(literal(0), literal(1.0, Double), words))
        terms = parts.subquery()
        total = func.sum(aggregate_order_by(terms.c.part, terms.c.movie_id))
        # What cancels out exactly says nothing, and has no angle to anything.
        says_something = and_(func.bool_or(terms.c.weight > 0), func.vector_norm(total) > 0)
        return select(case((says_something, total)).label("vector"))


def similar_statement(ref: MovieRef, scope: Scope, window: Window) -> Select[Any]:
    """Films by cosine to one film's embedding; where it has none, popular ones that share a genre."""
    seed = select(Movie.genres, (Movie.embedding_model == scope.model).label("current"))
    seed = seed.where(movie_is(ref), visible(include_adult=scope.include_adult)).limit(1)
    vector = select(Movie.embedding).where(movie_is(ref), Movie.embedding_model == scope.model).limit(1)
    found = seed.cte("seed")
    genres = select(found.c.genres).scalar_subquery()
    kindred = or_(func.cardinality(genres) == 0, Movie.genres.bool_op("&&")(genres))
    # Each is NULL, and so false, where there is no such film.
    has_vector = select(func.coalesce(found.c.current, false())).scalar_subquery()
    other = and_(scope.condition(), movie_is_not(ref))
    near, popular = and_(other, has_vector), and_(other, kindred, not_(has_vector))
    return _list_of(
        _nearest(vector.scalar_subquery(), near, scope, window),
        _popular(popular, window),
        _length(near, popular, scope),
        window,
    )


def recommendation_statement(taste: Taste, scope: Scope, window: Window) -> Select[Any]:
    """Films by cosine to a person's vector; popular ones where there is nothing positive to go by."""
    profile = taste.vector_statement(model=scope.model).cte("profile")
    vector = select(profile.c.vector).scalar_subquery()
    known = select(profile.c.vector.is_not(None)).scalar_subquery()
    near, popular = and_(scope.condition(), known), and_(scope.condition(), not_(known))
    return _list_of(
        _nearest(vector, near, scope, window),
        _popular(popular, window),
        _length(near, popular, scope),
        window,
    )


def search_statement(
    title_query: str, title: str, meaning: Vector384 | None, scope: Scope, *, limit: int, offset: int
) -> Select[*tuple[Any, ...]]:
    """Films by title and by meaning, the two orders fused.

    Reciprocal rank fusion (Cormack et al. 2009) with its usual constant 60; a title that matches counts three
    times, and one that is the very same stands before all others.
    """
    titled = _ranked_by_title(title_query, title, scope)
    parts = [select(titled.c.id, (cast(titled.c.same, Integer) + 3.0 / (60 + titled.c.rank)).label("score"))]
    if meaning is not None:
        meant = _ranked_by_meaning(meaning, scope)
        parts.append(select(meant.c.id, (1.0 / (60 + meant.c.rank)).label("score")))
    hits = union_all(*parts).subquery()
    fused = select(hits.c.id, func.sum(hits.c.score).label("score")).group_by(hits.c.id).subquery()
    return (
        select(*SUMMARY_COLUMNS, fused.c.score, func.count().over().label("total"))
        .join(fused, fused.c.id == Movie.id)
        .order_by(fused.c.score.desc(), Movie.quality.desc(), Movie.id)
        .limit(limit)
        .offset(offset)
    )


def contributions_statement(taste: Taste, ids: Sequence[int], *, model: str) -> Select[Any]:
    """For each recommended film the liked ones that brought it there, and their share of its score.

    The score is cos(v, e) with v = sum(w_i * e_i), so film i's share is w_i * cos(e_i, e) / |v|: the shares of
    all of a person's films add up to the score.
    """
    opinions = taste.opinions.cte("opinions")
    profile = taste.vector_statement(model=model).cte("profile")
    given = (
        select(Movie.id, Movie.title, Movie.embedding, opinions.c.weight)
        .join(opinions, opinions.c.movie_id == Movie.id)
        .where(Movie.embedding_model == model)
        .subquery("given")
    )
    norm = func.vector_norm(select(profile.c.vector).scalar_subquery())
    share = given.c.weight * (1 - given.c.embedding.cosine_distance(Movie.embedding)) / norm
    ranked = (
        select(given.c.id, given.c.title, share.label("share"))
        .where(share > 0)
        .order_by(share.desc(), given.c.id)
        .limit(BECAUSE)
        .correlate(Movie)
        .lateral("ranked")
    )
    return (
        select(Movie.id.label("recommended"), ranked.c.id, ranked.c.title, ranked.c.share)
        .join(ranked, true())
        .where(Movie.id.in_(ids))
        .order_by(Movie.id, ranked.c.share.desc(), ranked.c.id)
    )


def facts_statement(ids: Sequence[int], ref: MovieRef | None = None) -> Select[*tuple[Any, ...]]:
    """What explanations compare: of these films, and of the one that they were found by."""
    wanted = Movie.id.in_(ids)
    return select(
        Movie.id, Movie.imdb_id, Movie.genres, Movie.keywords, Movie.directors, Movie.actors, Movie.collection
    ).where(wanted if ref is None else or_(wanted, movie_is(ref)))


def _films_of(user_id: str, not_counting: Sequence[str]) -> Select[int]:
    films = select(Interaction.movie_id).join(User, User.id == Interaction.user_id)
    return films.where(User.external_id == user_id, Interaction.kind.not_in(not_counting))


def _nearest(
    vector: ScalarSelect[Any], condition: ColumnElement[bool], scope: Scope, window: Window
) -> Select[Any]:
    """Candidates by cosine distance: the bare operator, so that the index can be used, unless exact."""
    distance = Movie.embedding.cosine_distance(vector)
    nearest = select(*_columns(window), (1 - distance).label("score"), literal("pgvector").label("source"))
    nearest = nearest.where(condition, Movie.embedding_model == scope.model)
    # An index knows nothing of filters and would come up short: what is filtered is searched exactly.
    exact = window.exact or scope.filters.narrows
    return nearest.order_by(distance + 0 if exact else distance).limit(window.offset + window.limit)


def _popular(condition: ColumnElement[bool], window: Window) -> Select[Any]:
    score = (Movie.quality / QUALITY_SCALE).label("score")
    popular = select(*_columns(window), score, literal("popular").label("source")).where(condition)
    return popular.order_by(Movie.quality.desc(), Movie.id).limit(window.offset + window.limit)


def _columns(window: Window) -> list[ColumnElement[Any]]:
    columns: list[Any] = list(SUMMARY_COLUMNS)
    if window.vectors:
        columns.append(func.vector_send(Movie.embedding).label("vector"))
    return columns


def _list_of(
    nearest: Select[Any], popular: Select[Any], length: ColumnElement[Any], window: Window
) -> Select[Any]:
    """Only one of the two has rows. Sorted once more: an index scan may come back slightly out of order."""
    either: CompoundSelect[Any] = union_all(
        select(nearest.subquery("nearest")), select(popular.subquery("popular"))
    )
    rows = either.subquery("rows")
    return (
        select(rows, length.label("total"))
        .order_by(rows.c.score.desc(), rows.c.id)
        .limit(window.limit)
        .offset(window.offset)
    )


def _length(near: ColumnElement[bool], popular: ColumnElement[bool], scope: Scope) -> ColumnElement[Any]:
    """How long an unfiltered list is, without counting beyond its end."""
    if scope.filters.narrows:
        return null()
    either = or_(and_(near, Movie.embedding_model == scope.model), popular)
    some = select(Movie.id).where(either).limit(LIST_END).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _base_weight(kind: ColumnElement[str], value: ColumnElement[float]) -> ColumnElement[float]:
    distance = (value - RATING_NEUTRAL) / RATING_SPAN
    rating = case((distance >= 0, distance), else_=distance * NEGATIVE_FACTOR)
    others = [(kind == name, literal(weight, Double)) for name, weight in BASE_WEIGHTS.items()]
    return case((kind == "rating", cast(rating, Double)), *others)


def _ranked_by_title(title_query: str, title: str, scope: Scope) -> CTE:
    document = func.to_tsvector("simple", Movie.title + " " + func.coalesce(Movie.original_title, ""))
    matches = document.bool_op("@@")(func.to_tsquery("simple", title_query))
    same = func.lower(Movie.title) == title.lower()
    order = (same.desc(), Movie.quality.desc(), Movie.id)
    rank = func.row_number().over(order_by=order).label("rank")
    ranked = select(Movie.id, rank, same.label("same")).where(matches, scope.condition())
    return ranked.order_by(*order).limit(LIST_END).cte("titled")


def _ranked_by_meaning(meaning: Vector384, scope: Scope) -> CTE:
    vector = select(cast(meaning.tolist(), Vector(EMBEDDING_DIMENSION))).scalar_subquery()
    distance = Movie.embedding.cosine_distance(vector)
    nearest = select(Movie.id, distance.label("distance"))
    nearest = nearest.where(scope.condition(), Movie.embedding_model == scope.model)
    exact = scope.filters.narrows
    near = nearest.order_by(distance + 0 if exact else distance).limit(100).subquery()
    rank = func.row_number().over(order_by=(near.c.distance, near.c.id)).label("rank")
    return select(near.c.id, rank).cte("meant")
