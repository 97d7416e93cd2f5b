"""What an answer, an index and the disk cost with a catalogue of 1,000, 10,000, 100,000 and a million films.

In a server of its own, as it comes. Films beyond those of the installation are copies of them with noise: in the
embedding, and in what makes films alike. What is timed is the recommender, without HTTP around it, which would
add the same to all sizes. A million films take some 6 GB of memory here, beside the server, and 12 GB of disk.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from backend.embedded_postgres import EmbeddedPostgres
from backend.migrations import migrate
from backend.ml.answer import By
from backend.ml.index_build import build, find_index, let_scans_go_on, one_at_a_time, set_for_all, set_here
from backend.ml.index_plan import IndexPlan
from backend.ml.item_factors import nowhere_to_be_found
from backend.ml.similarity import PRIOR
from backend.ml.taste_store import activate, drop_others
from backend.ml.taste_store import build as build_factors
from benchmarks.films import Films, bare_recall, read_films
from benchmarks.installation import pss_kb
from benchmarks.scale_rows import add_copies, bring_films
from benchmarks.search import ANN, SEED, similar
from benchmarks.server import connected, made, start

SIZES = (1_000, 10_000, 100_000, 1_000_000)
GROWN_FROM, GROWN_TO = 10_000, 1_000_000
BLUR = 0.05
"""Standard deviation of what is added to each dimension of a copy's embedding: a cosine of 0.7 to the original."""
NOISE = 0.3
"""The same for what makes films alike, in standard deviations of each dimension."""
TARGET, TUNED_ON = 0.98, 100
ASKED = 300


def measure(installation: Path, *, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Each size in turn; the database grows from one to the next."""
    with connected(start(installation)) as source:
        films = _in_random_order(read_films(source))
        told = []
        with _scratch() as (server, engine):
            catalogue = films.only(np.arange(0))
            for size in sizes:
                catalogue = _grown(source, engine, films, catalogue, size)
                told.append(_measured(server, engine, catalogue))
                print(table({"sizes": told[-1:]}).splitlines()[-1], flush=True)
    by_films = {one["films"]: one["default_ms"] for one in told}
    grown = {GROWN_FROM, GROWN_TO} <= by_films.keys()
    return {"sizes": told, "growth": by_films[GROWN_TO] / by_films[GROWN_FROM] if grown else None}


def _in_random_order(films: Films) -> Films:
    return films.only(np.random.default_rng(SEED).permutation(films.complete))


@contextmanager
def _scratch() -> Iterator[tuple[EmbeddedPostgres, Engine]]:
    """An empty database in a server that need not survive a crash."""
    with tempfile.TemporaryDirectory(prefix="marquee-scale-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            with (
                connected(server, "postgres", isolation_level="AUTOCOMMIT") as admin,
                admin.connect() as connection,
            ):
                for setting in ("fsync = off", "full_page_writes = off", "max_wal_size = '4GB'"):
                    connection.execute(text(f"ALTER SYSTEM SET {setting}"))
                connection.execute(text("SELECT pg_reload_conf()"))
            with made(server, "scale") as engine:
                migrate(engine)
                yield server, engine
        finally:
            server.stop()


def _grown(source: Engine, engine: Engine, films: Films, catalogue: Films, size: int) -> Films:
    """So many films: real ones as long as there are any, then copies, a round of all films after the other."""
    with engine.begin() as connection:
        # Filling an index that is built anew afterwards would take longer than all else.
        connection.execute(text("DROP INDEX IF EXISTS movies_embedding_idx"))
    rng = np.random.default_rng([SEED, size])
    while len(catalogue) < size:
        number, begin = divmod(len(catalogue), len(films))
        some = films.only(np.arange(begin, min(len(films), begin + size - len(catalogue))))
        if number:
            blurred = _blurred(some, films, rng)
            copies = replace(blurred, ids=some.ids + number * (int(films.ids.max()) + 1))
            add_copies(engine, originals=some.ids, copies=copies, number=number)
            some = copies
        else:
            bring_films(source, engine, some.ids)
        catalogue = catalogue.and_(some)
    return catalogue


def _blurred(some: Films, films: Films, rng: np.random.Generator) -> Films:
    units = some.units + rng.normal(scale=BLUR, size=some.units.shape).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    spread = NOISE * films.s.std(axis=0)
    # What speaks for a film by itself is kept.
    spread[PRIOR] = 0.0
    noise = rng.normal(size=some.s.shape).astype(np.float32) * spread
    return replace(some, units=units, s=some.s + noise)


@dataclass
class _Clock:
    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - begin


def _measured(server: EmbeddedPostgres, engine: Engine, films: Films) -> dict[str, Any]:
    likeness, index = _Clock(), _Clock()
    with likeness.running():
        _publish(engine, films)
    plan = IndexPlan.for_catalogue(len(films), wanted="auto")
    with one_at_a_time(engine) as connection:
        let_scans_go_on(connection)
        with index.running():
            build(connection, plan, len(films))
        connection.execute(text("VACUUM (ANALYZE) movies"))
        effort = _tuned(connection, plan, films)
        existing = find_index(connection)
        disk = connection.scalar(text("SELECT pg_database_size(current_database())"))
    # Sessions of before have the settings of before.
    engine.dispose()
    return {
        "films": len(films),
        "index": plan.kind,
        "effort": effort,
        "index_seconds": index.seconds,
        "index_mb": existing.size / 2**20 if existing else 0.0,
        "likeness_seconds": likeness.seconds,
        "disk_mb": (disk or 0) / 2**20,
        **_latencies(engine, films, "best", "default"),
        **_latencies(engine, films, "embedding", "by_embedding"),
        "postgres_mb": _postgres_mb(server),
    }


def _publish(engine: Engine, films: Films) -> None:
    """What makes the films alike, with its index; what people would like is left out, for nobody asks here."""
    factors = replace(nowhere_to_be_found(len(films)), s=films.s, known=np.ones(len(films), dtype=np.bool_))
    version = f"20260101t000000_{len(films)}"
    with Session(engine) as session, session.begin():
        build_factors(session.connection(), version, films.ids, factors)
        activate(session, version)
        drop_others(session)


def _tuned(connection: Any, plan: IndexPlan, films: Films) -> int | None:
    """The least effort of the bare statement that finds enough, set for all."""
    if plan.kind == "exact":
        return None
    places = np.random.default_rng(SEED).choice(len(films), TUNED_ON, replace=False)

    def is_enough(effort: int) -> bool:
        set_here(connection, plan.effort, str(effort))
        return bare_recall(connection, films, places, ANN) >= TARGET

    effort = plan.least_effort(is_enough)
    set_for_all(connection, plan.effort, str(effort))
    return effort


def _latencies(engine: Engine, films: Films, by: By, name: str) -> dict[str, float]:
    """Milliseconds of one caller, after as many answers that do not count."""
    ask = similar(engine, films, by)
    places = np.random.default_rng(SEED + 1).choice(len(films), 2 * min(ASKED, len(films) // 2), replace=False)
    seconds = []
    for place in places:
        begin = time.perf_counter()
        ask(place)
        seconds.append(time.perf_counter() - begin)
    counted = np.array(seconds[len(seconds) // 2 :]) * 1000
    return {f"{name}_ms": float(np.median(counted)), f"{name}_p99_ms": float(np.percentile(counted, 99))}


def _postgres_mb(server: EmbeddedPostgres) -> float:
    """Of all processes of the server, each by its share."""
    postmaster = psutil.Process(int((server.directory / "postmaster.pid").read_text().splitlines()[0]))
    return sum(pss_kb(one.pid) for one in (postmaster, *postmaster.children(recursive=True))) / 1024


_COLUMNS = {
    "films": ("films", "{:,}"),
    "index": ("index", "{}"),
    "effort": ("ef", "{}"),
    "index_seconds": ("index, s", "{:.1f}"),
    "index_mb": ("MB", "{:,.0f}"),
    "likeness_seconds": ("likeness, s", "{:.1f}"),
    "default_ms": ("default, ms", "{:.2f}"),
    "default_p99_ms": ("p99", "{:.2f}"),
    "by_embedding_ms": ("embedding, ms", "{:.2f}"),
    "by_embedding_p99_ms": ("p99", "{:.2f}"),
    "disk_mb": ("disk, MB", "{:,.0f}"),
    "postgres_mb": ("memory, MB", "{:,.0f}"),
}


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    rows = [[title for title, _ in _COLUMNS.values()]]
    for size in figures["sizes"]:
        cells = [(size[name], shown) for name, (_, shown) in _COLUMNS.items()]
        rows.append(["-" if value is None else shown.format(value) for value, shown in cells])
    lines = ["  ".join(cell.rjust(13) for cell in row) for row in rows]
    growth = figures.get("growth")
    told = f"from {GROWN_FROM:,} to {GROWN_TO:,} films the default answer takes {{:.2f}} times as long"
    return "\n".join(lines + ([told.format(growth)] if growth else []))
