"""`python -m tests.faults.report DIR`: what a ledger holds, as docs/reliability.md."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
INTRODUCTION = """\
# What it survives

Written by `make test-faults`. Each row is a test with real parts, and each figure is what it measured in that run.
What it promises it asserts, so a row stands here only if the promise was kept. How the
parts work together stands in [architecture.md](architecture.md).
"""

Entry = Mapping[str, Any]


def main(arguments: Sequence[str]) -> None:
    """Render the ledger of the folder that is named."""
    (folder,) = arguments
    entries = [orjson.loads(path.read_bytes()) for path in sorted(Path(folder).glob("*.json"))]
    PAGE.write_text("\n".join(page(entries)) + "\n", "utf-8")
    print(f"{len(entries)} entries, in docs/{PAGE.name}")


def page(entries: Sequence[Entry]) -> Iterator[str]:
    """The lines of the page."""
    yield INTRODUCTION
    days, cores = ({str(entry["on"][what]) for entry in entries} for what in ("day", "cores"))
    yield f"Measured on {', '.join(sorted(days))}, on a machine with {', '.join(sorted(cores))} cores."
    for kind, (title, head, row) in SECTIONS.items():
        chosen = [entry for entry in entries if entry["kind"] == kind]
        if chosen:
            yield from ("", f"## {title}", "", f"| {' | '.join(head)} |", "| --- " * len(head) + "|")
            yield from (f"| {' | '.join((entry['name'], *row(entry['found'])))} |" for entry in chosen)


def _fault(found: Entry) -> tuple[str, ...]:
    seconds = found["well_again_after"]
    return found["clients_see"], found["lost"], "" if seconds is None else f"{seconds:.1f} s"


def _load(found: Entry) -> tuple[str, ...]:
    return ("; ".join(f"{name.replace('_', ' ')}: {_figure(value)}" for name, value in found.items()),)


def _inputs(found: Entry) -> tuple[str, ...]:
    return tuple(f"{found[name]:,}" for name in ("tried", "refused", "errors_5xx"))


def _figure(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


SECTIONS = {
    "fault": ("Faults", ("fault", "clients see", "lost", "all well again after"), _fault),
    "load": ("Load", ("what", "measured"), _load),
    "inputs": ("Bad inputs", ("what", "tried", "refused", "errors of the service"), _inputs),
}

if __name__ == "__main__":
    main(sys.argv[1:])
