"""The index over `movies.embedding`: choose a kind, build it beside the old one, measure its recall."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import structlog
from sqlalchemy import Connection, Engine, Row, func, insert, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.errors import SetupError
from backend.models import IndexMeasurement, Movie

log = structlog.get_logger()

Kind = Literal["exact", "ivfflat", "hnsw"]

INDEX = "movies_embedding_idx"
NEW_INDEX = "movies_embedding_idx_new"
EXACT_LIMIT = 10_000
"""Up to this many films comparing with all of them takes a few milliseconds, and misses nothing."""
REGROW = 2.0
"""An IVFFlat index is rebuilt when the number of lists that the rule gives differs by this factor."""
BYTES_A_FILM = 4 * 384 + 512
"""What an HNSW graph takes of memory while it is built."""
HNSW_M, HNSW_EF_CONSTRUCTION = 16, 64
SAMPLE = 200
"""Films whose neighbours are compared when recall is measured."""
NEIGHBOURS = 10
TIE = 1e-6
"""Distances this close count as equal: of two films with the same text either is right."""


@dataclass(frozen=True)
class IndexPlan:
    """The index that a catalogue of some size should have."""

    kind: Kind
    lists: int | None = None

    @classmethod
    def for_catalogue(cls, films: int, *, wanted: str) -> "IndexPlan":
        """What VECTOR_INDEX and the number of embedded films come to.

        IVFFlat gets sqrt(films) lists: half of a search is then spent on lists and half on films.
        """
        if wanted == "exact" or (wanted == "auto" and films <= EXACT_LIMIT) or films == 0:
            return cls("exact")
        if wanted == "ivfflat":
            return cls("ivfflat", lists=max(1, round(math.sqrt(films))))
        return cls("hnsw")

    def definition(self, vectors: str, operators: str) -> str:
        """What follows `ON <table>` in CREATE INDEX, for a column and what it is compared by."""
        if self.kind == "ivfflat":
            return f"USING ivfflat ({vectors} {operators}) WITH (lists = {self.lists})"
        options = f"m = {HNSW_M}, ef_construction = {HNSW_EF_CONSTRUCTION}"
        return f"USING hnsw ({vectors} {operators}) WITH ({options})"

    @property
    def effort(self) -> str:
        """The setting that trades time for recall."""
        return "ivfflat.probes" if self.kind == "ivfflat" else "hnsw.ef_search"

    @property
    def efforts(self) -> Iterator[int]:
        """Values of that setting to try, the cheapest first: from the rule upwards, half as much again."""
        value, most = (math.isqrt(self.lists or 1), self.lists or 1) if self.kind == "ivfflat" else (40, 1000)
        while value < most:
            yield value
            value += max(1, value // 2)
        yield most


@dataclass(frozen=True)
class ExistingIndex:
    """The index that a database has."""

    kind: Kind
    lists: int | None
    valid: bool


class Recall(NamedTuple):
    """Recall as measured on a sample."""

    mean: float
    error: float
    """The standard error of the mean."""

    @property
    def surely(self) -> float:
        """What it is at least, with 97.5 % confidence: a lucky sample must not pass for a good index."""
        return self.mean - 1.96 * self.error


def find_index(connection: Connection | Session, name: str = INDEX) -> ExistingIndex | None:
    """The index of that name on `movies`, whoever built it; None where there is none."""
    row = connection.execute(_FIND_INDEX, {"name": name}).one_or_none()
    return None if row is None else ExistingIndex(row.kind, row.lists, row.valid)


def find_measurement(connection: Connection | Session) -> Row[Any] | None:
    """The newest measurement: what is in force."""
    newest = select(IndexMeasurement.__table__).order_by(IndexMeasurement.id.desc()).limit(1)
    return connection.execute(newest).first()


def ensure_index(engine: Engine, settings: Settings, *, rebuild: bool = False) -> str:
    """Bring the index to what the catalogue needs; says in one line what was done. Safe to repeat.

    The new index is built beside the old one, which answers until the moment it is replaced.
    """
    with _one_at_a_time(engine) as connection:
        # What an interrupted build left behind answers nothing and slows every write.
        connection.execute(text(f"DROP INDEX CONCURRENTLY IF EXISTS {NEW_INDEX}"))
        films = connection.scalar(select(func.count(Movie.embedding))) or 0
        plan = IndexPlan.for_catalogue(films, wanted=settings.vector_index)
        existing = find_index(connection)
        if not rebuild and _fits(existing, plan) and _is_measured(connection, plan):
            return f"index: {plan.kind} fits {films:,} films; nothing to do"
        if rebuild or not _fits(existing, plan):
            _build(engine, connection, plan, films)
        recall = _tune(connection, plan, films, target=settings.recall_target)
        # Sessions of this process were opened with the old settings.
        engine.dispose()
        return f"index: {plan.kind} over {films:,} films, recall@{NEIGHBOURS} {recall:.3f}"


def status(session: Session) -> dict[str, Any]:
    """The index in force, as `/stats` shows it."""
    existing = find_index(session)
    newest = find_measurement(session)
    kind = existing.kind if existing and existing.valid else "exact"
    measured = newest if newest is not None and newest.kind == kind else None
    return {
        "kind": kind,
        "lists": measured.lists if measured else None,
        "probes": measured.probes if measured else None,
        "ef_search": measured.ef_search if measured else None,
        # Comparing with every film misses nothing.
        "recall_at_10": 1.0 if kind == "exact" else measured and measured.recall_at_10,
        "measured_at": measured.measured_at if measured else None,
    }


@contextmanager
def _one_at_a_time(engine: Engine) -> Iterator[Connection]:
    """A connection outside of transactions, as CONCURRENTLY asks for, that no other process shares the work of."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # Asked for again and again: CREATE INDEX CONCURRENTLY waits for every running statement, and so for one
        # that waited here for the end of that very build.
        while not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext('marquee index'))")):
            time.sleep(0.2)
        # Not back into the pool: the lock, and what is set for building and measuring, end with the session.
        connection.detach()
        yield connection


