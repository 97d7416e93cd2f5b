"""`python -m backend`: serve, scheduler, train, cache, doctor, backup, restore, index, ingest."""

import argparse
import sys
from pathlib import Path

from backend import cli
from backend.catalog.values import MAX_INTEGER
from backend.config import get_settings
from backend.errors import SetupError

HISTORY = 7
"""Measurements of the index that its status shows."""
SETTINGS = ("lists", "probes", "ef_search")
REJECTS = 20
"""Records that could not be used, of which the newest are listed."""
RECORD_SHOWN = 160
"""Characters of such a record."""


def serve(arguments: argparse.Namespace) -> None:
    """Bring everything up and answer on HOST:PORT."""
    from backend.main import run_server

    settings = get_settings()
    given = {"host": arguments.host, "port": arguments.port}
    chosen = settings.model_copy(update={key: value for key, value in given.items() if value is not None})
    run_server(chosen, scheduler=arguments.scheduler)


def scheduler(arguments: argparse.Namespace) -> None:
    """Do the jobs of the night, and what is asked for through the API, until told to stop."""
    from backend.scheduler import run_scheduler

    run_scheduler(get_settings(), while_stdin_is_open=arguments.while_stdin_is_open)


def train(arguments: argparse.Namespace) -> None:
    """Learn taste from what people did with films; with a corpus, also from people who are not here."""
    if arguments.back:
        from backend.ml.training import go_back

        print(f"train: {go_back()} answers again")
        return
    if arguments.corpus is not None:
        from backend.database import get_engine
        from backend.migrations import migrate
        from backend.ml.corpus import adopt_corpus

        migrate(get_engine())
        ratings = adopt_corpus(get_settings(), arguments.corpus)
        print(f"corpus: {ratings:,} ratings of films in the catalogue")
    _run_job("train")


def cache(arguments: argparse.Namespace) -> None:
    """Write the file cache anew, into DATA_DIR/cache."""
    _run_job("cache")


def doctor(arguments: argparse.Namespace) -> None:
    """Say what is well, and what to run where it is not."""
    from backend.database import get_engine, session_scope
    from backend.operations.doctor import examine, examine_embeddings

    checks = examine(get_engine())
    if all(check.ok for check in checks):
        with session_scope() as session:
            checks.append(examine_embeddings(session, model=get_settings().embedding_model))
    for check in checks:
        print(check)
    if not all(check.ok for check in checks):
        raise SetupError("not all is well: see above for what to run")


def backup(arguments: argparse.Namespace) -> None:
    """Save the database in one file, while the service goes on; with a sample of answers to verify it by."""
    from backend.database import get_engine
    from backend.operations.backup import write_backup

    manifest = write_backup(get_engine(), get_settings(), arguments.file)
    print(f"backup: {arguments.file}, {arguments.file.stat().st_size:,} bytes: {manifest}")


def restore(arguments: argparse.Namespace) -> None:
    """Bring a backup into an empty database, and verify its rows and its answers; stop the service before."""
    from backend.database import get_engine
    from backend.operations.backup import restore_backup

    print(f"restore: {restore_backup(get_engine(), get_settings(), arguments.file)}: all as when it was saved")


def index_status(arguments: argparse.Namespace) -> None:
    """Show the vector index in force and its measured recall."""
    from backend.database import session_scope
    from backend.ml.vector_index import history, status

    with session_scope() as session:
        state, before = status(session), history(session, limit=HISTORY)
        measured = state.pop("recall")
        for name, value in state.items():
            print(f"{name}: {'-' if value is None else value}")
        for one in measured:
            asked = f"{one['answers']}, {one['sampled']}, {one['filters'] or 'no filters'}"
            print(f"recall: {one['recall_at_10']:.3f} of {one['queries']} lists: {asked}")
        for row in before:
            set_to = [f"{name} {getattr(row, name)}" for name in SETTINGS if getattr(row, name) is not None]
            found = ", ".join([row.kind, *set_to, f"{row.movies:,} films", f"recall@10 {row.recall_at_10:.3f}"])
            print(f"{row.measured_at:%Y-%m-%d %H:%M} {row.event}: {found}")


def index_build(arguments: argparse.Namespace) -> None:
    """Build the index that the catalogue should have, where it is not there yet; tune it, measure its recall."""
    from backend.database import get_engine
    from backend.ml.vector_index import ensure_index

    print(ensure_index(get_engine(), get_settings()))


def index_rebuild(arguments: argparse.Namespace) -> None:
    """Build the index anew, beside the old one, which answers until then."""
    from backend.database import get_engine
    from backend.ml.vector_index import ensure_index

    print(ensure_index(get_engine(), get_settings(), rebuild=True))


