"""The SQL over the map of films."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import RowMapping, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backend.catalog.store import visible
from backend.models import FilmMap, Movie


class Placed(NamedTuple):
    """Films on a map."""

    ids: NDArray[np.int32]
    """Shape (films,)."""
    places: NDArray[np.float32]
    """Shape (films, 2), from 0 to 1."""


def find_made(session: Session) -> RowMapping | None:
    """`version`, of the factors that the map was made of, and `made_at`; None where there is no map."""
    return session.execute(select(FilmMap.version, FilmMap.made_at)).mappings().one_or_none()


def find_places(session: Session) -> Placed | None:
    """Where films lie, whether they may be shown or not; None where there is no map."""
    row = session.execute(select(FilmMap.movie_ids, FilmMap.x, FilmMap.y)).one_or_none()
    if row is None:
        return None
    return Placed(np.array(row.movie_ids, dtype=np.int32), np.array([row.x, row.y], dtype=np.float32).T)


def keep(session: Session, version: str, placed: Placed) -> None:
    """Put a map in place of the one before."""
    x, y = placed.places.T.tolist()
    made = insert(FilmMap).values(version=version, movie_ids=placed.ids.tolist(), x=x, y=y)
    changed = {name: made.excluded[name] for name in ("version", "made_at", "movie_ids", "x", "y")}
    session.execute(made.on_conflict_do_update(index_elements=[FilmMap.id], set_=changed))


def mapped_films(session: Session, *, include_adult: bool) -> dict[str, list[Any]]:
    """The films that may be shown, with their places, in columns, the best-known first."""
    points = (
        func.unnest(FilmMap.movie_ids, FilmMap.x, FilmMap.y)
        .table_valued("id", "x", "y", name="points")
        .render_derived()
    )
    columns = {
        "id": Movie.id,
        "x": points.c.x,
        "y": points.c.y,
        "title": Movie.title,
        "year": Movie.release_year,
        "votes": Movie.vote_count,
        "genre": Movie.genres[1],
    }
    films = (
        select(*columns.values()).select_from(FilmMap).join(points, true()).join(Movie, Movie.id == points.c.id)
    )
    shown = films.where(visible(include_adult=include_adult)).order_by(Movie.vote_count.desc(), Movie.id)
    rows = session.execute(shown).all()
    return {name: [row[place] for row in rows] for place, name in enumerate(columns)}
