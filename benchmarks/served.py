"""What is measured over HTTP: the service as it is shipped, without its cache, and the least that FastAPI can do.

python -m benchmarks.served service|uncached|bare --port PORT [--body FILE]
"""

import argparse
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response

from backend.api.response_cache import ResponseCache, ResponseCacheConfig
from backend.config import get_settings
from backend.main import create_app

START_SECONDS = 60


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


@contextmanager
def serve(what: str, *, key: str, body: Path | None = None) -> Iterator[Served]:
    """A server in a process of its own, until the end of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.served", what, "--port", str(port)]
    with subprocess.Popen(
        command + (["--body", str(body)] if body else []), env=os.environ | {"API_KEYS": key}
    ) as run:
        try:
            served = Served(port, {"X-API-Key": key})
            _wait_for(served, run)
            yield served
        finally:
            run.terminate()


def _wait_for(served: Served, run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while run.poll() is None and time.monotonic() < deadline:
        try:
            served.get("/health/live")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"The server does not start: {run.args!r}")


def bare(body: bytes) -> FastAPI:
    """The least: the same bytes, from an `async def` endpoint."""
    app = FastAPI()

    @app.get("/health/live")
    async def live() -> Response:
        return Response()

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