def index_tune(arguments: argparse.Namespace) -> None:
    """Find the least probes or ef_search that reach RECALL_TARGET anew, and let every session have them."""
    from backend.database import get_engine
    from backend.ml.vector_index import tune_index

    print(tune_index(get_engine(), get_settings()))


def ingest_rejects(arguments: argparse.Namespace) -> None:
    """List what could not be used of TMDB's answers and of files, the newest first, and why (times are UTC)."""
    from backend.catalog.queue_store import find_rejects
    from backend.database import session_scope

    with session_scope() as session:
        rejects = find_rejects(session, limit=arguments.limit)
    if not rejects:
        print("Nothing has been rejected.")
    for one in rejects:
        print(f"{one.rejected_at:%Y-%m-%d %H:%M} {_on_a_line(f'{one.source} {one.name}: {one.reason}')}")
        if one.record:
            print(f"  {_shortened(_on_a_line(one.record))}")


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(prog="python -m backend", description="Marquee, part by part.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("serve", help="answer on HOST:PORT", description=serve.__doc__)
    command.add_argument("--host", help="address to listen on (HOST)")
    command.add_argument("--port", type=int, help="port to listen on (PORT)")
    command.add_argument("--no-scheduler", dest="scheduler", action="store_false", help="start none beside it")
    command.set_defaults(run=serve)

    command = commands.add_parser("scheduler", help="do the jobs of the night", description=scheduler.__doc__)
    command.add_argument(
        "--while-stdin-is-open", action="store_true", help="end when standard input does: with its parent"
    )
    command.set_defaults(run=scheduler)

    command = commands.add_parser("train", help="learn from what people did", description=train.__doc__)
    command.add_argument(
        "--corpus",
        type=Path,
        metavar="DIR",
        help="a MovieLens folder to learn from, now and every night",
    )
    command.add_argument("--back", action="store_true", help="let the version before answer again instead")
    command.set_defaults(run=train)

    command = commands.add_parser("cache", help="write the file cache", description=cache.__doc__)
    command.set_defaults(run=cache)

    command = commands.add_parser("doctor", help="check the set-up", description=doctor.__doc__)
    command.set_defaults(run=doctor)

    command = commands.add_parser("backup", help="save the database", description=backup.__doc__)
    command.add_argument("file", type=Path, metavar="FILE", help="where to; a file that is not there yet")
    command.set_defaults(run=backup)

    command = commands.add_parser("restore", help="bring a backup back", description=restore.__doc__)
    command.add_argument("file", type=Path, metavar="FILE", help="a file that `backup` wrote")
    command.set_defaults(run=restore)

    index = commands.add_parser("index", help="look after the vector index").add_subparsers(
        required=True, metavar="ACTION"
    )
    command = index.add_parser("status", help="the index in force", description=index_status.__doc__)
    command.set_defaults(run=index_status)
    command = index.add_parser("build", help="build what is due", description=index_build.__doc__)
    command.set_defaults(run=index_build)
    command = index.add_parser("tune", help="find its settings anew", description=index_tune.__doc__)
    command.set_defaults(run=index_tune)
    command = index.add_parser("rebuild", help="build even where it fits", description=index_rebuild.__doc__)
    command.set_defaults(run=index_rebuild)

    ingest = commands.add_parser("ingest", help="look after what comes in").add_subparsers(
        required=True, metavar="ACTION"
    )
    command = ingest.add_parser("rejects", help="what could not be used", description=ingest_rejects.__doc__)
    command.add_argument(
        "--limit", type=_positive, default=REJECTS, metavar="N", help=f"so many at most ({REJECTS})"
    )
    command.set_defaults(run=ingest_rejects)
    return parser


def _positive(value: str) -> int:
    number = int(value)
    if not 1 <= number <= MAX_INTEGER:
        raise argparse.ArgumentTypeError(f"from 1 to {MAX_INTEGER}")
    return number


def _on_a_line(text: str) -> str:
    """Text without what a terminal would obey."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _shortened(text: str) -> str:
    return text if len(text) <= RECORD_SHOWN else text[: RECORD_SHOWN - 1] + "…"


def _run_job(job: str) -> None:
    from backend.database import get_engine
    from backend.migrations import migrate
    from backend.operations.jobs import JobRunner
    from backend.operations.nightly import JOB_WORK

    migrate(get_engine())
    ended = JobRunner(get_engine(), get_settings(), JOB_WORK).run_now(job)
    counted = ", ".join(f"{name} {value}" for name, value in ended.counts.items())
    print(f"{job}: {ended.error or counted}")


def main(argv: list[str] | None = None) -> int:
    """The command."""
    return cli.run(lambda arguments: arguments.run(arguments), build_parser(), argv)


if __name__ == "__main__":
    sys.exit(main())
