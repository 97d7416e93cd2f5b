"""The SQL over people who have a name: those whom somebody is to choose from."""

from typing import Any

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.orm import Session

from backend.feedback.records import Profile
from backend.models import Interaction, PendingInteraction, User


def profiles(session: Session) -> list[Profile]:
    """All of them, those who came first at the top."""
    statement = _profiles_statement().where(User.name.is_not(None)).order_by(User.id)
    return [Profile(*row) for row in session.execute(statement)]


def add_profile(session: Session, user_id: str, *, name: str) -> Profile:
    """Somebody new, under an id that nobody has."""
    session.execute(insert(User).values(external_id=user_id, name=name))
    return Profile(user_id, name, 0)


def rename(session: Session, user_id: str, *, name: str) -> Profile | None:
    """Give somebody a name; None where nothing is held about them."""
    session.execute(update(User).where(User.external_id == user_id).values(name=name))
    row = session.execute(_profiles_statement().where(User.external_id == user_id)).one_or_none()
    return None if row is None else Profile(*row)


def _profiles_statement() -> Select[*tuple[Any, ...]]:
    acts, waiting = (
        select(func.count()).where(model.user_id == User.id).scalar_subquery()
        for model in (Interaction, PendingInteraction)
    )
    return select(User.external_id, User.name, acts + waiting)
