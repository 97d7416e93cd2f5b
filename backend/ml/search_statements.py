"""The statements that go by words, and the one that fetches what explanations compare."""

from collections.abc import Sequence
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import CTE, Integer, Select, and_, case, cast, false, func, literal, null, or_, select, union_all

from backend.catalog.filters import MovieRef
from backend.catalog.store import SUMMARY_COLUMNS, movie_is
from backend.ml.answer import LIST_END, Window
from backend.ml.embedding_statements import nearest
from backend.ml.list_statements import Scope, list_statement
from backend.ml.taste_statements import Taste, Vector384
from backend.ml.taste_store import FACTORS
from backend.models import EMBEDDING_DIMENSION, Movie


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
    score = (2.0 / (60 + meant.c.rank) + taste_counts / (60 + by_taste)).label("score")
    told = (literal("pgvector").label("source"), null().label("version"), false().label("ahead"))
    fused = select(meant.c.id, score, *told)
    fused = fused.outerjoin_from(meant, FACTORS, FACTORS.c.movie_id == meant.c.id)
    total = null() if scope.filters.narrows else select(func.count()).select_from(meant).scalar_subquery()
    return list_statement([fused], total, scope, window)


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
        Movie.hidden,
    ).where(wanted if ref is None else or_(wanted, movie_is(ref)))


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
    condition = and_(scope.condition(), Movie.embedding_model == scope.model)
    near = nearest(vector, condition, limit=limit, exact=scope.filters.narrows).subquery()
    rank = func.row_number().over(order_by=(near.c.distance, near.c.id)).label("rank")
    return select(near.c.id, rank).cte("meant")
