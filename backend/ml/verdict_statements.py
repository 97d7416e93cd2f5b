"""Why a film is, or is not, among someone's recommendations: in one statement."""

from typing import Any

from sqlalchemy import Select, false, func, not_, select

from backend.catalog.filters import MovieRef
from backend.catalog.store import filter_conditions, movie_is, visible
from backend.ml.list_statements import Scope
from backend.ml.taste_statements import Taste, product
from backend.ml.taste_store import FACTORS
from backend.models import Interaction, Movie, User

FAILS = "fails_"
"""The beginning of the columns that tell of a filter each."""


def verdict_statement(taste: Taste, ref: MovieRef, scope: Scope, *, user_id: str, n: int) -> Select[Any]:
    """One row on one film: what the person did with it, which filters it fails, its rank and what was needed.

    Every film is compared: a rank that an index guessed would not be one.
    """
    person = taste.profile_statement().cte("person")
    vector = select(person.c.vector).scalar_subquery()
    ranked = select(product(vector, FACTORS.c.q).label("score"))
    ranked = ranked.join_from(FACTORS, Movie, Movie.id == FACTORS.c.movie_id).where(scope.condition())
    others = ranked.cte("ranked")
    own = select(FACTORS.c.movie_id, product(vector, FACTORS.c.q).label("score")).subquery("own")
    # Also where the film itself has no factors.
    version = select(FACTORS.c.version).limit(1).scalar_subquery().label("version")
    acts = select(func.array_agg(Interaction.kind.distinct())).join(User, User.id == Interaction.user_id)
    acts = acts.where(User.external_id == user_id, Interaction.movie_id == Movie.id)
    kept_out = acts.where(Interaction.kind.not_in(scope.not_counting)).correlate(Movie).scalar_subquery()
    ahead = select(func.count()).select_from(others).where(others.c.score > own.c.score).correlate(own)
    needed = select(others.c.score).order_by(others.c.score.desc()).limit(1).offset(n - 1)
    fails = [
        not_(func.coalesce(filter_conditions(alone), false())).label(f"{FAILS}{name}")
        for name, alone in scope.filters.one_by_one()
    ]
    rank = (ahead.scalar_subquery() + 1).label("rank")
    told = (Movie.id, Movie.title, kept_out.label("acts"), own.c.score, version, rank)
    return (
        select(*told, needed.scalar_subquery().label("needed"), *fails)
        .outerjoin_from(Movie, own, own.c.movie_id == Movie.id)
        .where(movie_is(ref), visible(include_adult=scope.include_adult))
        .limit(1)
    )
