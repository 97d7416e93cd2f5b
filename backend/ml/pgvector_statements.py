"""The two statements that the Postgres layer serves by: each of them is a whole answer."""

from dataclasses import dataclass, fields, replace
from typing import Any

from pgvector.sqlalchemy import HALFVEC, Vector
from sqlalchemy import (
    CTE,
    ColumnElement,
    ScalarSelect,
    Select,
    Subquery,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)

from backend.catalog.filters import MovieRef
from backend.catalog.store import movie_is, visible
from backend.ml.answer import By, Window
from backend.ml.embedding_statements import close_films, nearest
from backend.ml.list_statements import Scope, length, list_statement, materialized, popular_films
from backend.ml.similarity import CLOSE, CLOSE_FROM, PRIOR, SAME_COLLECTION
from backend.ml.taste_statements import Taste
from backend.ml.taste_store import FACTORS, LIKENESS, WITHIN_REACH
from backend.models import Movie

FIRST = 50
"""The end of a list's beginning, which is found among few films: hardly anyone asks for more."""
CANDIDATES, CLOSE_CANDIDATES = 100, 51
"""Of the films nearest by `s`, and of those nearest by their embeddings, so many are compared exactly …"""
MANY_CANDIDATES, MANY_CLOSE_CANDIDATES = 700, 200
"""… and so many for what comes after the beginning."""
SPARE = 20
"""So many more than are asked for are found of what a person may like: some are adult or hidden, and in half
precision some stand in another order."""


def similar_statement(ref: MovieRef, scope: Scope, window: Window, *, by: By) -> Select[Any]:
    """Films nearest to one film; where it has no place, popular ones that share a genre.

    By embedding it is the cosine of the embeddings, by best what `ml/similarity.py` says.
    """
    seed = _Seed.of(ref, scope)
    by_embedding = by == "embedding"
    place = seed.embedding if by_embedding else seed.asking
    has_place = Movie.embedding_model == scope.model if by_embedding else _HAS_LIKENESS
    # NULL, and so false, where there is no such film.
    others = and_(scope.condition(), Movie.id != seed.id)
    near = and_(others, place.is_not(None))
    kindred = or_(func.cardinality(seed.genres) == 0, Movie.genres.bool_op("&&")(seed.genres))
    popular = and_(others, kindred, place.is_(None))
    if by_embedding:
        ranked = _by_embedding(seed, and_(near, has_place), scope, window)
    else:
        ranked = _by_likeness(seed, near, scope, window)
    alike, favourites = (select(Movie.id).where(films) for films in (and_(near, has_place), popular))
    total = case((place.is_not(None), length(alike, scope)), else_=length(favourites, scope))
    return list_statement([popular_films(popular, window), ranked], total, scope, window)


def recommendation_statement(taste: Taste, scope: Scope, window: Window) -> Select[Any]:
    """Films by their product with a person, who is folded in here; popular ones before the first training."""
    person = materialized(taste.profile_statement(with_genres=window.vectors), "person")
    place = select(person.c.vector).scalar_subquery()
    personal = select(person.c.personal).scalar_subquery()
    source = case((personal, literal("pgvector")), else_=literal("popular")).label("source")
    distance, films = FACTORS.c.q.max_inner_product(place), window.offset + window.limit
    ranked = select(Movie.id, (-distance).label("score"), source, FACTORS.c.version, false().label("ahead"))
    if window.exact or scope.filters.narrows:
        ranked = ranked.join_from(FACTORS, Movie, Movie.id == FACTORS.c.movie_id).where(scope.condition())
    else:
        found = _within_reach(place, scope, limit=films + SPARE)
        ranked = ranked.join_from(found, FACTORS, FACTORS.c.movie_id == found.c.movie_id)
        ranked = ranked.join(Movie, Movie.id == found.c.movie_id).where(scope.shown())
    ranked = ranked.order_by(distance, Movie.id).limit(films)
    popular = and_(scope.condition(), place.is_(None))
    placed = select(Movie.id).join(FACTORS, FACTORS.c.movie_id == Movie.id).where(scope.condition())
    total = case((place.is_not(None), length(placed, scope)), else_=length(select(Movie.id).where(popular), scope))
    listed = list_statement([popular_films(popular, window), ranked], total, scope, window)
    if not window.vectors:
        return listed
    # What the order by diversity needs of the person comes along.
    return listed.add_columns(select(func.vector_send(person.c.genres)).scalar_subquery().label("taste"))


