"""What the index finds, how fast that is, and what other indexes would make of the same films.

Recall is against numpy's products over every film. Rates are pgbench's, of a bare statement for ten neighbours, in
turns with those of exact search. Indexes are built and compared in a copy of the database, which is dropped.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from backend.catalog.filters import NO_FILTERS, Filters
from backend.ml.answer import By, Request
from backend.ml.embedding_statements import INDEXED
from backend.ml.pgvector_recommender import PgvectorConfig, PgvectorRecommender
from backend.ml.vector_index import status
from benchmarks import in_process
from benchmarks.films import NEIGHBOURS, Films, Places, read_films
from benchmarks.index_curves import curves
from benchmarks.server import MODEL, connected, copied, pgbench, start

SEED = 20_260_101
QUERIES, FILTERED_QUERIES = 500, 50
SHARES = (0.1, 0.01, 0.001)
"""What filters let through, about."""
ROUNDS, SECONDS = 3, 5.0

FILM = "FROM movies WHERE id >= :id AND embedding IS NOT NULL ORDER BY id LIMIT 1"
# The index is over an expression, and a cast vector is read from its row once and not for every comparison.
ANN = f"SELECT id FROM movies ORDER BY {INDEXED} <=> (SELECT {INDEXED} {FILM}) LIMIT {NEIGHBOURS}"  # noqa: S608
# Adding to a distance hides the index; adding nothing to a vector reads it from its row once.
EXACT = f"""
SELECT id FROM movies
ORDER BY (embedding <=> (SELECT embedding + array_fill(0::real, ARRAY[384])::vector {FILM})) + 0 LIMIT {NEIGHBOURS}
""".strip().replace("\n", " ")  # noqa: S608


def measure(installation: Path, *, queries: int = QUERIES, seconds: float = SECONDS) -> dict[str, Any]:
    """All of it, at the size of the installation, which must not be running."""
    server = start(installation)
    with connected(server) as engine:
        films = read_films(engine)
        asked = drawn(films, queries)
        with Session(engine) as session:
            state = status(session)
        figures: dict[str, Any] = {
            "films": len(films.complete),
            "index": {name: state[name] for name in ("kind", "lists", "probes", "ef_search", "size_bytes")},
            "recall": {"by_stats": state["recall_at_10"]} | _recalls(engine, films, asked, "embedding"),
            "default_recall": _recalls(engine, films, {k: v[: len(v) // 2] for k, v in asked.items()}, "best"),
            "filtered": _filtered(engine, films, asked["uniformly"][:FILTERED_QUERIES]),
            "rates": _rates(engine, seconds),
        }
    with copied(server) as copy:
        built, lines = curves(copy, films, asked["uniformly"][:200], statement=ANN, exact=EXACT, seconds=seconds)
    wanted = figures["recall"]["uniformly"]
    beside = in_process.measure(films.units, asked["uniformly"], least_recall=wanted)
    return figures | {"build": built, "curves": lines, "hnswlib": beside}


def drawn(films: Films, number: int) -> dict[str, Places]:
    """Places of films to ask about: drawn alike, and by votes."""
    rng, here = np.random.default_rng(SEED), films.complete
    votes = films.votes[here] + 1.0
    number = min(number, len(here))
    return {
        "uniformly": rng.choice(here, number, replace=False),
        "by_votes": rng.choice(here, number, replace=False, p=votes / votes.sum()),
    }


def similar(engine: Engine, films: Films, by: By, filters: Filters = NO_FILTERS) -> Callable[[int], list[int]]:
    """The ids that the recommender answers for a place."""
    config = PgvectorConfig(model=MODEL)

    def ask(place: int) -> list[int]:
        with Session(engine) as session:
            request = Request(n=NEIGHBOURS, by=by, filters=filters)
            rows = PgvectorRecommender(session, config).similar(int(films.ids[place]), request).rows
        return [row["id"] for row in rows]

    return ask


def _recalls(engine: Engine, films: Films, asked: Mapping[str, Places], by: By) -> dict[str, float]:
    ask = similar(engine, films, by)
    return {
        way: mean(films.share_found(ask(place), films.scores(place, by), by) for place in places)
        for way, places in asked.items()
    }


def _filtered(engine: Engine, films: Films, places: Places) -> dict[str, Any]:
    """The worst of all, and each."""
    kinds: tuple[By, ...] = ("best", "embedding")
    each = [_one_filter(engine, films, places, share, by) for share in SHARES for by in kinds]
    return {"full": min(one["full"] for one in each), "recall": min(one["recall"] for one in each), "each": each}


def _one_filter(engine: Engine, films: Films, places: Places, share: float, by: By) -> dict[str, Any]:
    filters = films.filters_that_pass(share)
    through, ask = films.let_through(filters), similar(engine, films, by, filters)
    full, recalls = [], []
    for place in places:
        scores = np.where(through, films.scores(place, by), -np.inf)
        found = ask(place)
        full.append(len(found) == min(NEIGHBOURS, int(np.isfinite(scores).sum())))
        recalls.append(films.share_found(found, scores, by))
    told = {name: getattr(one, name) for name, one in filters.one_by_one()}
    return {
        "share": float(through.mean()),
        "filters": told,
        "by": by,
        "lists": len(places),
        "full": mean(full),
        "recall": mean(recalls),
    }


def _rates(engine: Engine, seconds: float) -> dict[str, Any]:
    """Of the index and of exact search, in turns."""
    pgbench(engine, ANN, seconds=1)
    both = [tuple(pgbench(engine, one, seconds=seconds) for one in (ANN, EXACT)) for _ in range(ROUNDS)]
    return {
        "index": median(ann for ann, _ in both),
        "exact": median(exact for _, exact in both),
        "against_exact": median(ann / exact for ann, exact in both),
    }


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    recall, rates, index = figures["recall"], figures["rates"], figures["index"]
    effort = ", ".join(f"{name} {index[name]}" for name in ("lists", "probes", "ef_search") if index[name])
    lines = [
        f"{'films':<44}{figures['films']:>12,}",
        f"{'index':<44}{index['kind']:>12}  {effort}",
        f"{'recall@10 by embedding, films drawn alike':<44}{recall['uniformly']:>12.4f}",
        f"{'recall@10 by embedding, drawn by votes':<44}{recall['by_votes']:>12.4f}",
        f"{'recall@10, as /stats has it':<44}{recall['by_stats'] or float('nan'):>12.4f}",
        f"{'recall@10 by default, films drawn alike':<44}{figures['default_recall']['uniformly']:>12.4f}",
        f"{'recall@10 by default, drawn by votes':<44}{figures['default_recall']['by_votes']:>12.4f}",
        f"{'pgbench with the index, against exact search':<44}{rates['against_exact']:>12.1f}",
        "",
        f"{'filters':<52}{'let through':>12}{'by':>12}{'full':>8}{'recall':>8}",
    ]
    for one in figures["filtered"]["each"]:
        told = ", ".join(f"{name} {value}" for name, value in _plain(one["filters"]).items())
        lines.append(f"{told:<52}{one['share']:>12.2%}{one['by']:>12}{one['full']:>8.1%}{one['recall']:>8.3f}")
    lines += ["", f"{'built in a copy':<16}{'seconds':>10}{'MB':>8}"]
    lines += [f"{kind:<16}{one['seconds']:>10.1f}{one['mb']:>8.0f}" for kind, one in figures["build"].items()]
    lines += ["", f"{'bare statement, in the copy':<32}{'effort':>8}{'recall':>8}{'against exact search':>22}"]
    for name, points in figures["curves"].items():
        lines += [
            f"{name:<32}{point['effort']:>8}{point['recall']:>8.4f}{point['against_exact']:>22.1f}"
            for point in points
        ]
    return "\n".join([*lines, "", in_process.told(figures["hnswlib"], rates)])


def _plain(filters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[0] if isinstance(value, list | tuple) else value for name, value in filters.items()}
