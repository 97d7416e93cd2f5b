"""What the tests of faults, of load and of bad inputs found, for docs/reliability.md.

A plugin of pytest. With `--ledger DIR` the tests run that write into it, or are marked `faults`, and what they
found is kept as `DIR/<name>.json`; without, nothing is kept.
"""

import datetime as dt
import os
import re
from pathlib import Path
from typing import Any

import orjson
import pytest


class Ledger:
    """What a test found, by its name; the newest counts."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def fault(self, name: str, *, clients_see: str, lost: str, well_again_after: float | None) -> None:
        """A fault that was survived, and the seconds from its end until all was well; None where none are told."""
        self._keep("fault", name, clients_see=clients_see, lost=lost, well_again_after=well_again_after)

    def load(self, name: str, **figures: float | str) -> None:
        """A load that was held; `p99_ms=12` is shown as "p99 ms: 12"."""
        self._keep("load", name, **figures)

    def inputs(self, name: str, *, tried: int, refused: int, errors_5xx: int) -> None:
        """Bad inputs: how many were tried, were refused in order, and were an error of the service."""
        self._keep("inputs", name, tried=tried, refused=refused, errors_5xx=errors_5xx)

    def _keep(self, kind: str, name: str, **found: Any) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        entry = {"kind": kind, "name": name, "found": found, "on": _here()}
        path = self._folder / (re.sub(r"\W+", "-", name.lower()).strip("-") + ".json")
        path.write_bytes(orjson.dumps(entry, option=orjson.OPT_INDENT_2) + b"\n")


def _here() -> dict[str, Any]:
    return {"day": dt.datetime.now(dt.UTC).date().isoformat(), "cores": os.cpu_count()}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--ledger DIR`."""
    help = "run what tells of faults, load and inputs, and keep what it tells in this folder"
    parser.addoption("--ledger", type=Path, metavar="DIR", help=help)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With a ledger, what has nothing to do with it is left out."""
    if config.getoption("ledger") is not None:
        items[:] = [item for item in items if _concerns(item)]


def _concerns(item: pytest.Item) -> bool:
    return "ledger" in getattr(item, "fixturenames", ()) or item.get_closest_marker("faults") is not None


@pytest.fixture(scope="session")
def ledger(pytestconfig: pytest.Config) -> Ledger:
    """Where a test tells what it found."""
    return Ledger(pytestconfig.getoption("ledger"))
