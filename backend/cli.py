"""What every command shares: exit codes, one clear line on failure, `--debug` for the traceback."""

import argparse
import sys
from collections.abc import Callable

from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from backend.config import get_settings
from backend.embedded_postgres import exit_on_signals
from backend.errors import AppError, WrongArgumentsError
from backend.telemetry import configure_logging

Main = Callable[[argparse.Namespace], None]


def run(main: Main, parser: argparse.ArgumentParser, argv: list[str] | None = None) -> int:
    """Parse, run, and say what went wrong in one line.

    Returns the exit code: 0 done, 1 failed, 2 wrong usage (by argparse), 130 interrupted.
    """
    parser.add_argument("--debug", action="store_true", help="show the traceback of a failure")
    arguments = parser.parse_args(argv)
    exit_on_signals()
    try:
        configure_logging(get_settings())
        main(arguments)
    except KeyboardInterrupt:
        print("Interrupted; what was done is kept. Run it again to go on.", file=sys.stderr)
        return 130
    except WrongArgumentsError as error:
        parser.error(error.detail)
    except (AppError, ValidationError, DBAPIError, OSError) as error:
        if arguments.debug:
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def _one_line(error: Exception) -> str:
    if isinstance(error, AppError):
        return error.detail
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(str(part) for part in item['loc']).upper()}: {item['msg']}" for item in error.errors()
        )
    if isinstance(error, DBAPIError):
        return f"the database can't be used: {str(error.orig).strip().splitlines()[0]}"
    return str(error)