def similar_to(ref: MovieRef, user_id: str | None, scope: Scope, by: By, window: Window) -> Select[Any]:
    """`similar_statement` as `run_prepared` builds it: a film, and perhaps a person whose films are left out."""
    return similar_statement(ref, replace(scope, unless_done_by=user_id), window, by=by)


def for_person(user_id: str, scope: Scope, window: Window) -> Select[Any]:
    """`recommendation_statement` as `run_prepared` builds it: of a person, without what they had."""
    return recommendation_statement(Taste.of_person(user_id), replace(scope, unless_done_by=user_id), window)


@dataclass(frozen=True)
class _Seed:
    """The film that others are compared with: read once, each value of it NULL where there is none."""

    id: ScalarSelect[Any]
    genres: ScalarSelect[Any]
    collection: ScalarSelect[Any]
    embedding: ScalarSelect[Any]
    asking: ScalarSelect[Any]
    """What `s` of others is multiplied by: `similarity.query`."""
    around: ScalarSelect[Any]
    """Around which the places of the films of the greatest products lie: see `similarity.places`."""

    @classmethod
    def of(cls, ref: MovieRef, scope: Scope) -> "_Seed":
        current = case((Movie.embedding_model == scope.model, Movie.embedding))
        asking, around = (_with_prior(LIKENESS.c.s, prior) for prior in (1.0, 0.0))
        values = {"embedding": current, "asking": asking, "around": cast(around, HALFVEC())}
        plain = (Movie.id, Movie.genres, Movie.collection)
        found = select(*plain, *(value.label(name) for name, value in values.items()))
        found = found.outerjoin_from(Movie, LIKENESS, LIKENESS.c.movie_id == Movie.id)
        found = found.where(movie_is(ref), visible(include_adult=scope.include_adult)).limit(1)
        seed = materialized(found, "seed")
        return cls(*(select(seed.c[field.name]).scalar_subquery() for field in fields(cls)))


def _with_prior(s: ColumnElement[Any], prior: float) -> ColumnElement[Any]:
    before, after = func.subvector(s, 1, PRIOR), func.subvector(s, PRIOR + 2, func.vector_dims(s) - PRIOR - 1)
    return before.op("||")(cast([prior], Vector(1))).op("||", return_type=Vector())(after)


_HAS_LIKENESS = exists().where(LIKENESS.c.movie_id == Movie.id)


def _by_embedding(seed: _Seed, condition: ColumnElement[bool], scope: Scope, window: Window) -> Select[Any]:
    exact = window.exact or scope.filters.narrows
    near = nearest(seed.embedding, condition, limit=window.offset + window.limit, exact=exact).subquery("nearest")
    told = (literal("pgvector").label("source"), literal(scope.model).label("version"), false().label("ahead"))
    return select(near.c.id, (1 - near.c.distance).label("score"), *told)


