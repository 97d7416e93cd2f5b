"""Results on a terminal, as JSON, and as docs/quality.md."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from backend.errors import UsageError
from backend.evaluation.figures import draw
from backend.evaluation.run import Results

JSON, PAGE = "quality.json", "quality.md"
PLAIN = ("ndcg@10", "recall@20")
"""Metrics shown with their interval."""

Record = Mapping[str, Any]
"""A dataclass as it comes back from JSON: what is NaN comes back as None."""


def write(results: Results, folder: Path) -> Record:
    """Put the JSON into a folder, and give it back as it will be read."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON).write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    return read(folder)


def read(folder: Path) -> Record:
    """The results of an earlier evaluation. Raises UsageError where there are none."""
    try:
        found: Record = orjson.loads((folder / JSON).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"There is no {folder / JSON}: run the evaluation first") from None
    return found


def render(results: Record, folder: Path) -> None:
    """Write the page and its figures beside the JSON."""
    figures = draw(results, folder)
    (folder / PAGE).write_text("\n".join(_page(results, figures)) + "\n", "utf-8")


def terminal(results: Record) -> str:
    """Tables for people who wait."""
    lines: list[str] = []
    for outcome in results["outcomes"]:
        lines += ["", f"{outcome['title']} ({outcome['people']} people)", *_aligned(_table(outcome))]
        lines += [f"  {line}" for line in _advantages(outcome)]
    lines += ["", "Training", *_aligned(_costs(results)), "", "Time", *_aligned(_seconds(results))]
    return "\n".join(lines)


def _page(results: Record, figures: Sequence[str]) -> Iterator[str]:
    yield "# How good the answers are"
    yield ""
    yield (
        f"Written by `make evaluate`: {results['films']:,} films, {results['people']:,} people, "
        f"{results['interactions']:,} ratings. Every list is ranked among all films that the question is about, "
        "never among a sample. `served` is without diversity; the row with diversity_boost 0.2 is what the "
        "service does by default. The constants of the served method were chosen in trials on the same people as "
        "are asked about here, so its figures flatter by an unknown little; nothing is fitted on them here. "
        "Metrics with two figures in brackets are means over people with a bootstrap interval of 95 %, over "
        f"{5 * results['rounds']} splits; parameters of baselines are chosen on people inside the training part; "
        "all seeds are fixed. Novelty is the mean of -log2(share of people who know a film), similarity the mean "
        "cosine of the embeddings of the pairs of a list and diversity 1 less that, popular the share of the 100 "
        "best-known films; these, coverage and Gini look at the first ten films of each list."
    )
    for figure in figures:
        yield from ("", f"![{Path(figure).stem.replace('_', ' ')}]({figure})")
    for outcome in results["outcomes"]:
        yield from ("", f"## {outcome['title']}", "", f"{outcome['about']} People: {outcome['people']}.", "")
        yield from _markdown(_table(outcome))
        found = list(_advantages(outcome))
        if found:
            yield from ("", *(f"- {line}" for line in found))
        if outcome["notes"]:
            yield from ("", *(f"- {name}: {_note(note)}" for name, note in outcome["notes"].items()))
    yield from ("", "## What training costs", "", *_markdown(_costs(results)))
    yield from ("", "## What this evaluation costs", "", *_markdown(_seconds(results)))


def _table(outcome: Record) -> list[list[str]]:
    """Header and rows: a method a row, a metric a column."""
    metrics = list(dict.fromkeys(name for found in outcome["methods"].values() for name in found))
    header = ["method", *metrics]
    return [header, *([name, *_cells(found, metrics)] for name, found in outcome["methods"].items())]


def _cells(found: Record, metrics: Sequence[str]) -> Iterator[str]:
    for name in metrics:
        estimate = found.get(name)
        if estimate is None or estimate["mean"] is None:
            yield "-"
        elif name in PLAIN and estimate["low"] is not None:
            yield f"{estimate['mean']:.3f} ({estimate['low']:.3f}-{estimate['high']:.3f})"
        else:
            yield f"{estimate['mean']:.3f}"


def _advantages(outcome: Record) -> Iterator[str]:
    """In words, by how much one method is above each other one."""
    for method, metrics in outcome["advantage"].items():
        told = [
            f"{name} {found['mean']:+.1%} ({found['low']:+.1%} to {found['high']:+.1%})"
            for name, found in metrics.items()
            if found["mean"] is not None
        ]
        if told:
            yield f"{outcome['ours']} against {method}: {', '.join(told)}"


def _costs(results: Record) -> list[list[str]]:
    header = ["people", "films", "interactions", "seconds", "peak MB", "MB before"]
    return [
        header,
        *(
            [
                f"{cost['people']:,}",
                f"{cost['films']:,}",
                f"{cost['interactions']:,}",
                f"{cost['seconds']:.1f}",
                f"{cost['peak_mb']:,.0f}",
                f"{cost['before_mb']:,.0f}",
            ]
            for cost in results["costs"]
        ),
    ]


def _seconds(results: Record) -> list[list[str]]:
    parts = [[name, f"{seconds:.0f}"] for name, seconds in results["seconds"].items()]
    total = math.fsum(results["seconds"].values())
    return [
        ["part", "seconds"],
        *parts,
        ["all", f"{total:.0f}"],
        ["peak memory, MB", f"{results['peak_mb']:,.0f}"],
    ]


def _note(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_note(part)}" for name, part in value.items())
    return str(value)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def _markdown(table: Sequence[Sequence[str]]) -> list[str]:
    header, *rows = ("| " + " | ".join(row) + " |" for row in table)
    return [header, "|" + " --- |" * len(table[0]), *rows]
