"""The life of the index over `movies.embedding`: built when it is due, tuned, measured every night, built again.

`index_plan.py` knows which index a catalogue should have, `index_build.py` builds it beside the one in force, and
`index_recall.py` asks what the statements that are served find with it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, Row, insert, select
from sqlalchemy.orm import Session

from backend.config import Settings
from backend.ml.index_build import (
    build,
    clear_away_unless_busy,
    count_films,
    find_index,
    let_scans_go_on,
    one_at_a_time,
    set_for_all,
    set_here,
    setting_here,
    tell_of_settings,
)
from backend.ml.index_plan import IndexPlan
from backend.ml.index_recall import NEIGHBOURS, Comparison, Recall, Series, draw
from backend.models import IndexMeasurement

log = structlog.get_logger()

WORN = 2.0
"""An index is built again once it takes so many times the room for a film that it took when it was new: what came
to it is of vectors that films no longer have."""


def ensure_index(engine: Engine, settings: Settings, *, rebuild: bool = False) -> str:
    """Bring the index to what the catalogue needs; says in one line what was done. Safe to repeat.

    The new index is built beside the old one, which answers until the moment it is replaced.
    """
    with engine.connect() as connection:
        index = _Care(connection, settings)
    if index.is_well and not rebuild:
        # Who only starts does not wait for another who measures, or builds what fits already once more.
        clear_away_unless_busy(engine)
        return _nothing_to_do(index)
    with _caring(engine, settings) as index:
        if rebuild or not index.fits:
            return index.build()
        return _nothing_to_do(index) if index.is_tuned else index.tune()


def tune_index(engine: Engine, settings: Settings) -> str:
    """Find the least effort that reaches RECALL_TARGET anew; builds first where another index is due."""
    with _caring(engine, settings) as index:
        return index.tune() if index.fits else index.build()


def check_index(engine: Engine, settings: Settings) -> str:
    """Measure what is found, and see to it: tune where that is too little, build where tuning does not help."""
    with _caring(engine, settings) as index:
        if not index.fits or index.is_worn:
            return index.build()
        if not index.is_tuned:
            return index.tune()
        said = index.measure("check")
        if index.reaches_target:
            return said
        said = index.tune()
        # Where it did no better when it was new, building it again would not help either.
        return index.build() if not index.reaches_target and index.did_better else said


def find_measurement(connection: Connection | Session, *, event: str | None = None) -> Row[Any] | None:
    """The newest measurement: what is in force; or the newest one after a build, a tuning, or of a night."""
    newest = select(IndexMeasurement.__table__).order_by(IndexMeasurement.id.desc()).limit(1)
    if event is not None:
        newest = newest.where(IndexMeasurement.event == event)
    return connection.execute(newest).first()


def history(session: Session, *, limit: int) -> Sequence[IndexMeasurement]:
    """The newest measurements, the newest first."""
    newest = select(IndexMeasurement).order_by(IndexMeasurement.id.desc()).limit(limit)
    return session.scalars(newest).all()


def status(session: Session) -> dict[str, Any]:
    """The index in force, as `/stats` shows it."""
    existing = find_index(session)
    newest = find_measurement(session)
    valid = existing if existing and existing.valid else None
    kind = valid.kind if valid else "exact"
    measured = newest if newest is not None and newest.kind == kind else None
    return {
        "kind": kind,
        "lists": measured.lists if measured else None,
        "probes": measured.probes if measured else None,
        "ef_search": measured.ef_search if measured else None,
        # Comparing with every film misses nothing.
        "recall_at_10": 1.0 if kind == "exact" else measured and measured.recall_at_10,
        "measured_at": measured.measured_at if measured else None,
        "size_bytes": valid.size if valid else None,
        "recall": measured.recalls if measured else [],
    }


def _nothing_to_do(index: "_Care") -> str:
    return f"index: {index.plan.kind} fits {index.films:,} films; nothing to do"


@contextmanager
def _caring(engine: Engine, settings: Settings) -> Iterator["_Care"]:
    with one_at_a_time(engine) as connection:
        index = _Care(connection, settings)
        yield index
        if index.has_changed:
            # Sessions of this process were opened with the old settings.
            engine.dispose()


class _Care:
    """The index of a database, in the hands of the one process that looks after it."""

    has_changed = False
    reaches_target = False
    """As of the last measurement."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._session = Session(connection)
        self._settings = settings
        self.films = count_films(connection)
        self.plan = IndexPlan.for_catalogue(self.films, wanted=settings.vector_index)
        existing = find_index(connection)
        self._existing = existing
        self._built = find_measurement(connection, event="build")
        self.fits = existing.fits(self.plan, self.films) if existing else self.plan.kind == "exact"

        newest = find_measurement(connection)
        tuned_for = (newest.kind, newest.target) if newest else None
        wanted = (self.plan.kind, settings.recall_target)
        self.is_tuned = self.plan.kind == "exact" or tuned_for == wanted
        """Whether the settings in force were found for this kind and this RECALL_TARGET."""

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do but to measure."""
        return self.fits and self.is_tuned

    @property
    def is_worn(self) -> bool:
        """Whether much of it is of vectors that films no longer have."""
        built, existing = self._built, self._existing
        if existing is None or built is None or built.kind != existing.kind or not built.size_bytes:
            return False
        return bool(existing.size / self.films > WORN * built.size_bytes / built.movies)

    @property
    def did_better(self) -> bool:
        """Whether it reached the target when it was new."""
        return self._built is None or bool(self._built.recall_at_10 >= self._settings.recall_target)

    def build(self) -> str:
        """Build, tune, measure."""
        # Before the new index answers: what is compared with everything takes longer than the tuning itself.
        _ = self._tuned_by
        build(self._connection, self.plan, self.films)
        self._existing = find_index(self._connection)
        return self.tune("build")

    def tune(self, event: str = "tune") -> str:
        """Find the least effort that reaches the target, make it the database's setting, and measure."""
        if self._existing is not None:
            plan = IndexPlan(self._existing.kind, lists=self._existing.lists)
            let_scans_go_on(self._connection)
            set_for_all(self._connection, plan.effort, str(plan.least_effort(self._is_enough)))
            tell_of_settings(self._connection)
        self.has_changed = True
        return self.measure(event)

    def measure(self, event: str) -> str:
        """Note down what is found with the settings in force."""
        found = [compared.shares() for compared in self._tuned_by]
        worst = round(min((Recall.of(shares).mean for shares in found), default=1.0), 4)
        told = [compared.told(shares) for compared, shares in zip(self._tuned_by, found, strict=True)]
        others = [Comparison(self._session, series) for series in self._series if not series.is_tuned]
        told += [compared.told(compared.shares()) for compared in others]
        self._note(event, worst, told)
        self.reaches_target = worst >= self._settings.recall_target
        if not self.reaches_target:
            log.warning("recall_below_target", recall=worst, target=self._settings.recall_target)
        return f"index: {self.plan.kind} over {self.films:,} films, recall@{NEIGHBOURS} {worst:.3f}"

    def _is_enough(self, effort: int) -> bool:
        """Surely, and however the lists are drawn."""
        set_here(self._connection, self.plan.effort, str(effort))
        target = self._settings.recall_target
        return all(Recall.of(compared.shares()).surely >= target for compared in self._tuned_by)

    @cached_property
    def _tuned_by(self) -> list[Comparison]:
        return [Comparison(self._session, series) for series in self._series if series.is_tuned]

    @cached_property
    def _series(self) -> list[Series]:
        return list(draw(self._session, self._settings))

    def _note(self, event: str, recall: float, told: list[dict[str, Any]]) -> None:
        existing = find_index(self._connection)
        kind = existing.kind if existing else "exact"
        effort = setting_here(self._connection, self.plan.effort) if existing else None
        self._connection.execute(
            insert(IndexMeasurement).values(
                event=event,
                kind=kind,
                movies=self.films,
                lists=existing.lists if existing else None,
                probes=effort if kind == "ivfflat" else None,
                ef_search=effort if kind == "hnsw" else None,
                target=self._settings.recall_target,
                recall_at_10=recall,
                recalls=told,
                size_bytes=existing.size if existing else None,
            )
        )
