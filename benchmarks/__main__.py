"""`python -m benchmarks`: how fast it is, part by part, into docs/benchmarks.md."""

import argparse
import sys
from pathlib import Path

from backend import cli
from backend.errors import UsageError
from benchmarks import report
from benchmarks.machine import surroundings
from benchmarks.parts import PARTS, Given, can_run, run, table


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--films", type=Path, metavar="FILE", help="TMDB-shaped films: .jsonl or .jsonl.gz")
    parser.add_argument(
        "--installation",
        type=Path,
        metavar="DIR",
        help="DATA_DIR of an installation that is not running, its films embedded and learned from",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="NAME", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="where results go (docs)")
    parser.add_argument("--render", action="store_true", help="only write the page anew from benchmarks.json")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command."""
    return cli.run(_benchmark, build_parser(), argv)


def _benchmark(arguments: argparse.Namespace) -> None:
    if not arguments.render:
        given = Given(films=_absolute(arguments.films), installation=_absolute(arguments.installation))
        for name in _chosen(arguments.only, given):
            print(f"\n{PARTS[name].title}", flush=True)
            figures = run(name, given)
            # At once: what comes later may fail.
            report.keep(name, surroundings() | {"figures": figures}, arguments.out)
            print(table(name, figures), flush=True)
    report.render(report.read(arguments.out), arguments.out)


def _absolute(path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise UsageError(f"There is no {path}")
    return path and path.resolve()


def _chosen(only: list[str] | None, given: Given) -> list[str]:
    """The parts to run; left alone, all that can be and that do not take long."""
    names = [name for name in PARTS if name in only] if only else [n for n in PARTS if not PARTS[n].on_request]
    runnable = [name for name in names if can_run(name, given)]
    if not runnable or (only and runnable != names):
        missing = sorted({f"--{need}" for name in names if name not in runnable for need in PARTS[name].needs})
        raise UsageError(f"{' and '.join(missing)} would say on what to measure")
    return runnable


if __name__ == "__main__":
    sys.exit(main())
