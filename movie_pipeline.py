"""`python movie_pipeline.py`: films from TMDB into the database, or films and ratings from files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backend import cli
from backend.catalog.pipeline import load
from backend.catalog.sources import read_json_lines
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbConfig
from backend.config import Settings, get_settings
from backend.database import get_engine
from backend.feedback.imports import import_movielens
from backend.migrations import migrate
from backend.operations.record import Counts


def run_pipeline(arguments: argparse.Namespace) -> None:
    """Load what was named; where nothing was, fetch from TMDB."""
    if arguments.from_file:
        _load_films(arguments.from_file)
    elif arguments.ratings:
        _load_ratings(arguments.ratings)
    else:
        _fetch_films(arguments.pages)


def _load_films(path: Path) -> None:
    migrate(get_engine())
    summary = load(read_json_lines(path), source="file")
    _report(path.name, summary, summary.reasons)
    if summary.upserted.new or summary.upserted.changed:
        print("Next: python backend/generate_embeddings.py")


def _load_ratings(path: Path) -> None:
    migrate(get_engine())
    imported = import_movielens(path)
    _report(path.name, imported, imported.reasons)


def _fetch_films(pages: int | None) -> None:
    """The job `ingest`, with more to say."""
    # These take long to import, and a load from a file has no use for them.
    from backend.ml.vector_index import ensure_index
    from backend.operations.jobs import JobRunner
    from backend.operations.nightly import fetch_films, whole

    settings = get_settings()
    TmdbConfig.from_settings(settings)
    migrate(get_engine())
    fetched: list[LoadSummary] = []

    def work(settings: Settings) -> Counts:
        summary, counts = fetch_films(settings, pages=pages)
        fetched.append(summary)
        return whole(summary, counts)

    try:
        JobRunner(get_engine(), settings, {"ingest": work}).run_now("ingest")
    finally:
        for summary in fetched:
            _report("TMDB", summary, summary.reasons)
            print(ensure_index(get_engine(), settings))


def _report(name: str, summary: object, reasons: Sequence[str]) -> None:
    print(f"{name}: {summary}")
    for reason in reasons:
        print(f"  {reason}")


def _pages(value: str) -> int:
    pages = int(value)
    if not 1 <= pages <= TmdbConfig.page_limit:
        raise argparse.ArgumentTypeError(f"from 1 to {TmdbConfig.page_limit}")
    return pages


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="movie_pipeline.py",
        description=__doc__,
        epilog="With none of these, from TMDB: the films with at least 50 votes, the best-known first, and some "
        "pages of its curated lists. That and --pages need TMDB_API_KEY.",
    )
    what = parser.add_argument_group("what to load").add_mutually_exclusive_group()
    what.add_argument("--from-file", type=Path, metavar="F", help="TMDB-shaped JSON lines (.jsonl, .jsonl.gz)")
    what.add_argument("--ratings", type=Path, metavar="DIR", help="a MovieLens folder (ratings.csv and links.csv)")
    what.add_argument(
        "--pages",
        type=_pages,
        metavar="N",
        help="from TMDB, N pages of each curated list (popular, top rated, now playing, upcoming)",
    )
    return cli.run(run_pipeline, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
