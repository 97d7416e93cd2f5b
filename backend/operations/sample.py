"""A sample of what a database answers, by which it can be told from one that only looks the same."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from backend.ml.cache_store import hold_still
from backend.ml.pgvector_recommender import PgvectorConfig, PgvectorRecommender
from backend.models import Interaction, Movie, User

Key = TypeVar("Key", int, str)

EACH = 5
"""Films known best, films drawn by their ids, and people: so many of each."""
MAY_DIFFER = 1
"""Films of a list that may be others: of two that are all but equal another processor may put the other first."""


class Sample(BaseModel):
    """Lists of film ids."""

    similar: dict[int, list[int]]
    """By film."""
    recommended: dict[str, list[int]]
    """By what clients call the person."""

    @property
    def lists(self) -> int:
        """How many."""
        return len(self.similar) + len(self.recommended)

    def differing(self, other: "Sample") -> int:
        """How many lists are not the same in another sample."""
        return _differing(self.similar, other.similar) + _differing(self.recommended, other.recommended)


def draw(session: Session) -> tuple[list[int], list[str]]:
    """Films and people to ask about."""
    shown = select(Movie.id).where(~Movie.adult, ~Movie.hidden).limit(EACH)
    known = session.scalars(shown.order_by(Movie.vote_count.desc(), Movie.id)).all()
    others = session.scalars(shown.order_by(func.hashint4(Movie.id), Movie.id)).all()
    busiest = select(Interaction.user_id).group_by(Interaction.user_id).limit(EACH)
    busiest = busiest.order_by(func.count().desc(), Interaction.user_id)
    people = session.scalars(select(User.external_id).where(User.id.in_(busiest)).order_by(User.id)).all()
    return sorted({*known, *others}), list(people)


def ask(session: Session, films: Sequence[int], people: Sequence[str], *, config: PgvectorConfig) -> Sample:
    """What the database answers without any index: one over vectors finds others each time it is built."""
    session.execute(text("SET LOCAL enable_indexscan = off"))
    recommender = PgvectorRecommender(session, config)
    similar = {film: recommender.get_similar_movies(film) for film in films}
    recommended = {person: recommender.get_recommendations(person) for person in people}
    return Sample(
        similar={film: [movie.id for movie, _ in found] for film, found in similar.items()},
        recommended={person: [movie.id for movie, _ in found] for person, found in recommended.items()},
    )


def ask_again(session: Session, sample: Sample, *, config: PgvectorConfig) -> Sample:
    """What another database answers to the same questions."""
    hold_still(session)
    return ask(session, list(sample.similar), list(sample.recommended), config=config)


def _differing(ours: Mapping[Key, list[int]], theirs: Mapping[Key, list[int]]) -> int:
    return sum(len(set(found) - set(theirs[key])) > MAY_DIFFER for key, found in ours.items())
