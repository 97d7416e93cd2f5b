"""Films by the cosine of their embeddings: found in half precision, as the index has them, ordered in full."""

from typing import Any

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import ColumnElement, ScalarSelect, Select, TableValuedAlias, cast, func, select

from backend.models import EMBEDDING_DIMENSION, Movie

INDEXED = f"(embedding::halfvec({EMBEDDING_DIMENSION}))"
"""What an index over the embeddings is over, so that it serves `near_in_half`: half of the memory, and nothing of
the recall."""
SPARE = 10
"""So many more than are asked for are found: in half precision, equals may stand in another order."""


def near_in_half(vector: ColumnElement[Any]) -> ColumnElement[Any]:
    """The distance that an index finds the nearest by: ascending, and with a LIMIT."""
    half = HALFVEC(EMBEDDING_DIMENSION)
    # By a subquery, so that it is done once, and not for every film.
    halved = select(cast(vector, half)).scalar_subquery()
    distance: ColumnElement[Any] = cast(Movie.embedding, half).cosine_distance(halved)
    return distance


def nearest(
    vector: ScalarSelect[Any], condition: ColumnElement[bool], *, limit: int, exact: bool
) -> Select[*tuple[Any, ...]]:
    """The ids of the films nearest to a vector, and their `distance`, nearest first.

    Where it is exact, every film is compared: an index knows nothing of conditions, and would come up short.
    """
    distance = Movie.embedding.cosine_distance(vector)
    films = select(Movie.id, distance.label("distance"))
    if exact:
        return films.where(condition).order_by(distance + 0, Movie.id).limit(limit)
    near = select(Movie.id).where(condition).order_by(near_in_half(vector)).limit(limit + SPARE)
    found = near.cte("found").prefix_with("MATERIALIZED")
    return films.join(found, found.c.id == Movie.id).order_by(distance + 0, Movie.id).limit(limit)


def close_films(vector: ColumnElement[Any], *, limit: int) -> TableValuedAlias:
    """The ids of about the nearest films, and their `distance` in half: with less effort than an answer takes."""
    halved = select(cast(vector, HALFVEC(EMBEDDING_DIMENSION))).scalar_subquery()
    return func.close_films(halved, limit).table_valued("id", "distance", name="close")