def _fits(existing: ExistingIndex | None, plan: IndexPlan) -> bool:
    if existing is None or not existing.valid:
        return existing is None and plan.kind == "exact"
    if existing.kind != plan.kind:
        return False
    if plan.lists is None or existing.lists is None:
        return True
    return 1 / REGROW < existing.lists / plan.lists < REGROW


def _is_measured(connection: Connection, plan: IndexPlan) -> bool:
    newest = find_measurement(connection)
    return plan.kind == "exact" or (newest is not None and newest.kind == plan.kind)


def _build(engine: Engine, connection: Connection, plan: IndexPlan, films: int) -> None:
    if plan.kind != "exact":
        log.info("index_build", kind=plan.kind, films=films)
        megabytes = max(64, films * BYTES_A_FILM // 2**20)
        definition = plan.definition("embedding", "vector_cosine_ops")
        connection.execute(text(f"SET maintenance_work_mem = '{megabytes}MB'"))
        connection.execute(text(f"CREATE INDEX CONCURRENTLY {NEW_INDEX} ON movies {definition}"))
    with engine.begin() as swap:
        swap.execute(text(f"DROP INDEX IF EXISTS {INDEX}"))
        if plan.kind != "exact":
            swap.execute(text(f"ALTER INDEX {NEW_INDEX} RENAME TO {INDEX}"))
    connection.execute(text("ANALYZE movies"))


def _tune(connection: Connection, plan: IndexPlan, films: int, *, target: float) -> float:
    """Find the least effort that reaches the target, make it the database's setting, and note it down."""
    if plan.kind == "exact":
        return 1.0
    for name, value in _iterative_scan(connection).items():
        _set_for_all(connection, name, value)
    true_reach = _true_reach(connection)
    # While the catalogue is small the planner would pass the index by, and the recall be that of no index.
    connection.execute(text("SET enable_seqscan = off"))
    recall, effort = Recall(0.0, 0.0), 0
    for effort in plan.efforts:
        connection.execute(select(func.set_config(plan.effort, str(effort), False)))
        recall = _recall(connection, true_reach)
        if recall.surely >= target:
            break
    connection.execute(text("RESET enable_seqscan"))
    _set_for_all(connection, plan.effort, str(effort))
    _note(connection, plan, films, effort=effort, recall=recall.mean)
    return recall.mean


def _iterative_scan(connection: Connection) -> dict[str, str]:
    """Settings that let a scan go on until it has enough rows; pgvector has them since 0.8."""
    version = connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    if tuple(int(part) for part in str(version).split(".")[:2]) < (0, 8):
        return {}
    return {"hnsw.iterative_scan": "strict_order", "ivfflat.iterative_scan": "relaxed_order"}


def _set_for_all(connection: Connection, name: str, value: str) -> None:
    """Set it for this session and for every session that is opened from now on, by whatever program."""
    database = connection.scalar(text("SELECT quote_ident(current_database())"))
    statement = f"ALTER DATABASE {database} SET {name} = {value}"
    try:
        connection.execute(text(statement))
    except ProgrammingError as error:
        raise SetupError(f"This role may not set {name}; run as the database's owner: {statement};") from error
    connection.execute(select(func.set_config(name, value, False)))


def _true_reach(connection: Connection) -> dict[int, float]:
    """For a fixed sample of films the distance of the tenth neighbour, found by comparing with all."""
    return {row.id: row.reach for row in connection.execute(_TRUE_REACH, {"sample": SAMPLE, "k": NEIGHBOURS})}


def _recall(connection: Connection, true_reach: dict[int, float]) -> Recall:
    """The share of true neighbours among those that the index finds, over the sample."""
    reaches = [reach + TIE for reach in true_reach.values()]
    rows = connection.execute(_FOUND, {"ids": list(true_reach), "reaches": reaches, "k": NEIGHBOURS})
    shares = np.array([row.found / NEIGHBOURS for row in rows])
    return Recall(float(shares.mean()), float(shares.std() / math.sqrt(len(shares))))


def _note(connection: Connection, plan: IndexPlan, films: int, *, effort: int, recall: float) -> None:
    connection.execute(
        insert(IndexMeasurement).values(
            kind=plan.kind,
            movies=films,
            lists=plan.lists,
            probes=effort if plan.kind == "ivfflat" else None,
            ef_search=effort if plan.kind == "hnsw" else None,
            recall_at_10=recall,
        )
    )


_FIND_INDEX = text("""
    SELECT am.amname AS kind, i.indisvalid AS valid,
        (SELECT option_value::integer FROM pg_options_to_table(c.reloptions) WHERE option_name = 'lists') AS lists
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am am ON am.oid = c.relam
    WHERE i.indrelid = to_regclass('movies') AND c.relname = :name
""")

# Adding 0 hides the operator from the index.
_TRUE_REACH = text("""
    SELECT s.id, max(n.distance) AS reach
    FROM (SELECT id, embedding FROM movies WHERE embedding IS NOT NULL ORDER BY md5(id::text) LIMIT :sample) s
    CROSS JOIN LATERAL (
        SELECT m.embedding <=> s.embedding AS distance
        FROM movies m
        WHERE m.id <> s.id
        ORDER BY (m.embedding <=> s.embedding) + 0
        LIMIT :k
    ) n
    GROUP BY s.id
""")

_FOUND = text("""
    SELECT s.id, count(n.distance) FILTER (WHERE n.distance <= s.reach) AS found
    FROM unnest(CAST(:ids AS integer[]), CAST(:reaches AS double precision[])) AS s (id, reach)
    LEFT JOIN LATERAL (
        SELECT m.embedding <=> (SELECT embedding FROM movies WHERE id = s.id) AS distance
        FROM movies m
        WHERE m.id <> s.id
        ORDER BY m.embedding <=> (SELECT embedding FROM movies WHERE id = s.id)
        LIMIT :k
    ) n ON true
    GROUP BY s.id
""")
