"""What all lists of films have in common: what they may hold, their columns, their length, popular films."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    null,
    select,
    true,
    union_all,
)

from backend.catalog.filters import NO_FILTERS, Filters
from backend.catalog.store import SUMMARY_COLUMNS, filter_conditions, visible
from backend.ml.answer import LIST_END, NOT_A_VERDICT, QUALITY_SCALE, Window
from backend.models import Interaction, Movie, User


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
        return and_(self.shown(), self.not_left_out(Movie.id))

    def shown(self) -> ColumnElement[bool]:
        """Of it, what only `movies` tells."""
        return and_(visible(include_adult=self.include_adult), filter_conditions(self.filters))

    def not_left_out(self, film: Any) -> ColumnElement[bool]:
        """The rest of it, which an id tells."""
        conditions: list[ColumnElement[bool]] = [true()]
        if self.without:
            conditions.append(film.not_in(self.without))
        if self._done is not None:
            conditions.append(film.not_in(select(self._done.c.movie_id)))
        return and_(*conditions)

    def left_out(self) -> ColumnElement[int]:
        """How many films that leaves out, at most."""
        without: ColumnElement[int] = literal(len(self.without))
        if self._done is None:
            return without
        return without + select(cast(func.count(), Integer)).select_from(self._done).scalar_subquery()

    @cached_property
    def _done(self) -> CTE | None:
        """The person's films: read once, however often a statement asks."""
        if self.unless_done_by is None:
            return None
        films = select(Interaction.movie_id).join(User, User.id == Interaction.user_id)
        films = films.where(User.external_id == self.unless_done_by, Interaction.kind.not_in(self.not_counting))
        return materialized(films, "done")


def materialized(rows: Select[Any], name: str) -> CTE:
    """Rows that are found before anything else is done with them."""
    return rows.cte(name).prefix_with("MATERIALIZED")


def list_statement(
    parts: Sequence[Select[Any]], total: ColumnElement[Any], scope: Scope, window: Window
) -> Select[Any]:
    """The films of a window, out of parts that rank them: `id`, `score`, `source`, `version`, `ahead`.

    Those ahead come before the others, whatever their score. Only when it is known which films these are, the rest
    of them is read.
    """
    rows = union_all(*(select(part.subquery()) for part in parts)).subquery("rows")
    ordered = select(rows).order_by(rows.c.ahead.desc(), rows.c.score.desc(), rows.c.id)
    ranked = materialized(ordered.limit(window.limit).offset(window.offset), "ranked")
    told = (ranked.c.score, ranked.c.source, ranked.c.version, total.label("total"))
    shown = select(*_columns(scope, window), *told).join_from(ranked, Movie, Movie.id == ranked.c.id)
    return shown.order_by(ranked.c.ahead.desc(), ranked.c.score.desc(), Movie.id)


def popular_films(condition: ColumnElement[bool], window: Window) -> Select[Any]:
    """A part of a list: the best films, where nothing better is known."""
    score = (Movie.quality / QUALITY_SCALE).label("score")
    columns: list[Any] = [Movie.id, score, literal("popular").label("source")]
    popular = select(*columns, null().label("version"), false().label("ahead")).where(condition)
    return popular.order_by(Movie.quality.desc(), Movie.id).limit(window.offset + window.limit)


def length(films: Select[Any], scope: Scope) -> ColumnElement[Any]:
    """How long an unfiltered list is, without counting beyond its end."""
    if scope.filters.narrows:
        return null()
    # In the order of ids, so that it is the same few pages that are read each time.
    some = films.order_by(Movie.id).limit(LIST_END).subquery()
    return select(func.count()).select_from(some).scalar_subquery()


def _columns(scope: Scope, window: Window) -> list[ColumnElement[Any]]:
    columns: list[Any] = list(SUMMARY_COLUMNS)
    if window.vectors:
        columns.append(
            case((Movie.embedding_model == scope.model, func.vector_send(Movie.embedding))).label("vector")
        )
    return columns
