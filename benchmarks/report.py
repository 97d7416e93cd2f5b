"""Results as JSON, and as docs/benchmarks.md."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from backend.errors import UsageError
from benchmarks.figures import draw
from benchmarks.goals import ROWS, Parts
from benchmarks.parts import PARTS, table

JSON, PAGE = "benchmarks.json", "benchmarks.md"

Results = Mapping[str, Mapping[str, Any]]
"""By part: its figures, when and on what they were measured."""


def keep(name: str, measured: Mapping[str, Any], folder: Path) -> None:
    """Put what a part measured into the JSON, beside what other parts measured earlier."""
    path = folder / JSON
    before = orjson.loads(path.read_bytes()) if path.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(before | {name: measured}, option=orjson.OPT_INDENT_2) + b"\n")


def read(folder: Path) -> Results:
    """What has been measured. Raises UsageError where nothing has."""
    try:
        found: Results = orjson.loads((folder / JSON).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"There is no {folder / JSON}: measure something first") from None
    return found


def render(results: Results, folder: Path) -> None:
    """Write the page and its figures beside the JSON."""
    parts = {name: result["figures"] for name, result in results.items()}
    figures = draw(parts, folder)
    (folder / PAGE).write_text("\n".join(_page(results, parts, figures)) + "\n", "utf-8")


def _page(results: Results, parts: Parts, figures: Sequence[str]) -> Iterator[str]:
    yield "# How fast it is"
    yield ""
    yield (
        "Written by `make bench` from `benchmarks.json`, which lies beside it. Rates of answers and of encoding "
        "are ratios against a reference in the same run, on the same machine; other figures stand as measured. "
        "The load generator runs on the machine that it asks. A part that a run leaves out keeps its earlier "
        "figures: each says when and on what it was measured."
    )
    yield from ("", "| what | goal | measured | reached |", "| --- | --- | --- | --- |")
    for row in ROWS:
        yield f"| {row.what} | {row.said} | {row.measured(parts)} | {row.reached(parts)} |"
    for figure in figures:
        yield from ("", f"![{Path(figure).stem.replace('_', ' ')}]({figure})")
    for name, part in PARTS.items():
        yield from ("", f"## {part.title}", "")
        if name in results:
            yield from _part(name, results[name])
        else:
            yield "Not measured."
    yield from ("", "## Machines and versions", "", *_machines(results))


def _part(name: str, result: Mapping[str, Any]) -> Iterator[str]:
    commit = f", commit {result['commit']}" if result["commit"] else ""
    yield f"Measured at {result['at']}{commit}."
    yield from ("", "```", *table(name, result["figures"]).splitlines(), "```")


def _machines(results: Results) -> Iterator[str]:
    """One line for each that something was measured on, with what was."""
    on: dict[str, list[str]] = {}
    for name, result in results.items():
        on.setdefault(_machine(result), []).append(name)
    for machine, names in on.items():
        yield f"- {', '.join(names)}: {machine}"


def _machine(result: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    cores, memory = result["cores"], result["memory_gb"]
    return f"{result['processor']}, {cores} cores, {memory} GB of memory, {result['system']}. {versions}."