def _by_likeness(seed: _Seed, condition: ColumnElement[bool], scope: Scope, window: Window) -> Select[Any]:
    """All of them compared exactly, or of many those that indexes find."""
    films = window.offset + window.limit
    cosine = case((Movie.embedding_model == scope.model, 1 - Movie.embedding.cosine_distance(seed.embedding)))
    close = CLOSE * func.greatest(func.coalesce(cosine, 0.0) - CLOSE_FROM, 0.0)
    same = case((Movie.collection == seed.collection, SAME_COLLECTION), else_=0.0)
    score = (close + same - LIKENESS.c.s.max_inner_product(seed.asking)).label("score")
    told = (score, literal("pgvector").label("source"), LIKENESS.c.version)
    if window.exact or scope.filters.narrows:
        every = select(Movie.id, *told, false().label("ahead"))
        every = every.join_from(LIKENESS, Movie, Movie.id == LIKENESS.c.movie_id).where(condition)
        return every.order_by(score.desc(), Movie.id).limit(films)
    found = _candidates(seed, scope, many=films > FIRST)
    some = select(Movie.id, *told, found.c.early).where(condition)
    some = some.join_from(found, LIKENESS, LIKENESS.c.movie_id == found.c.id).join(Movie, Movie.id == found.c.id)
    if films <= FIRST:
        scored = some.order_by(score.desc(), Movie.id).limit(films).subquery("scored")
        return select(*_without_early(scored), false().label("ahead"))
    scored = some.subquery("scored")
    rank = func.row_number().over(partition_by=scored.c.early, order_by=(scored.c.score.desc(), scored.c.id))
    ahead = and_(scored.c.early, rank <= FIRST).label("ahead")
    return (
        select(*_without_early(scored), ahead)
        .order_by(ahead.desc(), scored.c.score.desc(), scored.c.id)
        .limit(films)
    )


def _without_early(scored: Subquery) -> list[ColumnElement[Any]]:
    return [column for column in scored.c if column.key != "early"]


def _candidates(seed: _Seed, scope: Scope, *, many: bool) -> CTE:
    """The ids of the films to compare, and whether each is found `early`: among few too.

    What comes first in a list is chosen from those, so that a list does not change where one looks further down.
    A small catalogue has no index over `s`: all of it is compared.
    """
    near_limit, close_limit = (MANY_CANDIDATES, MANY_CLOSE_CANDIDATES) if many else (CANDIDATES, CLOSE_CANDIDATES)
    indexed = select(LIKENESS.c.indexed).limit(1).scalar_subquery()
    wanted = and_(indexed, seed.asking.is_not(None))
    around = func.close_places(seed.around, near_limit + scope.left_out()).table_valued(
        "id", "distance", name="near"
    )
    near = select(around).where(wanted, scope.not_left_out(around.c.id))
    close = select(close_films(seed.embedding, limit=close_limit)).where(wanted, seed.embedding.is_not(None))
    found = union_all(
        _among_the_first(near.order_by(around.c.distance).limit(near_limit), CANDIDATES),
        _among_the_first(close, CLOSE_CANDIDATES),
        select(Movie.id, true()).where(Movie.collection == seed.collection),
        select(LIKENESS.c.movie_id, true()).where(not_(LIKENESS.c.indexed)),
    ).subquery()
    early = func.bool_or(found.c.early).label("early")
    return materialized(select(found.c.id, early).group_by(found.c.id), "found")


def _among_the_first(films: Select[Any], count: int) -> Select[Any]:
    rows = films.subquery()
    rank = func.row_number().over(order_by=(rows.c.distance, rows.c.id))
    return select(rows.c.id, (rank <= count).label("early"))


def _within_reach(place: ScalarSelect[Any], scope: Scope, *, limit: int) -> CTE:
    """The ids of the first films for a person, of those that come first for anyone.

    At length one everybody lies in the range of half precision.
    """
    halved = select(cast(func.l2_normalize(place), HALFVEC())).scalar_subquery()
    distance = WITHIN_REACH.c.q.max_inner_product(halved).label("distance")
    # As many more as can be left out: to ask of each film whether it is would take a third of the time.
    first = limit + scope.left_out()
    ordered = select(WITHIN_REACH.c.movie_id, distance).order_by(distance, WITHIN_REACH.c.movie_id)
    found = ordered.limit(first).subquery()
    films = select(found.c.movie_id).where(scope.not_left_out(found.c.movie_id))
    return materialized(films.order_by(found.c.distance, found.c.movie_id).limit(limit), "first")
