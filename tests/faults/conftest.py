"""A world to break, once a module."""

from collections.abc import Iterator

import pytest

from tests.faults.world import World
from tests.test_embedded_postgres import temporary_home


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A filled database on a server of its own, and a DATA_DIR."""
    with temporary_home() as home:
        yield World(home)
