"""What is installed is what is locked, and under which licences it is used is written down."""

import re
from collections.abc import Iterable
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.dependencies import PAGE, locked

ROOT = Path(__file__).parents[1]
LOCKS = {"requirements.txt": "requirements.lock", "requirements-dev.txt": "requirements-dev.lock"}


def named_in(file: str) -> list[Requirement]:
    """What a file of requirements asks for itself."""
    lines = (ROOT / file).read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-r"))]


def needed_by(required: Iterable[Requirement]) -> dict[str, str]:
    """All that these need in turn, as it is installed here: versions by name."""
    found: dict[str, str] = {}
    waiting = [(requirement, "") for requirement in required]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        if name in found and not requirement.extras:
            continue
        found[name] = version(name).partition("+")[0]
        for own in requires(name) or []:
            waiting += [(Requirement(own), given) for given in ("", *requirement.extras)]
    return found


@pytest.mark.parametrize(("requirements", "lock"), LOCKS.items())
def test_the_lock_is_of_the_requirements(requirements: str, lock: str) -> None:
    held = {canonicalize_name(name): found for name, found in locked(lock)}
    missing = needed_by(named_in(requirements)).items() - held.items()
    assert not missing, f"{lock} is not of {requirements}: run `make lock`"
    asked = {canonicalize_name(each.name): each.specifier for each in named_in(requirements)}
    wrong = [name for name, specifier in asked.items() if not specifier.contains(held[name])]
    assert not wrong, f"{lock} is not of {requirements}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS.values())
def test_everything_but_torch_is_taken_by_its_hash(lock: str) -> None:
    content = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text("utf-8"), flags=re.MULTILINE)
    entries = re.split(r"\n(?=\w)", content.strip())
    assert {entry.partition("==")[0] for entry in entries} == {p.name for p in locked(lock)} - {"torch"}
    assert all("--hash=sha256:" in entry for entry in entries)


def test_every_licence_is_written_down() -> None:
    rows = re.findall(r"^\| (\S+) \| (\S+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    written = {(name, found): licence for name, found, licence in rows}
    for package in locked("requirements-dev.lock"):
        assert package.licence, f"{package.name} does not say under which licence it is"
        assert written.get(package) == package.licence, "docs/dependencies.md is not of the locks: run `make lock`"
