"""How long an installation takes to come up again, and the memory that all of it takes.

Memory is the proportional share (PSS) of each process: what processes share counts once in all.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import orjson
import psutil
from sqlalchemy import text

from backend.api.access import KEY_FILE
from backend.errors import UsageError
from benchmarks.served import free_port
from benchmarks.server import connected, start

STARTS = 3
READY = "Marquee is ready"
PATIENCE = 900.0
"""Seconds for what the scheduler makes up for at a start: jobs of nights that were missed."""
ASKED = 200
"""Answers given before memory is looked at."""


@dataclass(frozen=True)
class Service:
    """A service that is ready."""

    process: psutil.Process
    port: int
    seconds: float
    key: str | None

    def get(self, path: str) -> Any:
        """The JSON at a path. Raises RuntimeError where the answer is an error."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", headers=headers), timeout=60) as answer:
                return orjson.loads(answer.read())
        except HTTPError as error:
            # It holds the connection, and so can't be handed to another process.
            raise RuntimeError(f"{path} is answered with {error.code}") from None


def measure(installation: Path) -> dict[str, Any]:
    """Start it some times, and look at its memory in the last."""
    if (installation / "postgres" / "postmaster.pid").exists():
        raise UsageError(f"Stop the installation in {installation} first")
    films, ids = _films(installation)
    seconds = [_start_seconds(installation) for _ in range(STARTS - 1)]
    with serving(installation) as service:
        seconds.append(service.seconds)
        _wait(lambda: _is_warm(service), "the encoder is not loaded")
        for film in ids:
            service.get(f"/similar/{film}")
        service.get("/search?q=a+heist+in+space")
        _wait(lambda: _is_idle(service.get("/jobs")), "jobs are still running")
        memory = _memory(service.process, installation)
    return {"films": films, "start_seconds": median(seconds), "starts": seconds} | memory


def _is_warm(service: Service) -> bool:
    try:
        return bool(service.get("/health/ready")["encoder"] == "loaded")
    except RuntimeError:
        return False


@contextmanager
def serving(installation: Path) -> Iterator[Service]:
    """The service as people run it, on a free port; the seconds are those until it says that it is ready."""
    port = free_port()
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "backend", "serve", "--host", "127.0.0.1", "--port", str(port)],
        # From there no `.env` names another database.
        cwd=installation,
        env=_environment(installation),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            _read_until_ready(process.stdout)
            seconds = time.perf_counter() - begin
            key = installation / KEY_FILE
            yield Service(
                psutil.Process(process.pid), port, seconds, key.read_text().strip() if key.exists() else None
            )
        finally:
            process.terminate()
            process.communicate()


def _environment(installation: Path) -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    return os.environ | {"DATA_DIR": str(installation.resolve()), "DATABASE_URL": "", "PYTHONPATH": root}


def _start_seconds(installation: Path) -> float:
    with serving(installation) as service:
        return service.seconds


def _read_until_ready(lines: Iterable[str]) -> None:
    for line in lines:
        if line.startswith(READY):
            return
    raise RuntimeError("The service ended before it was ready")


def _wait(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"After {PATIENCE:.0f} seconds {otherwise}")
        time.sleep(0.5)


def _is_idle(told: dict[str, Any]) -> bool:
    """Whether the scheduler is there, and no job runs or waits."""
    outcomes = [job["last"]["outcome"] for job in told["jobs"] if job["last"]]
    return told["scheduler_running"] and not {"running", "queued"} & set(outcomes)


def _memory(api: psutil.Process, installation: Path) -> dict[str, float]:
    """In GB: the service, the scheduler beside it, and the server with all its processes."""
    postmaster = int((installation / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    server = _family(psutil.Process(postmaster))
    # The server is no child of the service: pg_ctl lets go of it. The scheduler is.
    children = [process for process in _family(api)[1:] if process not in server]
    parts = {"api_gb": _pss_gb([api]), "scheduler_gb": _pss_gb(children), "postgres_gb": _pss_gb(server)}
    processes = parts["api_gb"] + parts["scheduler_gb"]
    return parts | {"processes_gb": processes, "with_postgres_gb": processes + parts["postgres_gb"]}


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _pss_gb(processes: Iterable[psutil.Process]) -> float:
    return sum(pss_kb(process.pid) for process in processes) / 2**20


def pss_kb(pid: int) -> int:
    """The proportional share of a process's memory; 0 where it has ended meanwhile."""
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("Pss:"))


def _films(installation: Path) -> tuple[int, list[int]]:
    """How many are embedded, and some of them; the server is stopped again, as a start finds it."""
    server = start(installation)
    with connected(server) as engine, engine.connect() as connection:
        films = connection.scalar(text("SELECT count(embedding) FROM movies"))
        ids = connection.scalars(_SOME, {"limit": ASKED}).all()
    server.stop()
    return films or 0, list(ids)


_SOME = text("""
    SELECT id FROM movies WHERE embedding IS NOT NULL AND NOT adult ORDER BY md5(id::text) LIMIT :limit
""")


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    starts = ", ".join(f"{seconds:.2f}" for seconds in figures["starts"])
    lines = [
        f"{'films':<36}{figures['films']:>12,}",
        f"{'from start to ready, seconds':<36}{figures['start_seconds']:>12.2f}  ({starts})",
        f"{'API, GB':<36}{figures['api_gb']:>12.2f}",
        f"{'scheduler, GB':<36}{figures['scheduler_gb']:>12.2f}",
        f"{'both, GB':<36}{figures['processes_gb']:>12.2f}",
        f"{'PostgreSQL, GB':<36}{figures['postgres_gb']:>12.2f}",
        f"{'all of it, GB':<36}{figures['with_postgres_gb']:>12.2f}",
    ]
    return "\n".join(lines)
