"""What the tests of fetching share: a run of its own, and what it left behind."""

import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, text

from backend.catalog.fetching import AT_ONCE
from backend.catalog.pipeline import fetch_catalogue
from backend.catalog.planning import Wanted
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbClient, TmdbConfig
from tests.tmdb_stand_in import KEY, TmdbStandIn

LISTS = Wanted(lists=True)
UNDER_WAY = int(TmdbConfig.threads * AT_ONCE)
"""Films that a run which is killed may have asked for in vain."""


def connect(tmdb: TmdbStandIn, **fields: Any) -> TmdbClient:
    """A client that waits for nothing but what it is told to wait for."""
    quick = {"key": KEY, "base_url": tmdb.url, "rate": 1000, "backoff": 0.001, "tries": 2}
    return TmdbClient(TmdbConfig(**quick | fields))


def fetch(
    tmdb: TmdbStandIn, wanted: Wanted = LISTS, *, on_stored: Callable[[], None] | None = None, **fields: Any
) -> LoadSummary:
    """A run; the stand-in forgets what was asked for before."""
    # A run that was interrupted leaves answers to come.
    for thread in threading.enumerate():
        if thread.name.startswith("tmdb"):
            thread.join()
    tmdb.requests.clear()
    with connect(tmdb, **fields) as client:
        return fetch_catalogue(client, wanted, on_stored=on_stored)


def everything(tmdb: TmdbStandIn) -> Wanted:
    """Every film of the export."""
    return Wanted(everything=True, export_url=tmdb.export_url)


def rows(engine: Engine, columns: str, table: str = "movies") -> dict[Any, Any]:
    """Columns of a table by its first one, its key."""
    key = {"movies": "id", "fetch_queue": "id", "rejects": "name", "fetch_positions": "source"}[table]
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT {key}, {columns} FROM {table} ORDER BY {key}"))  # noqa: S608
        return {row[0]: tuple(row[1:]) if len(row) > 2 else row[1] for row in found}


def change(engine: Engine, statement: str, **values: Any) -> None:
    """Do something to the database."""
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def await_films(engine: Engine, *films: int) -> None:
    """Someone has an opinion of films that are not there."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO users (external_id) VALUES ('someone') ON CONFLICT DO NOTHING"))
        statement = """
            INSERT INTO pending_interactions (user_id, tmdb_id, kind)
            SELECT users.id, film, 'like' FROM users, unnest(CAST(:films AS integer[])) AS film
        """
        connection.execute(text(statement), {"films": list(films)})
