"""`python movie_pipeline.py`: films and ratings into the database."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backend import cli
from backend.catalog.pipeline import load
from backend.catalog.sources import read_json_lines
from backend.database import get_engine
from backend.feedback.imports import import_movielens
from backend.migrations import migrate


def run_pipeline(arguments: argparse.Namespace) -> None:
    """Load what was named."""
    migrate(get_engine())
    if arguments.from_file:
        summary = load(read_json_lines(arguments.from_file), source="file")
        _report(arguments.from_file, summary, summary.reasons)
        if summary.upserted.new or summary.upserted.changed:
            print("Next: python backend/generate_embeddings.py")
    if arguments.ratings:
        imported = import_movielens(arguments.ratings)
        _report(arguments.ratings, imported, imported.reasons)


def _report(path: Path, summary: object, reasons: Sequence[str]) -> None:
    print(f"{path.name}: {summary}")
    for reason in reasons:
        print(f"  {reason}")


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="movie_pipeline.py", description=__doc__)
    what = parser.add_argument_group("what to load").add_mutually_exclusive_group(required=True)
    what.add_argument("--from-file", type=Path, metavar="F", help="TMDB-shaped JSON lines (.jsonl, .jsonl.gz)")
    what.add_argument("--ratings", type=Path, metavar="DIR", help="a MovieLens folder (ratings.csv and links.csv)")
    return cli.run(run_pipeline, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
