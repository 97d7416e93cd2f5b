"""Requests to a server on this machine, from a process of its own: as many as it answers, or so many a second.

    python -m benchmarks.load_generator < plan.json

The plan is a `Plan` as JSON; what came of it is written as JSON.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

SHARES = (0.5, 0.95, 0.99)
WARM_UP = 0.5
"""Seconds at the beginning that do not count."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to send."""

    port: int
    paths: list[str]
    """Asked for in this order, again from the first after the last."""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 3.0
    connections: int = 16
    rate: float | None = None
    """Requests a second, sent whether or not earlier ones are answered; None: each connection sends the next
    request when it has the answer to the last."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    requests: int
    failed: int
    """Answers that were not a 200, and connections that broke."""
    seconds: float
    latencies: list[float]
    """Of every request, in seconds. At a fixed rate they begin when the request was due: one that waited because
    others were slow has been waited for."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    @property
    def percentiles(self) -> dict[str, float]:
        """The latencies, in milliseconds, that some shares of the requests kept below."""
        ordered = sorted(self.latencies)
        places = {f"p{share * 100:g}_ms": int(share * len(ordered)) for share in SHARES}
        return {name: 1000 * ordered[min(place, len(ordered) - 1)] for name, place in places.items()}


def generate(plan: Plan) -> Outcome:
    """Have a process send it all. Raises CalledProcessError where that fails."""
    command = [sys.executable, "-m", "benchmarks.load_generator"]
    told = subprocess.run(command, input=json.dumps(asdict(plan)), capture_output=True, text=True, check=True)
    return Outcome(**json.loads(told.stdout))


class _Connection(asyncio.Protocol):
    """One keep-alive connection, with one request on its way at most."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._due = 0.0
        self._missing = 0
        self._head = b""
        self._ok = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses.
        self._transport = cast(asyncio.Transport, transport)
        self._load.idle(self)

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self._missing:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self._ok = head.startswith(b"HTTP/1.1 200")
            lowered = head.lower()
            length = lowered[lowered.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0]
            self._missing = int(length)
        self._missing -= len(data)
        if not self._missing:
            self._load.answered(self._due, ok=self._ok)
            self._load.idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.broken()

    def close(self) -> None:
        self._transport.abort()


class _Load:
    """The requests, those that wait for a connection, and the connections that wait for a request."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        lines = "".join(f"{name}: {value}\r\n" for name, value in plan.headers.items())
        self._requests = [f"GET {path} HTTP/1.1\r\nHost: l\r\n{lines}\r\n".encode() for path in plan.paths]
        self._sent = 0
        self._waiting: deque[float] = deque()
        self._idle: deque[_Connection] = deque()
        self._counts_from = float("inf")
        self._ends = float("inf")
        self._latencies: list[float] = []
        self._failed = 0

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        plan = self._plan
        opened = [
            await loop.create_connection(lambda: _Connection(self), "127.0.0.1", plan.port)
            for _ in range(plan.connections)
        ]
        begin = time.perf_counter()
        self._counts_from, self._ends = begin + WARM_UP, begin + WARM_UP + plan.seconds
        if plan.rate is None:
            for connection in list(self._idle):
                self._next(connection, time.perf_counter())
            await asyncio.sleep(WARM_UP + plan.seconds)
        else:
            await self._keep_rate(plan.rate, begin)
        self._failed += len(self._waiting)
        for _, connection in opened:
            connection.close()
        return Outcome(
            requests=len(self._latencies),
            failed=self._failed,
            seconds=plan.seconds,
            latencies=self._latencies,
        )

    async def _keep_rate(self, rate: float, begin: float) -> None:
        due = begin
        while due < self._ends:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            self._waiting.append(due)
            self._dispatch()
            due += 1 / rate
        last = time.perf_counter() + 2
        while (self._waiting or len(self._idle) < self._plan.connections) and time.perf_counter() < last:
            await asyncio.sleep(0.01)

    def idle(self, connection: _Connection) -> None:
        now = time.perf_counter()
        if self._plan.rate is None and self._sent and now < self._ends:
            self._next(connection, now)
            return
        self._idle.append(connection)
        self._dispatch()

    def answered(self, due: float, *, ok: bool) -> None:
        now = time.perf_counter()
        moment = now if self._plan.rate is None else due
        if self._counts_from <= moment < self._ends:
            self._latencies.append(now - due)
            self._failed += not ok

    def broken(self) -> None:
        if time.perf_counter() < self._ends:
            self._failed += 1

    def _dispatch(self) -> None:
        while self._waiting and self._idle:
            self._next(self._idle.popleft(), self._waiting.popleft())

    def _next(self, connection: _Connection, due: float) -> None:
        connection.send(self._requests[self._sent % len(self._requests)], due)
        self._sent += 1


def main() -> None:
    """Send what standard input says."""
    plan = Plan(**json.load(sys.stdin))
    json.dump(asdict(uvloop.run(_Load(plan).run())), sys.stdout)


if __name__ == "__main__":
    main()
