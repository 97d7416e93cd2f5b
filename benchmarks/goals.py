"""The goals, and which figure of which part speaks for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FULL_SIZE = 101_749
"""Films that most of the goals are about …"""
NEARLY = 0.01
"""… give or take so many of them: those that no answer shows are not always counted."""
NOT_MEASURED = "not measured"

Parts = Mapping[str, Mapping[str, Any]]
"""The figures of each part that was measured."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One figure and what it should be."""

    figure: str
    """Where it is: the part, and the names down to it."""
    goal: float
    shown: str = "{:.2f}"
    at_most: bool = False

    def find(self, parts: Parts) -> float | None:
        """The figure; None where it was not measured."""
        return find(parts, self.figure)

    def is_reached(self, measured: float) -> bool:
        """Whether it is good enough, unrounded."""
        return measured <= self.goal if self.at_most else measured >= self.goal


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the table."""

    what: str
    said: str
    """The goal in words."""
    goals: tuple[Goal, ...]
    films: str | None = None
    """Where it stands how many films it was measured on, where the goal is about so many."""
    size: int = FULL_SIZE

    def measured(self, parts: Parts) -> str:
        """Its figures, or that there are none."""
        found = [(goal, goal.find(parts)) for goal in self.goals]
        shown = [NOT_MEASURED if value is None else goal.shown.format(value) for goal, value in found]
        return NOT_MEASURED if set(shown) == {NOT_MEASURED} else " / ".join(shown)

    def reached(self, parts: Parts) -> str:
        """Yes or no, where all of its figures are there and of the right size."""
        found = [(goal, goal.find(parts)) for goal in self.goals]
        values = [(goal, value) for goal, value in found if value is not None]
        if len(values) < len(found):
            return NOT_MEASURED
        films = find(parts, self.films) if self.films else self.size
        if films is None or abs(films - self.size) > NEARLY * self.size:
            return "not measured at that size" if films is None else f"measured at {films:,.0f} films"
        return "yes" if all(goal.is_reached(value) for goal, value in values) else "no"


def find(parts: Parts, figure: str) -> float | None:
    """The number at a place such as `search.recall`; None where there is none."""
    found: Any = parts
    for name in figure.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, int | float) else None


ROWS = (
    Row(
        what="recall@10 at 101,749 films, measured by the benchmark and by `/stats` alike",
        said="0.98",
        goals=(
            Goal(figure="search.recall.uniformly", goal=0.98, shown="{:.3f}"),
            Goal(figure="search.recall.by_stats", goal=0.98, shown="{:.3f}"),
        ),
        films="search.films",
    ),
    Row(
        what="its pgbench rate at that recall, against exact search",
        said="30 ×",
        goals=(Goal(figure="search.rates.against_exact", goal=30, shown="{:.0f} ×"),),
        films="search.films",
    ),
    Row(
        what="`/similar`, cached, with keys, limits, metrics and request ids on, against an `async def` FastAPI "
        "endpoint that returns the same bytes, same number of workers",
        said="0.65 ×",
        goals=(Goal(figure="serving.cached.ratio", goal=0.65, shown="{:.2f} ×"),),
    ),
    Row(
        what="`/similar?by=embedding`, uncached, 101,749 films, against pgbench with a bare top-10 ANN statement "
        "at the same recall",
        said="0.5 ×",
        goals=(Goal(figure="serving.by_embedding.ratio", goal=0.5, shown="{:.2f} ×"),),
        films="serving.films",
    ),
    Row(
        what="`/similar` as it is by default, uncached, against the same",
        said="0.35 ×",
        goals=(Goal(figure="serving.by_default.ratio", goal=0.35, shown="{:.2f} ×"),),
        films="serving.films",
    ),
    Row(
        what="default `/similar` under Zipf traffic (exponent 1) over all films, cache as shipped, against the "
        "`async def` endpoint",
        said="0.45 ×",
        goals=(Goal(figure="serving.zipf.ratio", goal=0.45, shown="{:.2f} ×"),),
        films="serving.films",
    ),
    Row(
        what="recall@10 of the default answer against the same scoring done over every film",
        said="0.95",
        goals=(Goal(figure="search.default_recall.uniformly", goal=0.95, shown="{:.3f}"),),
        films="search.films",
    ),
    Row(
        what="`/recommendations`, person with 200 ratings, against pgbench with a bare top-10 ANN statement over "
        "the taste vectors",
        said="0.35 ×",
        goals=(Goal(figure="serving.recommendations.ratio", goal=0.35, shown="{:.2f} ×"),),
        films="serving.films",
    ),
    Row(
        what="p99 of `/similar` uncached at half of its own top rate (open-loop generator)",
        said="15 ms",
        goals=(Goal(figure="serving.latency.p99_ms", goal=15, shown="{:.1f} ms", at_most=True),),
        films="serving.films",
    ),
    Row(
        what="filtered `/similar` (10 %, 1 %, 0.1 %): full answers / recall",
        said="100 % / 0.95",
        goals=(
            Goal(figure="search.filtered.full", goal=1.0, shown="{:.1%}"),
            Goal(figure="search.filtered.recall", goal=0.95, shown="{:.3f}"),
        ),
        films="search.films",
    ),
    Row(
        what="encoding real movie texts, against plain float32 `encode`, where bfloat16 exists",
        said="2.4 ×",
        goals=(Goal(figure="encoding.ratio", goal=2.4, shown="{:.2f} ×"),),
    ),
    Row(
        what="`--from-file` load of 101,749 films, rows a second / peak memory of the process",
        said="5,000 / 300 MB",
        goals=(
            Goal(figure="loading.rows_a_second", goal=5_000, shown="{:,.0f}"),
            Goal(figure="loading.peak_mb", goal=300, shown="{:.0f} MB", at_most=True),
        ),
        films="loading.rows",
    ),
    Row(
        what="index build at 101,749 films",
        said="60 s",
        goals=(Goal(figure="search.build.hnsw.seconds", goal=60, shown="{:.0f} s", at_most=True),),
        films="search.films",
    ),
    Row(
        what="warm start to ready (database and cache; the encoder loads behind) at 101,749 films",
        said="3 s",
        goals=(Goal(figure="installation.start_seconds", goal=3, shown="{:.1f} s", at_most=True),),
        films="installation.films",
    ),
    Row(
        what="memory of the whole installation at 101,749 films, encoder loaded: one process owning it: API + "
        "scheduler (PSS) / with Postgres",
        said="1.0 GB / 1.6 GB",
        goals=(
            Goal(figure="installation.processes_gb", goal=1.0, shown="{:.2f} GB", at_most=True),
            Goal(figure="installation.with_postgres_gb", goal=1.6, shown="{:.2f} GB", at_most=True),
        ),
        films="installation.films",
    ),
    Row(
        what="growth of `/similar` latency from 10 k to 1 M films (1 M from the real vectors with noise; build "
        "time and memory reported)",
        said="≤ 4 ×",
        goals=(Goal(figure="scale.growth", goal=4, shown="{:.1f} ×", at_most=True),),
    ),
    Row(
        what="against cine-rec-engine on the same 25 k films: uncached item-to-item rate",
        said="20 ×",
        goals=(Goal(figure="rival.ratio", goal=20, shown="{:.0f} ×"),),
        films="rival.films",
        size=25_000,
    ),
)
