"""The statements of the Postgres layer: each of them is a whole answer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Subquery,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    union_all,
)

from backend.catalog.filters import NO_FILTERS, Filters, MovieRef
from backend.catalog.store import SUMMARY_COLUMNS, filter_conditions, movie_is, movie_is_not, visible
from backend.ml.answer import LIST_END, NOT_A_VERDICT, QUALITY_SCALE, By, Window
from backend.ml.similarity import CANDIDATES, CLOSE, CLOSE_FROM, PRIOR, SAME_COLLECTION
from backend.ml.taste_statements import Taste, Vector384
from backend.ml.taste_store import FACTORS
from backend.ml.vector_index import EXACT_LIMIT
from backend.models import EMBEDDING_DIMENSION, Interaction, Movie, User


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


def similar_statement(ref: MovieRef, scope: Scope, window: Window, *, by: By) -> Select[Any]:
    """Films nearest to one film; where it has no place, popular ones that share a genre.

    By embedding it is the cosine of the embeddings, by best what `ml/similarity.py` says.
    """
    seed = select(Movie.genres, Movie.collection)
    found = seed.where(movie_is(ref), visible(include_adult=scope.include_adult)).limit(1).cte("seed")
    genres = select(found.c.genres).scalar_subquery()
    kindred = or_(func.cardinality(genres) == 0, Movie.genres.bool_op("&&")(genres))
    collection = select(found.c.collection).scalar_subquery()
    ranking = _by_embedding(ref, scope) if by == "embedding" else _by_likeness(ref, collection, scope)
    placed = select(ranking.place.is_not(None)).scalar_subquery()
    # NULL, and so false, where there is no such film.
    other = and_(
        scope.condition(), movie_is_not(ref), select(func.count() > 0).select_from(found).scalar_subquery()
    )
    near, popular = and_(other, placed), and_(other, kindred, not_(placed))
    return _list_of(ranking, near, popular, scope, window)


def recommendation_statement(taste: Taste, scope: Scope, window: Window) -> Select[Any]:
    """Films by their product with a person, who is folded in here; popular ones before the first training."""
    person = taste.profile_statement().cte("person")
    place = select(person.c.vector).scalar_subquery()
    personal = select(person.c.personal).scalar_subquery()
    source = case((personal, literal("pgvector")), else_=literal("popular"))
    distance, first = FACTORS.c.q.max_inner_product(place), FACTORS.c.reach < EXACT_LIMIT
    ranking = Ranking(place, distance, FACTORS.c.version, source, first=first)
    listed = _list_of(ranking, scope.condition(), and_(scope.condition(), place.is_(None)), scope, window)
    # What the order by diversity needs of the person comes along.
    return (
        listed.add_columns(taste.genres_statement().scalar_subquery().label("taste")) if window.vectors else listed
    )


def worded_statement(taste: Taste, words: Vector384, scope: Scope, window: Window) -> Select[Any]:
    """The films nearest in meaning to some words, that order fused with the order by taste.

    Reciprocal rank fusion with its usual constant 60; the words count twice, for they were asked for now, and
    alone where nothing is liked.
    """
    person = taste.profile_statement().cte("person")
    place = select(person.c.vector).scalar_subquery()
    meant = _ranked_by_meaning(words, scope, limit=LIST_END)
    by_taste = func.row_number().over(order_by=(FACTORS.c.q.max_inner_product(place), meant.c.id))
    taste_counts = case((select(person.c.personal).scalar_subquery(), 1.0), else_=0.0)
    fused = (
        select(meant.c.id, (2.0 / (60 + meant.c.rank) + taste_counts / (60 + by_taste)).label("score"))
        .outerjoin_from(meant, FACTORS, FACTORS.c.movie_id == meant.c.id)
        .subquery("fused")
    )
    total = null() if scope.filters.narrows else func.count().over()
    return (
        select(*_columns(scope, window), fused.c.score, literal("pgvector").label("source"))
        .add_columns(null().label("version"), total.label("total"))
        .join(fused, fused.c.id == Movie.id)
        .order_by(fused.c.score.desc(), Movie.id)
        .limit(window.limit)
        .offset(window.offset)
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


def facts_statement(ids: Sequence[int], ref: MovieRef | None = None) -> Select[*tuple[Any, ...]]:
    """What explanations compare: of these films, and of the one that they were found by."""
    wanted = Movie.id.in_(ids)
    return select(
        Movie.id,
        Movie.imdb_id,
        Movie.title,
        Movie.genres,
        Movie.keywords,
        Movie.directors,
        Movie.actors,
        Movie.collection,
    ).where(wanted if ref is None else or_(wanted, movie_is(ref)))


def _films_of(user_id: str, not_counting: Sequence[str]) -> Select[int]:
    films = select(Interaction.movie_id).join(User, User.id == Interaction.user_id)
    return films.where(User.external_id == user_id, Interaction.kind.not_in(not_counting))


_US = literal("pgvector")


@dataclass(frozen=True)
class Ranking:
    """How films are ordered: by the distance of the place of each to a place."""

    place: ScalarSelect[Any]
    distance: ColumnElement[Any]
    version: ColumnElement[Any]
    """By which numbers."""
    source: ColumnElement[Any]
    bias: float = 0.0
    """What makes a score of the negative distance."""
    current: ColumnElement[bool] | None = None
    """Which films have an embedding to be ranked by; where it is left out, they are ranked by their factors."""
    first: ColumnElement[bool] | None = None
    """Which films a search that may miss some looks through, where no index finds the nearest."""
    favoured: ColumnElement[bool] | None = None
    """Films to which a bonus is added; so few that they are compared one by one."""
    bonus: float = 0.0
    closeness: ColumnElement[Any] | None = None
    """What is added to the score of the first CANDIDATES."""


def _by_embedding(ref: MovieRef, scope: Scope) -> Ranking:
    place = select(Movie.embedding).where(movie_is(ref), Movie.embedding_model == scope.model).limit(1)
    vector = place.scalar_subquery()
    current = Movie.embedding_model == scope.model
    return Ranking(
        vector, Movie.embedding.cosine_distance(vector), literal(scope.model), _US, bias=1.0, current=current
    )


def _by_likeness(ref: MovieRef, collection: ScalarSelect[Any], scope: Scope) -> Ranking:
    # As `similarity.query` has it: what speaks for a film whatever it is compared with counts whole.
    before = func.subvector(FACTORS.c.s, 1, PRIOR)
    after = func.subvector(FACTORS.c.s, PRIOR + 2, func.vector_dims(FACTORS.c.s) - PRIOR - 1)
    asking = before.op("||")(cast([1.0], Vector(1))).op("||")(after)
    place = select(asking).join_from(FACTORS, Movie, Movie.id == FACTORS.c.movie_id).where(movie_is(ref)).limit(1)
    vector = place.scalar_subquery()
    distance = FACTORS.c.s.max_inner_product(vector)
    same = Movie.collection == collection
    return Ranking(
        vector,
        distance,
        FACTORS.c.version,
        _US,
        favoured=same,
        bonus=SAME_COLLECTION,
        closeness=_closeness(ref, scope),
    )


def _closeness(ref: MovieRef, scope: Scope) -> ColumnElement[Any]:
    """As `similarity.closeness` has it."""
    place = select(Movie.embedding).where(movie_is(ref), Movie.embedding_model == scope.model).limit(1)
    cosine = 1 - Movie.embedding.cosine_distance(place.scalar_subquery())
    comparable = case((Movie.embedding_model == scope.model, cosine))
    return CLOSE * func.greatest(func.coalesce(comparable, 0.0) - CLOSE_FROM, 0.0)


def _nearest(ranking: Ranking, condition: ColumnElement[bool], scope: Scope, window: Window) -> Select[Any]:
    """Candidates by distance: the bare operator, so that the index can be used, unless exact."""
    score = (ranking.bias - ranking.distance).label("score")
    columns = _columns(scope, window)
    if ranking.closeness is not None:
        columns.append(ranking.closeness.label("closeness"))
    nearest = select(*columns, score, ranking.source.label("source"), ranking.version.label("version"))
    if ranking.current is None:
        nearest = nearest.join_from(FACTORS, Movie, Movie.id == FACTORS.c.movie_id).where(condition)
    else:
        nearest = nearest.where(condition, ranking.current)
    # An index knows nothing of filters and would come up short: what is filtered is searched exactly.
    exact = window.exact or scope.filters.narrows
    order = ranking.distance + 0 if exact else ranking.distance
    if ranking.first is not None and not exact:
        nearest = nearest.where(ranking.first)
    rows = window.offset + window.limit
    if ranking.closeness is None:
        return nearest.order_by(order).limit(rows)
    return _looked_at_closely(nearest.order_by(order).limit(max(rows, CANDIDATES)).subquery(), window)


def _looked_at_closely(nearest: Subquery, window: Window) -> Select[Any]:
    """The first of the nearest raised by how close they are; the others stay behind them."""
    rank = func.row_number().over(order_by=(nearest.c.score.desc(), nearest.c.id))
    score = (nearest.c.score + case((rank <= CANDIDATES, nearest.c.closeness), else_=0.0)).label("score")
    shown = [column for column in nearest.c if column.key not in ("score", "closeness", "source", "version")]
    closely = select(*shown, score, nearest.c.source, nearest.c.version)
    return closely.order_by(score.desc(), nearest.c.id).limit(window.offset + window.limit)


def _popular(condition: ColumnElement[bool], scope: Scope, window: Window) -> Select[Any]:
    score = (Movie.quality / QUALITY_SCALE).label("score")
    popular = select(*_columns(scope, window), score, literal("popular").label("source"), null().label("version"))
    return popular.where(condition).order_by(Movie.quality.desc(), Movie.id).limit(window.offset + window.limit)


def _columns(scope: Scope, window: Window) -> list[ColumnElement[Any]]:
    columns: list[Any] = list(SUMMARY_COLUMNS)
    if window.vectors:
        columns.append(
            case((Movie.embedding_model == scope.model, func.vector_send(Movie.embedding))).label("vector")
        )
    return columns


def _list_of(
    ranking: Ranking, near: ColumnElement[bool], popular: ColumnElement[bool], scope: Scope, window: Window
) -> Select[Any]:
    """Either the near or the popular. Sorted once more: an index scan may come back slightly out of order."""
    parts = {"popular": _popular(popular, scope, window)}
    if ranking.favoured is None:
        parts["nearest"] = _nearest(ranking, near, scope, window)
    else:
        parts["nearest"] = _nearest(
            ranking, and_(near, not_(func.coalesce(ranking.favoured, false()))), scope, window
        )
        raised, each = replace(ranking, bias=ranking.bias + ranking.bonus), replace(window, exact=True)
        parts["favoured"] = _nearest(raised, and_(near, ranking.favoured), scope, each)
    rows = union_all(*(select(part.subquery(name)) for name, part in parts.items())).subquery("rows")
    return (
        select(rows, _length(ranking, near, popular, scope).label("total"))
        .order_by(rows.c.score.desc(), rows.c.id)
        .limit(window.limit)
        .offset(window.offset)
    )


def _length(
    ranking: Ranking, near: ColumnElement[bool], popular: ColumnElement[bool], scope: Scope
) -> ColumnElement[Any]:
    """How long an unfiltered list is, without counting beyond its end."""
    if scope.filters.narrows:
        return null()
    some = select(Movie.id)
    has_place = ranking.current
    if has_place is None:
        has_place = FACTORS.c.movie_id.is_not(None)
        some = some.outerjoin(FACTORS, FACTORS.c.movie_id == Movie.id)
    some = some.where(or_(and_(near, has_place), popular))
    return select(func.count()).select_from(some.limit(LIST_END).subquery()).scalar_subquery()


def _ranked_by_title(title_query: str, title: str, scope: Scope) -> CTE:
    document = func.to_tsvector("simple", Movie.title + " " + func.coalesce(Movie.original_title, ""))
    matches = document.bool_op("@@")(func.to_tsquery("simple", title_query))
    same = func.lower(Movie.title) == title.lower()
    order = (same.desc(), Movie.quality.desc(), Movie.id)
    rank = func.row_number().over(order_by=order).label("rank")
    ranked = select(Movie.id, rank, same.label("same")).where(matches, scope.condition())
    return ranked.order_by(*order).limit(LIST_END).cte("titled")


def _ranked_by_meaning(meaning: Vector384, scope: Scope, *, limit: int = 100) -> CTE:
    vector = select(cast(meaning.tolist(), Vector(EMBEDDING_DIMENSION))).scalar_subquery()
    distance = Movie.embedding.cosine_distance(vector)
    nearest = select(Movie.id, distance.label("distance"))
    nearest = nearest.where(scope.condition(), Movie.embedding_model == scope.model)
    exact = scope.filters.narrows
    near = nearest.order_by(distance + 0 if exact else distance).limit(limit).subquery()
    rank = func.row_number().over(order_by=(near.c.distance, near.c.id)).label("rank")
    return select(near.c.id, rank).cte("meant")
