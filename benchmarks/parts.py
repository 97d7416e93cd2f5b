"""The parts of the benchmark: what each is called, what it needs, and how one is run."""

import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

Figures = dict[str, Any]
"""What a part measured, as it goes into the JSON."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the command was given."""

    films: Path | None = None
    """TMDB-shaped JSON lines."""
    installation: Path | None = None
    """The DATA_DIR of an installation with its own PostgreSQL, its films embedded and learned from."""


@dataclass(frozen=True)
class Part:
    """A module of this package with `measure(…)`, which gives figures, and `table(figures)`, which shows them."""

    title: str
    needs: tuple[str, ...]
    """Fields of `Given`, handed to `measure` in this order."""
    is_handed: bool = True
    """Whether `measure` takes them; else it finds the installation by the environment."""
    on_request: bool = False
    """Whether it is only run by name: it takes long."""


PARTS: Mapping[str, Part] = {
    "encoding": Part("Encoding", ("films",)),
    "loading": Part("Loading a file", ("films",)),
    "search": Part("Search", ("installation",)),
    "serving": Part("Serving", ("installation",), is_handed=False),
    "load": Part("Latency against load", ("installation",), is_handed=False),
    "installation": Part("Start and memory", ("installation",)),
    "rival": Part("Against cine-rec-engine", ("installation",)),
    "scale": Part("Cost against catalogue size", ("installation",), on_request=True),
}


def can_run(name: str, given: Given) -> bool:
    """Whether what the part needs was given."""
    return all(getattr(given, need) is not None for need in PARTS[name].needs)


def run(name: str, given: Given) -> Figures:
    """Measure one part, in a process of its own: it starts with nothing, and leaves no server running."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
        return alone.submit(_measure, name, given).result()


def table(name: str, figures: Figures) -> str:
    """The figures for people."""
    told: str = import_module(f"benchmarks.{name}").table(figures)
    return told


def _measure(name: str, given: Given) -> Figures:
    part = PARTS[name]
    if given.installation is not None and "installation" in part.needs:
        _live_in(given.installation)
    handed = [getattr(given, need) for need in part.needs] if part.is_handed else []
    measured: Figures = import_module(f"benchmarks.{name}").measure(*handed)
    return measured


def _live_in(installation: Path) -> None:
    """Let this process, and those that it starts, take the installation for theirs."""
    os.environ |= {"DATA_DIR": str(installation), "DATABASE_URL": "", "PYTHONPATH": str(ROOT)}
    # From there no `.env` names another database.
    os.chdir(installation)
