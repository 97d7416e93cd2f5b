"""An installation on a PostgreSQL that others start, stop, kill and freeze, and what is known of its people."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from backend.catalog.records import parse_record
from backend.catalog.sources import read_starter
from backend.catalog.store import claim_pending, save_embeddings, upsert
from backend.config import PACKAGED_MODEL
from backend.database import CONNECT_ARGS
from backend.embedded_postgres import EmbeddedPostgres
from backend.feedback.records import NewInteraction
from backend.feedback.store import record
from backend.migrations import migrate
from backend.models import EMBEDDING_DIMENSION
from tests.test_embedded_postgres import eventually, postmaster
from tests.test_serve import Service, serving

FILMS, PEOPLE, LIKES = 1000, 30, 15
CONNECTIONS = 40
"""So many that a test can take them all."""
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class World:
    """A database on a server of its own, the DATA_DIR of a service on it, and what people did."""

    def __init__(self, home: Path) -> None:
        self.data = home / "data"
        self.data.mkdir()
        self.server = EmbeddedPostgres(home / "postgres")
        self.server.start()
        self.administer(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}", "CREATE DATABASE marquee")
        self.server.stop()
        self.server.start()
        self.films: list[int] = []
        self.done: dict[str, set[int]] = {}
        self._fill()

    @property
    def url(self) -> str:
        """What DATABASE_URL is set to."""
        return self.server.url()

    @contextmanager
    def engine(self, **options: Any) -> Iterator[Engine]:
        """A way to the database that leaves no connection behind."""
        engine = create_engine(self.url, poolclass=NullPool, connect_args=CONNECT_ARGS, **options)
        yield engine
        engine.dispose()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement, which is committed."""
        with self.engine(isolation_level="AUTOCOMMIT") as engine, engine.connect() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    def administer(self, *statements: str) -> None:
        """Run statements outside of the database."""
        engine = create_engine(self.server.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def serving(self, *options: str, **more: str) -> Any:
        """The service, without a scheduler unless told otherwise."""
        return serving(self.data, *options, DATABASE_URL=self.url, **more)

    def processes(self) -> list[psutil.Process]:
        """Those of the server."""
        head = postmaster(self.server.directory)
        return [head, *head.children(recursive=True)]

    def stop(self, number: int) -> None:
        """End the server by a signal to its head; returns when all of it is gone."""
        processes = self.processes()
        processes[0].send_signal(number)
        _, alive = psutil.wait_procs(processes, timeout=60)
        assert not alive

    def kill(self) -> None:
        """As the kernel does it where memory runs out: all of it, without a word."""
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=10)

    def _fill(self) -> None:
        with self.engine() as engine:
            migrate(engine)
            with Session(engine) as session, session.begin():
                raw = [raw for _, raw in read_starter()][:FILMS]
                upsert(session, [parse_record(one) for one in raw], source="starter")
                self._embed(session)
                self._meet_people(session)

    def _embed(self, session: Session) -> None:
        """Directions at random: nothing here is about what the films are like."""
        waiting = claim_pending(session, model=PACKAGED_MODEL, limit=FILMS)
        self.films = [film.id for film in waiting]
        rows = np.random.default_rng(0).standard_normal((len(waiting), EMBEDDING_DIMENSION)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        save_embeddings(session, self.films, rows, model=PACKAGED_MODEL)

    def _meet_people(self, session: Session) -> None:
        rng = np.random.default_rng(1)
        for number in range(PEOPLE):
            self.done[f"person {number}"] = {int(film) for film in rng.choice(self.films, LIKES, replace=False)}
        acts = [(person, film) for person, films in self.done.items() for film in sorted(films)]
        record(session, [NewInteraction(who, "like", None, NOW, film, None, None, None) for who, film in acts])


def is_well(service: Service) -> bool:
    """Whether the database answers."""
    return bool(service.ask("/recommendations/person%200").json()["source"] == "pgvector")


def wait_until_well(service: Service) -> None:
    """So that a test begins with all in order, the words of searches too."""
    eventually(lambda: is_well(service), "the database answers")
    eventually(lambda: service.ask("/health/ready").json().get("encoder") == "loaded", "the encoder is loaded")


def layer_up(service: Service, layer: str) -> bool:
    """What the metrics say of a layer."""
    return f'marquee_layer_up{{layer="{layer}"}} 1.0' in service.ask("/metrics").text
