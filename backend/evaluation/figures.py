"""The figures of docs/quality.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.evaluation.splits import KNOWN_LIKES

ACCURACY_COVERAGE, ACCURACY_HISTORY = "accuracy_and_coverage.svg", "accuracy_and_history.svg"
Record = Mapping[str, Any]


def draw(results: Record, folder: Path) -> list[str]:
    """Draw what the results have figures for; the names of the files."""
    outcomes = {outcome["key"]: outcome for outcome in results["outcomes"]}
    _coverage(outcomes["held_out"], folder / ACCURACY_COVERAGE)
    _history([outcomes[f"new_person_{known}"] for known in KNOWN_LIKES], folder / ACCURACY_HISTORY)
    return [ACCURACY_COVERAGE, ACCURACY_HISTORY]


def _coverage(outcome: Record, path: Path) -> None:
    """A point a method."""
    figure, axes = canvas("catalogue coverage of the first ten", "NDCG@10")
    for name, found in outcome["methods"].items():
        where = (found["coverage"]["mean"], found["ndcg@10"]["mean"])
        axes.plot(*where, "o")
        axes.annotate(name, where, textcoords="offset points", xytext=(6, 4), fontsize=8)
    axes.margins(x=0.25)
    save(figure, path)


def _history(outcomes: list[Record], path: Path) -> None:
    """A line a method; no point where nobody had as much to give."""
    figure, axes = canvas("liked films known", "NDCG@10")
    for name in outcomes[0]["methods"]:
        means = [outcome["methods"][name]["ndcg@10"]["mean"] for outcome in outcomes]
        axes.plot(KNOWN_LIKES, [float("nan") if mean is None else mean for mean in means], marker="o", label=name)
    axes.set_xscale("log")
    axes.set_xticks(KNOWN_LIKES, [str(known) for known in KNOWN_LIKES])
    axes.minorticks_off()
    axes.legend(fontsize=8)
    save(figure, path)


def canvas(along: str, up: str) -> Any:
    """A figure and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(along)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    return figure, axes


def save(figure: Any, path: Path) -> None:
    """The same picture gives the same file."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "quality", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
