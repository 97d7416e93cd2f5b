"""How fast a file of films comes into an empty catalogue, and how much memory that takes.

The command that people run, as they run it: its start and the schema are in the seconds. The server's start is
not, and the memory is the command's own, without the server's.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from backend.embedded_postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[1]
LOOK_EVERY = 0.02
"""Seconds between two looks at a peak, which the kernel keeps: only one of the very last moment can be missed."""


def measure(films: Path) -> dict[str, Any]:
    """Rows, seconds, rows a second and MB at the peak of one load into a database of its own."""
    with tempfile.TemporaryDirectory(prefix="marquee-loading-") as scratch:
        data = Path(scratch) / "data"
        server = EmbeddedPostgres(data / "postgres")
        server.start()
        try:
            return _load(films.resolve(), data)
        finally:
            server.stop()


def _load(films: Path, data: Path) -> dict[str, Any]:
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(ROOT / "movie_pipeline.py"), "--from-file", str(films)],
        # From there no `.env` names another database.
        cwd=data,
        env=os.environ | {"DATA_DIR": str(data), "DATABASE_URL": ""},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        peak = _peak(process)
        seconds = time.perf_counter() - begin
        said = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"The load ended with {process.returncode}")
    rows = _rows(said)
    return {"rows": rows, "seconds": seconds, "rows_a_second": rows / seconds, "peak_mb": peak}


def _peak(process: subprocess.Popen[str]) -> float:
    """The most memory that a process has had resident when it ends, in MB.

    Not by `getrusage`: that counts what this process had when it made the other, and what other children had.
    """
    peak = 0.0
    while process.returncode is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if found := re.search(r"VmHWM:\s+(\d+) kB", status):
            peak = int(found[1]) / 1024
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_EVERY)
    return peak


def _rows(said: str) -> int:
    found = re.search(r": ([\d,]+) new, 0 changed, 0 unchanged", said)
    if found is None:
        raise RuntimeError(f"The load said {said!r}")
    return int(found[1].replace(",", ""))


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    lines = [
        f"{'films':<22}{figures['rows']:>10,}",
        f"{'seconds':<22}{figures['seconds']:>10.1f}",
        f"{'films a second':<22}{figures['rows_a_second']:>10,.0f}",
        f"{'peak memory, MB':<22}{figures['peak_mb']:>10.0f}",
    ]
    return "\n".join(lines)
