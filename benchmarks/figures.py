"""The figures of docs/benchmarks.md."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from backend.evaluation.figures import canvas, save
from benchmarks.goals import Parts

RECALL, LOAD, SIZE = "recall_and_rate.svg", "latency_and_load.svg", "cost_and_size.svg"


def draw(parts: Parts, folder: Path) -> list[str]:
    """Draw what has been measured; the names of the files. One whose figures are gone is removed."""
    drawn = []
    for name, (part, key, plot) in _PLOTS.items():
        found = parts.get(part, {}).get(key)
        if found:
            plot(found, folder / name)
            drawn.append(name)
        else:
            (folder / name).unlink(missing_ok=True)
    return drawn


def _recall(curves: Mapping[str, Any], path: Path) -> None:
    """A line an index: each further point looks harder."""
    figure, axes = canvas("recall@10", "queries a second, against exact search")
    for name, points in curves.items():
        axes.plot([p["recall"] for p in points], [p["against_exact"] for p in points], marker="o", label=name)
    axes.set_yscale("log")
    axes.legend(fontsize=8)
    save(figure, path)


def _load(series: Mapping[str, Any], path: Path) -> None:
    """Percentiles of the latency at shares of the greatest rate."""
    figure, axes = canvas("requests a second, as a share of the greatest rate", "milliseconds")
    for name, points in series.items():
        for percentile, style in (("p50_ms", "--"), ("p99_ms", "-")):
            shown = f"{name}, {percentile.removesuffix('_ms')}"
            shares = [point["share"] for point in points]
            axes.plot(shares, [point[percentile] for point in points], style, marker="o", label=shown)
    axes.set_yscale("log")
    axes.legend(fontsize=8)
    save(figure, path)


def _size(sizes: list[Mapping[str, Any]], path: Path) -> None:
    """Latency of an answer, and what the database takes, by films."""
    figure, axes = canvas("films", "milliseconds")
    films = [size["films"] for size in sizes]
    for key, label in (("default_ms", "by default"), ("by_embedding_ms", "by embedding")):
        axes.plot(films, [size[key] for size in sizes], marker="o", label=f"/similar {label}, median")
    other = axes.twinx()
    other.plot(films, [size["disk_mb"] for size in sizes], ":", color="grey", marker=".", label="disk")
    other.set_ylabel("MB of disk")
    for scaled in (axes, other):
        scaled.set_yscale("log")
    axes.set_xscale("log")
    axes.set_xticks(films, [f"{count:,}" for count in films])
    axes.minorticks_off()
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    save(figure, path)


_PLOTS: Mapping[str, tuple[str, str, Callable[[Any, Path], None]]] = {
    RECALL: ("search", "curves", _recall),
    LOAD: ("load", "series", _load),
    SIZE: ("scale", "sizes", _size),
}
