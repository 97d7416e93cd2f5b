"""The SQL that reads what the files of layers 2 and 3 are made of."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import BigInteger, Select, Text, case, cast, delete, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from backend.catalog.store import DETAIL_COLUMNS
from backend.ml.people_store import ACT, KIND_NUMBER, Person
from backend.ml.taste_store import find_active
from backend.models import Installation, Interaction, Movie, PeopleChange, User

AT_ONCE = 1000
"""Rows fetched at a time: memory stays flat, however large the catalogue."""
MOST_CHANGES = 10_000
CHANGES_KEPT = dt.timedelta(days=3)
"""Longer than any cache lives without being written anew."""


def hold_still(session: Session) -> None:
    """Let every statement of this transaction see the same moment."""
    session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


def database_id(session: Session) -> str:
    """Which database this is."""
    return str(session.scalar(select(Installation.id).limit(1)))


def fingerprint(session: Session, *, model: str) -> dict[str, Any]:
    """Which database this is, and the state of its films, their vectors and their factors."""
    # Over all, the transaction that wrote each row last: whoever changed whatever of a film, it is another.
    state = func.hashtextextended(func.concat(Movie.id, " ", literal_column("movies.xmin")), 0)
    movies, films = session.execute(select(func.count(Movie.id), func.sum(state))).one()
    return {
        "database": database_id(session),
        "model": model,
        "movies": movies,
        "films": str(films),
        "taste": find_active(session),
    }


def stream_films(session: Session, *, model: str, ids: Sequence[int] | None = None) -> Iterator[Mapping[str, Any]]:
    """Films in the order of ids, each with its vector in pgvector's binary form where it is this model's."""
    vector = case((Movie.embedding_model == model, func.vector_send(Movie.embedding))).label("vector")
    statement = select(*DETAIL_COLUMNS, Movie.adult, Movie.hidden, Movie.quality, vector).order_by(Movie.id)
    if ids is not None:
        statement = statement.where(Movie.id.in_(ids))
    for row in session.execute(statement, execution_options={"yield_per": AT_ONCE}).mappings():
        yield dict(row)


def next_unseen(session: Session) -> int:
    """The number of the oldest transaction whose changes this one may not see."""
    statement = select(cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger))
    return session.execute(statement).scalar_one()


def stream_people(session: Session, *, ids: Sequence[int] | None = None) -> Iterator[Person]:
    """Everyone, or some by their internal ids, with what they did."""
    columns = (Interaction.movie_id, Interaction.kind, Interaction.value, func.extract("epoch", Interaction.at))
    order = (Interaction.movie_id, Interaction.kind)
    lists = (func.array_agg(aggregate_order_by(column, *order)) for column in columns)
    statement: Select[*tuple[Any, ...]] = select(User.id, User.external_id, *lists).join(
        Interaction, Interaction.user_id == User.id
    )
    statement = statement.group_by(User.id).order_by(User.id)
    if ids is not None:
        statement = statement.where(User.id.in_(ids))
    for id_, external_id, movies, kinds, values, times in session.execute(
        statement, execution_options={"yield_per": AT_ONCE}
    ):
        acts = np.empty(len(movies), dtype=ACT)
        acts["movie_id"] = movies
        acts["kind"] = [KIND_NUMBER[kind] for kind in kinds]
        acts["value"] = [np.nan if value is None else value for value in values]
        acts["at"] = [float(moment) for moment in times]
        yield Person(id_, external_id, acts)


def changed_people(session: Session, *, since: int) -> list[Person] | None:
    """Who changed in that transaction or a later one, as they are now; those who are gone without a name.

    None where they are so many that reading everyone is better.
    """
    changed = select(PeopleChange.user_id).where(PeopleChange.changed_in >= since).distinct()
    ids = session.scalars(changed).all()
    if not ids:
        return []
    if len(ids) > MOST_CHANGES:
        return None
    here = {person.id: person for person in stream_people(session, ids=ids)}
    return [here.get(id_) or Person(id_, None, np.empty(0, dtype=ACT)) for id_ in ids]


def forget_old_changes(session: Session) -> None:
    """Drop the notes that every cache has seen."""
    session.execute(delete(PeopleChange).where(PeopleChange.at < func.now() - CHANGES_KEPT))
