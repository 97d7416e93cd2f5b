"""Recall against rate for the indexes that the service knows how to build, in a database that may be changed."""

import time
from typing import Any

from sqlalchemy import Engine

from backend.ml.index_build import build, count_films, find_index, let_scans_go_on, one_at_a_time, set_here
from backend.ml.index_plan import IndexPlan, lists_for
from benchmarks.films import Films, Places, bare_recall
from benchmarks.server import pgbench

EFFORTS = {"hnsw": (20, 40, 80, 120, 200, 300, 500), "ivfflat": (1, 4, 10, 20, 40, 80)}

Lines = dict[str, list[dict[str, float]]]


def curves(
    copy: Engine, films: Films, places: Places, *, statement: str, exact: str, seconds: float
) -> tuple[dict[str, Any], Lines]:
    """What building each index takes, and of each what more effort brings."""
    built: dict[str, Any] = {}
    lines: Lines = {}
    for kind in ("hnsw", "ivfflat"):
        plan = _build(copy, kind, built)
        # In turns with what it is compared to: a machine is not equally fast all the time.
        lines[kind] = [
            {"effort": effort, "recall": _recall(copy, plan, effort, films, places, statement=statement)}
            | _rate(copy, statement, exact, seconds=seconds, settings={plan.effort: effort})
            for effort in EFFORTS[kind]
            if effort <= plan.most
        ]
    return built, lines


def _build(copy: Engine, kind: str, built: dict[str, Any]) -> IndexPlan:
    with one_at_a_time(copy) as connection:
        films = count_films(connection)
        plan = IndexPlan("ivfflat", lists=lists_for(films)) if kind == "ivfflat" else IndexPlan("hnsw")
        let_scans_go_on(connection)
        begin = time.perf_counter()
        build(connection, plan, films)
        seconds = time.perf_counter() - begin
        existing = find_index(connection)
        assert existing is not None
        built[kind] = {"seconds": seconds, "mb": existing.size / 2**20, "lists": existing.lists}
    return plan


def _recall(copy: Engine, plan: IndexPlan, effort: int, films: Films, places: Places, *, statement: str) -> float:
    with copy.connect() as connection:
        set_here(connection, plan.effort, str(effort))
        found = bare_recall(connection, films, places, statement)
        connection.detach()
    return found


def _rate(
    copy: Engine, statement: str, exact: str, *, seconds: float, settings: dict[str, int]
) -> dict[str, float]:
    rate = pgbench(copy, statement, seconds=seconds, settings=settings)
    reference = pgbench(copy, exact, seconds=seconds)
    return {"rate": rate, "exact": reference, "against_exact": rate / reference}
