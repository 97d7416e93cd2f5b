"""Rows of films for a catalogue of any size: real ones from an installation, and copies of them."""

import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from backend.ml.table_copy import copy_rows
from backend.models import EMBEDDING_DIMENSION, Movie
from benchmarks.films import Films

COLUMNS = [column.name for column in Movie.__table__.columns if column.computed is None]


def bring_films(source: Engine, engine: Engine, ids: NDArray[np.int32]) -> None:
    """The rows of these films, out of one database into another."""
    columns = ", ".join(COLUMNS)
    with tempfile.TemporaryFile() as file, source.connect() as connection, engine.begin() as other:
        _without_triggers(other)
        with _driver(connection).cursor() as cursor:
            chosen = f"SELECT {columns} FROM movies WHERE id = ANY(%s)"  # noqa: S608
            cursor.copy_expert(f"COPY ({cursor.mogrify(chosen, [ids.tolist()]).decode()}) TO STDOUT", file)
        file.seek(0)
        with _driver(other).cursor() as cursor:
            cursor.copy_expert(f"COPY movies ({columns}) FROM STDIN", file)


def add_copies(engine: Engine, *, originals: NDArray[np.int32], copies: Films, number: int) -> None:
    """Films like the originals, with ids and embeddings of their own, and in collections of their own."""
    values = {"id": "c.movie_id", "embedding": "c.embedding", "imdb_id": "NULL"}
    values["collection"] = f"m.collection || ' {number}'"
    taken = ", ".join(values.get(name, f"m.{name}") for name in COLUMNS)
    with engine.begin() as connection:
        _without_triggers(connection)
        connection.execute(
            text(
                "CREATE TEMPORARY TABLE copies "
                f"(movie_id integer, original integer, embedding vector({EMBEDDING_DIMENSION})) ON COMMIT DROP"
            )
        )
        given = {"movie_id": copies.ids, "original": originals, "embedding": copies.units}
        copy_rows(connection, "copies", given)
        connection.execute(
            text(
                f"INSERT INTO movies ({', '.join(COLUMNS)}) "  # noqa: S608
                f"SELECT {taken} FROM copies c JOIN movies m ON m.id = c.original"
            )
        )


def _without_triggers(connection: Connection) -> None:
    connection.execute(text("SET LOCAL session_replication_role = replica"))


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection
