"""How many lists of similar films a second, beside cine-rec-engine on the same films: each called as a library.

Both have the best-known films of the installation in a database of the same server, as many callers at once, and
no list that was made before. Nothing is fetched from TMDB: cine-rec-engine would, for each film once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from backend.evaluation.cine_rec import installed
from benchmarks.films import NEIGHBOURS, read_films
from benchmarks.rival_database import fill, pool_on
from benchmarks.search import SEED, similar
from benchmarks.server import copied, made, start

FILMS = 25_000
ROUNDS, SECONDS = 3, 10.0
CALLERS = 4
"""Threads for us, coroutines for the rival: twice the cores, as either serves best."""
RIVAL = "marquee_benchmark_rival"

Find = Callable[[int], Awaitable[Any]]


def measure(installation: Path, *, seconds: float = SECONDS) -> dict[str, Any]:
    """The rates and their ratio; none where the rival is not installed."""
    if not installed():
        return {"installed": False}
    server = start(installation)
    with copied(server) as ours, made(server, RIVAL) as theirs, asyncio.Runner() as runner:
        _keep_the_best_known(ours)
        films = read_films(ours)
        seeds = films.ids[np.random.default_rng(SEED).permutation(films.complete)].tolist()
        ask = similar(ours, films, "best")
        places = dict(zip(films.ids.tolist(), range(len(films)), strict=True))
        with _finding(runner, ours, theirs) as find:
            # From either end: a film that one of them has read helps the other little.
            first, last = iter(seeds), reversed(seeds)
            both = [
                (
                    _rate_of_threads(lambda film: ask(places[film]), first, seconds),
                    runner.run(_rate_of_tasks(find, last, seconds)),
                )
                for _ in range(ROUNDS)
            ]
    return {
        "installed": True,
        "films": len(films),
        "callers": CALLERS,
        "ours": median(ours for ours, _ in both),
        "rival": median(theirs for _, theirs in both),
        "ratio": median(ours / theirs for ours, theirs in both),
    }


def _keep_the_best_known(copy: Engine) -> None:
    with copy.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET maintenance_work_mem = '512MB'"))
        for statement in _SHRINK:
            connection.execute(text(statement), {"films": FILMS} if ":films" in statement else {})


def _rate_of_threads(ask: Callable[[int], list[int]], films: Iterator[int], seconds: float) -> float:
    """Answers a second, a film each; an empty one counts for nothing."""

    def answer_until(end: float) -> int:
        answered = 0
        while time.perf_counter() < end:
            answered += bool(ask(next(films)))
        return answered

    with ThreadPoolExecutor(CALLERS) as callers:
        begin = time.perf_counter()
        answered = sum(callers.map(answer_until, [begin + seconds] * CALLERS))
    return answered / (time.perf_counter() - begin)


async def _rate_of_tasks(find: Find, films: Iterator[int], seconds: float) -> float:
    """The same of coroutines."""
    begin = time.perf_counter()

    async def answer() -> int:
        answered = 0
        while time.perf_counter() < begin + seconds:
            answered += bool(await find(next(films)))
        return answered

    answered = sum(await asyncio.gather(*(answer() for _ in range(CALLERS))))
    return answered / (time.perf_counter() - begin)


@contextmanager
def _finding(runner: asyncio.Runner, ours: Engine, theirs: Engine) -> Iterator[Find]:
    """What finds films like one by the rival's own service, over its own schema."""
    from cine_rec_engine import RecommendationService, service
    from loguru import logger

    logger.disable("cine_rec_engine")
    vars(service)["ensure_seeds_synced"] = _fetch_nothing
    pool = runner.run(pool_on(theirs))
    try:
        runner.run(fill(pool, ours))
        engine = RecommendationService()
        runner.run(engine.initialize(pool))
        yield lambda film: engine.find_similar(film, limit=NEIGHBOURS, media_type="movie")
    finally:
        runner.run(pool.close())


async def _fetch_nothing(*given: Any) -> None:
    """In place of requests to TMDB."""


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    if not figures["installed"]:
        return "cine-rec-engine: not installed"
    lines = [
        f"{'films':<36}{figures['films']:>10,}",
        f"{'callers at once':<36}{figures['callers']:>10}",
        f"{'ours, against cine-rec-engine':<36}{figures['ratio']:>10.1f}",
    ]
    return "\n".join(lines)


_SHRINK = (
    """DELETE FROM movies WHERE id NOT IN (
           SELECT id FROM movies WHERE embedding IS NOT NULL AND NOT adult
           ORDER BY vote_count DESC, id LIMIT :films)""",
    "DELETE FROM likeness WHERE movie_id <> 0 AND movie_id NOT IN (SELECT id FROM movies)",
    # As if there had never been more.
    "VACUUM (FULL, ANALYZE)",
)
