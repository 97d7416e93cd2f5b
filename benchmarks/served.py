"""What is measured over HTTP: the service as it is shipped, without its cache, and the least that FastAPI can do.

python -m benchmarks.served service|uncached|bare --port PORT [--body FILE]
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response

from backend.api.response_cache import ResponseCache, ResponseCacheConfig
from backend.config import get_settings
from backend.main import create_app
from benchmarks.load_generator import Outcome, Plan, generate

START_SECONDS = 60
KEY = "benchmark"
BUSY, WAITING = 8, 64
"""Connections that keep a server busy, and at a fixed rate let requests wait that would else not be sent."""


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    port: int
    headers: Mapping[str, str]

    def get(self, path: str) -> bytes:
        """The body of an answer. Raises RuntimeError where it is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path, headers=dict(self.headers))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path} is answered with {answer.status}: {body[:200]!r}")
        return body

    def load(self, paths: Sequence[str], *, seconds: float, rate: float | None = None) -> Outcome:
        """Ask for all it can answer, or at a rate. Raises RuntimeError where a request failed."""
        connections = BUSY if rate is None else WAITING
        outcome = generate(
            Plan(
                port=self.port,
                paths=list(paths),
                headers=dict(self.headers),
                seconds=seconds,
                connections=connections,
                rate=rate,
            )
        )
        if outcome.failed or not outcome.requests:
            raise RuntimeError(f"{outcome.failed} of {outcome.requests} requests failed")
        return outcome


@contextmanager
def serve(what: str, *, body: Path | None = None) -> Iterator[Served]:
    """A server in a process of its own, until the end of the block."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.served", what, "--port", str(port)]
    with subprocess.Popen(
        command + (["--body", str(body)] if body else []), env=os.environ | {"API_KEYS": KEY}
    ) as run:
        try:
            served = Served(port, {"X-API-Key": KEY})
            _wait_for(served, run)
            yield served
        finally:
            run.terminate()


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _wait_for(served: Served, run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while run.poll() is None and time.monotonic() < deadline:
        if _is_ready(served):
            return
        time.sleep(0.1)
    raise RuntimeError(f"The server does not start: {run.args!r}")


def _is_ready(served: Served) -> bool:
    """With the encoder, which is loaded behind the first answers."""
    try:
        return bool(json.loads(served.get("/health/ready"))["encoder"] == "loaded")
    except (OSError, RuntimeError):
        return False


def bare(body: bytes) -> FastAPI:
    """The least: the same bytes, from an `async def` endpoint."""
    app = FastAPI()

    @app.get("/health/ready")
    async def ready() -> dict[str, str]:
        return {"encoder": "loaded"}

    @app.get("/similar/{movie_id}")
    async def similar(movie_id: int) -> Response:
        return Response(body, media_type="application/json")

    return app


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.served")
    parser.add_argument("what", choices=("service", "uncached", "bare"))
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--body", type=Path)
    chosen = parser.parse_args()
    if chosen.what == "bare":
        app = bare(chosen.body.read_bytes())
    else:
        app = create_app(get_settings())
        if chosen.what == "uncached":
            app.state.response_cache = ResponseCache(ResponseCacheConfig(megabytes=0))
    uvicorn.run(app, port=chosen.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
