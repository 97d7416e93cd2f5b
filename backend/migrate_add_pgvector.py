"""`python backend/migrate_add_pgvector.py`: bring any older database to the current schema."""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the repository is what `backend` is imported from
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from backend import cli
from backend.database import get_engine
from backend.migrations.adopt import migrate_older

DESCRIPTION = """\
Bring any older database to the current schema, in one transaction, and say what was done.

A table `movies` is changed in place and keeps its rows, foreign keys and further columns; a table that
does not fit (users, interactions, ...) is kept under another name, such as users_before_marquee.
Safe to repeat. The database is the one that DATABASE_URL names, else the embedded one.
"""


def migrate_add_pgvector(_: argparse.Namespace) -> None:
    """Migrate and print one line for everything that was done."""
    done = migrate_older(get_engine())
    print("\n".join(done) if done else "Nothing to do: the database has the current schema.")


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="migrate_add_pgvector.py",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return cli.run(migrate_add_pgvector, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
