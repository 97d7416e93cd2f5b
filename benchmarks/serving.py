"""How fast answers are, against what they are made with: pgbench and the barest endpoint, all in one run.

Of an installation with films, and people who rated them, as it stands. Every rate is taken several times, the
reference and ours in turns; of the ratios of all turns the median counts. The generator is a process of its own,
and shares the machine with what it measures.
"""

import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import text

from backend.database import get_engine
from backend.ml.embedding_statements import INDEXED
from benchmarks.served import Served, serve
from benchmarks.server import pgbench

PICKS = 100
"""Films, or people, that are asked for in turn."""
STOOD_IN = 0.001
"""The share of answers that other layers may have given: on a busy machine one now and then takes too long."""
ROUNDS, SECONDS, WARM_SECONDS = 5, 3.0, 300.0

ANN = f"""
    SELECT id FROM movies
    ORDER BY {INDEXED} <=> (SELECT {INDEXED} FROM movies WHERE id = :id) LIMIT 10
"""  # noqa: S608 - a constant
TASTE_ANN = """
    SELECT movie_id FROM within_reach
    ORDER BY q <#> (SELECT q::halfvec FROM item_factors WHERE movie_id = :id) LIMIT 10
"""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Installation:
    """Whom to ask for what."""

    films: list[int]
    """All that can be asked for, the best-known first."""
    within_reach: list[int]
    people: list[str]
    """With about 200 ratings."""

    @classmethod
    def find(cls) -> "Installation":
        """What the database has."""
        with get_engine().connect() as connection:
            films = connection.scalars(text(_FILMS)).all()
            reached = connection.scalars(text(_WITHIN_REACH), {"most": PICKS}).all()
            people = connection.scalars(text(_PEOPLE), {"most": PICKS}).all()
        return cls(list(films), list(reached), list(people))

    def picks(self) -> list[int]:
        """Some films, the same at each run."""
        return random.Random(0).sample(self.films, min(PICKS, len(self.films)))

    def zipf(self, requests: int, *, seed: int) -> list[int]:
        """Films as they are asked for where the k-th best-known is wanted 1/k as often as the first."""
        weights = list(accumulate(1 / rank for rank in range(1, len(self.films) + 1)))
        return random.Random(seed).choices(self.films, cum_weights=weights, k=requests)


def measure(*, seconds: float = SECONDS, rounds: int = ROUNDS, warm: float = WARM_SECONDS) -> Figures:
    """The rates, their ratios to the references, and the latency at half of the top rate."""
    there = Installation.find()
    with _servers() as (service, uncached, bare):
        race = _Race(seconds, rounds)
        picks = [f"/similar/{film}" for film in there.picks()]
        by_embedding = [f"{path}?by=embedding" for path in picks]
        people = [f"/recommendations/{person}" for person in there.people]
        for path in picks:
            service.get(path)
        figures = {
            "cached": race.against_endpoint(service, picks, bare),
            "by_embedding": race.against_pgbench(uncached, by_embedding, ANN, there.picks()),
            "by_default": race.against_pgbench(uncached, picks, ANN, there.picks()),
            "recommendations": race.against_pgbench(uncached, people, TASTE_ANN, there.within_reach),
        }
        # Until about as much is kept as there is room for.
        warming = [f"/similar/{film}" for film in there.zipf(1_000_000, seed=1)]
        service.load(warming, seconds=warm)
        asked = [f"/similar/{film}" for film in there.zipf(200_000, seed=2)]
        figures["zipf"] = race.against_endpoint(service, asked, bare)
        half = figures["by_default"]["rate"] / 2
        waits = uncached.load(picks, seconds=2 * seconds, rate=half).percentiles
        figures["latency"] = {"rate": half} | waits
        for server in (service, uncached):
            _refuse_stand_ins(server)
    return {"films": len(there.films)} | figures


def _refuse_stand_ins(server: Served) -> None:
    """A rate at which files answered in place of the database is none. Raises RuntimeError."""
    told = re.findall(r'marquee_answers_total{.*source="(\w+)"} (\S+)', server.get("/metrics").decode())
    answers = sum(float(count) for _, count in told)
    stood_in = sum(float(count) for source, count in told if source in ("file_cache", "svd"))
    if stood_in > STOOD_IN * answers:
        raise RuntimeError(f"Of {answers:,.0f} answers the database gave all but {stood_in:,.0f}")


@contextmanager
def _servers() -> Iterator[tuple[Served, Served, Served]]:
    with tempfile.TemporaryDirectory(prefix="marquee-serving-") as scratch, ExitStack() as stack:
        service, uncached = (stack.enter_context(serve(what)) for what in ("service", "uncached"))
        body = Path(scratch) / "body.json"
        body.write_bytes(service.get(f"/similar/{Installation.find().picks()[0]}"))
        yield service, uncached, stack.enter_context(serve("bare", body=body))


@dataclass(frozen=True)
class _Race:
    """Takes two rates in turns."""

    seconds: float
    rounds: int

    def against_endpoint(self, service: Served, paths: Sequence[str], bare: Served) -> Figures:
        """How many answers a second, against the barest endpoint."""
        turns = [(self._rate(bare, ["/similar/862"]), self._rate(service, paths)) for _ in range(self.rounds)]
        return _compared(turns)

    def against_pgbench(
        self, service: Served, paths: Sequence[str], statement: str, ids: Sequence[int]
    ) -> Figures:
        """How many answers a second, against a statement that pgbench runs by itself."""
        turns = [
            (pgbench(get_engine(), statement, seconds=self.seconds, ids=ids), self._rate(service, paths))
            for _ in range(self.rounds)
        ]
        return _compared(turns)

    def _rate(self, server: Served, paths: Sequence[str]) -> float:
        return server.load(paths, seconds=self.seconds).rate


def _compared(turns: Sequence[tuple[float, float]]) -> Figures:
    ratios = [ours / reference for reference, ours in turns]
    return {
        "rate": median(ours for _, ours in turns),
        "reference": median(reference for reference, _ in turns),
        "ratio": median(ratios),
        "ratios": ratios,
    }


_FILMS = """
    SELECT id FROM movies WHERE NOT adult AND embedding IS NOT NULL ORDER BY quality DESC, id
"""
_WITHIN_REACH = "SELECT movie_id FROM within_reach ORDER BY movie_id LIMIT :most"
_PEOPLE = """
    SELECT u.external_id FROM users u JOIN interactions i ON i.user_id = u.id
    GROUP BY u.id HAVING count(*) BETWEEN 150 AND 270 ORDER BY u.id LIMIT :most
"""


def table(figures: Figures) -> str:
    """The figures for people."""
    lines = [f"{figures['films']:,} films", f"{'':<18}{'a second':>10}{'reference':>11}{'ratio':>8}"]
    for name in ("cached", "by_embedding", "by_default", "recommendations", "zipf"):
        figure = figures[name]
        lines.append(f"{name:<18}{figure['rate']:>10,.0f}{figure['reference']:>11,.0f}{figure['ratio']:>8.2f}")
    told = figures["latency"]
    lines.append(
        f"at {told['rate']:,.0f} a second: " + ", ".join(f"{k} {v:.1f}" for k, v in told.items() if k != "rate")
    )
    return "\n".join(lines)
