"""hnswlib over the same embeddings, without a database: what the algorithm by itself can do, where installed."""

import time
from importlib.util import find_spec
from typing import Any

import numpy as np

from backend.ml.index_plan import HNSW_EF_CONSTRUCTION, HNSW_M
from benchmarks.films import NEIGHBOURS, TIES, Floats, Places
from benchmarks.server import CLIENTS

PACKAGE = "hnswlib"
EFFORTS = (10, 20, 30, 40, 60, 80, 120, 160, 200, 300, 400)
SECONDS = 3.0


def measure(units: Floats, places: Places, *, least_recall: float) -> dict[str, Any] | None:
    """Its build, and its rate at the least effort that finds as much as ours; None where it is not installed."""
    if find_spec(PACKAGE) is None:
        return None
    import hnswlib

    index = hnswlib.Index(space="cosine", dim=units.shape[1])
    index.init_index(len(units), M=HNSW_M, ef_construction=HNSW_EF_CONSTRUCTION)
    index.set_num_threads(CLIENTS)
    begin = time.perf_counter()
    index.add_items(units)
    figures = {"build_seconds": time.perf_counter() - begin}
    least = np.sort(units[places] @ units.T, axis=1)[:, -NEIGHBOURS] - TIES["embedding"]
    for effort in EFFORTS:
        index.set_ef(effort)
        found, _ = index.knn_query(units[places], k=NEIGHBOURS)
        cosines = np.einsum("qd,qnd->qn", units[places], units[found.astype(np.intp)])
        recall = float((cosines >= least[:, None]).mean())
        if recall >= least_recall:
            break
    return figures | {"effort": effort, "recall": recall, "rate": _rate(index, units[places])}


def _rate(index: Any, queries: Floats) -> float:
    """Queries a second, as many threads at once as pgbench has clients."""
    begin, done = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        index.knn_query(queries, k=NEIGHBOURS)
        done += len(queries)
    return done / (time.perf_counter() - begin)


def told(figures: dict[str, Any] | None, rates: dict[str, Any]) -> str:
    """One line."""
    if figures is None:
        return "hnswlib in process: not installed"
    times = figures["rate"] / rates["index"]
    return (
        f"hnswlib in process: {times:.1f} times the rate of pgbench, at recall {figures['recall']:.4f} "
        f"(ef {figures['effort']}); built in {figures['build_seconds']:.0f} s"
    )
