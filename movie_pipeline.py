"""`python movie_pipeline.py`: films from TMDB into the database, or films and ratings from files."""

import argparse
import datetime as dt
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from backend import cli
from backend.catalog.pipeline import load
from backend.catalog.planning import Wanted
from backend.catalog.sources import read_json_lines
from backend.catalog.summary import LoadSummary
from backend.catalog.tmdb import TmdbConfig
from backend.config import LANGUAGE, Settings, get_settings
from backend.database import get_engine
from backend.errors import WrongArgumentsError
from backend.feedback.imports import import_ratings
from backend.feedback.records import PERSON
from backend.migrations import migrate
from backend.operations.record import Counts


def run_pipeline(arguments: argparse.Namespace) -> None:
    """Load what was named; where nothing was, fetch from TMDB."""
    if arguments.user_id is not None and not arguments.ratings:
        raise WrongArgumentsError("--user-id says whose ratings a file has: it goes with --ratings")
    if arguments.from_file:
        _load_films(arguments.from_file)
    elif arguments.ratings:
        _load_ratings(arguments.ratings, arguments.user_id)
    else:
        _fetch_films(arguments)


def _load_films(path: Path) -> None:
    migrate(get_engine())
    summary = load(read_json_lines(path), source="file", file=path.name)
    _report(path.name, summary, summary.reasons)
    if summary.upserted.new or summary.upserted.changed:
        print("Next: python backend/generate_embeddings.py")


def _load_ratings(path: Path, person: str | None) -> None:
    migrate(get_engine())
    imported = import_ratings(path, person)
    _report(path.name, imported, imported.reasons)
    for film in imported.pending_films:
        if film.title:
            print(f"  not in the catalogue yet: {film.title} ({film.year})")


def _fetch_films(arguments: argparse.Namespace) -> None:
    """The job `ingest`, with more to say."""
    # These take long to import, and a load from a file has no use for them.
    from backend.ml.vector_index import ensure_index
    from backend.operations.jobs import JobRunner
    from backend.operations.nightly import fetch_films, whole

    settings = get_settings()
    if arguments.language:
        settings = settings.model_copy(update={"tmdb_language": arguments.language})
    TmdbConfig.from_settings(settings)
    migrate(get_engine())
    fetched: list[LoadSummary] = []
    named = arguments.since or arguments.full
    wanted = Wanted(
        lists=not named,
        pages=arguments.pages,
        since=arguments.since,
        everything=arguments.full,
        export_url=settings.tmdb_export_url,
        include_adult=settings.include_adult,
    )

    def work(settings: Settings) -> Counts:
        summary, counts = fetch_films(settings, wanted)
        fetched.append(summary)
        return whole(summary, counts)

    try:
        JobRunner(get_engine(), settings, {"ingest": work}).run_now("ingest")
    finally:
        for summary in fetched:
            _report("TMDB", summary, summary.reasons)
            if summary.faults:
                print(f"  on the way: {summary.trouble}")
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


def _day(value: str) -> dt.date:
    try:
        day = dt.date.fromisoformat(value)
    except ValueError:
        raise argparse.ArgumentTypeError("a day is written like 2026-01-31") from None
    if day > dt.datetime.now(dt.UTC).date():
        raise argparse.ArgumentTypeError("that day is still to come")
    return day


def _language(value: str) -> str:
    if not re.fullmatch(LANGUAGE, value):
        raise argparse.ArgumentTypeError("a language is written like de or pt-BR")
    return value


def _person(value: str) -> str:
    if not PERSON.fullmatch(value):
        raise argparse.ArgumentTypeError("a person is 1 to 128 characters without slashes or control characters")
    return value


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="movie_pipeline.py",
        description=__doc__,
        epilog="With none of these, from TMDB: the films with at least 50 votes, the best-known first, and some "
        "pages of its curated lists. That, --pages, --since and --full need TMDB_API_KEY.",
    )
    what = parser.add_argument_group("what to load").add_mutually_exclusive_group()
    what.add_argument("--from-file", type=Path, metavar="F", help="TMDB-shaped JSON lines (.jsonl, .jsonl.gz)")
    what.add_argument(
        "--ratings",
        type=Path,
        metavar="F",
        help="an export of Letterboxd, IMDb or Trakt, with --user-id; or MovieLens (a folder or a ZIP)",
    )
    what.add_argument(
        "--pages",
        type=_pages,
        metavar="N",
        help="from TMDB, N pages of each curated list (popular, top rated, now playing, upcoming)",
    )
    what.add_argument(
        "--since",
        type=_day,
        metavar="DATE",
        help="from TMDB, what changed since that day (2026-01-31) of the films that are here",
    )
    what.add_argument("--full", action="store_true", help="from TMDB, every film of its daily export of ids")
    parser.add_argument(
        "--language",
        type=_language,
        help="of titles and overviews from TMDB, e.g. de or pt-BR (TMDB_LANGUAGE)",
    )
    parser.add_argument("--user-id", type=_person, metavar="NAME", help="with --ratings: whose export it is")
    return cli.run(run_pipeline, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
