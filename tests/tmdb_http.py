"""HTTP around the stand-in for TMDB: what it answers put on the wire, or what goes wrong instead."""

import datetime as dt
import json
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import orjson

from tests.tmdb_faults import HTML, Fault, Kind
from tests.tmdb_films import Query

Answer = tuple[int, Any]
"""Status and body; one of bytes is a file."""
JSON = "application/json;charset=utf-8"
RESET = struct.pack("ii", 1, 0)
"""Closing a connection so throws away what was not sent, and tells the other side."""
MOMENT = 0.02
"""Seconds in which the other side reads what has been sent before the reset."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    query: Query
    authorization: str | None
    at: float
    """Seconds on the monotonic clock."""


class Answering(Protocol):
    """What stands behind the wire."""

    slow: float

    def note(self, request: Asked) -> Fault | Kind | None:
        """Record a request; the fault that is its due."""

    def answer(self, request: Asked) -> Answer:
        """The right answer."""

    def now(self) -> dt.datetime:
        """What the clock there says."""


def error(status: int, code: int, message: str) -> Answer:
    """An error as TMDB words it."""
    return status, {"success": False, "status_code": code, "status_message": message}


class Server(ThreadingHTTPServer):
    """Answers each connection in a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, behind: Answering, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.behind = behind
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Keep in mind whom there is a connection to."""
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The connection is at its end."""
        self.open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """No new connection, and an end to those that there are."""
        super().server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a client that was killed."""


class Handler(BaseHTTPRequestHandler):
    """A connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer a request, or deal it the fault that is its due."""
        url = urlsplit(self.path)
        path, bearer = url.path.removeprefix("/3"), self.headers.get("Authorization")
        request = Asked(path, dict(parse_qsl(url.query)), bearer, time.monotonic())
        fault = self.server.behind.note(request)
        if fault is None:
            self.send(*self.right(request))
        elif isinstance(fault, Fault):
            self.send_fault(fault)
        else:
            DEALT[fault](self, request)

    def right(self, request: Asked) -> tuple[int, bytes, str]:
        """The answer as it should be: status, body, content type."""
        status, body = self.server.behind.answer(request)
        if isinstance(body, bytes):
            return status, body, "application/gzip" if status == 200 else "application/xml"
        return status, orjson.dumps(body), JSON

    def send(self, status: int, body: bytes, kind: str = JSON, *, missing: int = 0, **headers: str) -> None:
        """Put an answer on the wire; it promises more bytes than come where some are missing."""
        self.send_response_only(status)
        self.send_header("Date", format_datetime(self.server.behind.now(), usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + missing))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = self.close_connection or missing > 0

    def send_fault(self, fault: Fault) -> None:
        """Answer as a script says."""
        if fault.drops:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        said = json.dumps(error(fault.status, 11, "Internal error: Something went wrong.")[1]).encode()
        body = said if fault.body is None else fault.body
        self.send(fault.status, body, missing=100 * fault.cut, **fault.headers)

    def send_late(self, request: Asked) -> None:
        """The right answer, after a while."""
        time.sleep(self.server.behind.slow)
        self.send(*self.right(request))

    def send_half(self, request: Asked) -> None:
        """Half of the right answer, as if it were whole."""
        status, body, kind = self.right(request)
        self.send(status, body[: len(body) // 2], kind)

    def send_and_reset(self, request: Asked) -> None:
        """Half of the right answer, and then the connection is gone."""
        status, body, kind = self.right(request)
        half = len(body) // 2
        self.send(status, body[:half], kind, missing=len(body) - half)
        time.sleep(MOMENT)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        os.close(self.connection.detach())

    def send_page_before(self, request: Asked) -> None:
        """The page before the one that was asked for."""
        before = {"page": str(int(request.query["page"]) - 1)}
        self.send(*self.right(Asked(request.path, request.query | before, request.authorization, request.at)))

    def send_limit(self, request: Asked) -> None:
        """Ask to come again in a second; every other time by the clock here."""
        body = error(429, 25, "Your request count is over the allowed limit.")[1]
        then = self.server.behind.now() + dt.timedelta(seconds=1)
        after = "1" if int(request.at * 1e6) % 2 else format_datetime(then, usegmt=True)
        self.send(429, orjson.dumps(body), Retry_After=after)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


DEALT: dict[Kind, Callable[[Handler, Asked], None]] = {
    "slow": Handler.send_late,
    "reset": Handler.send_and_reset,
    "truncated": Handler.send_half,
    "html": lambda handler, _: handler.send(500, HTML, "text/html"),
    "type": lambda handler, request: handler.send(*handler.right(request)[:2], "text/html"),
    "burst": lambda handler, _: handler.send_fault(Fault(500)),
    "duplicate": Handler.send_page_before,
    "limit": Handler.send_limit,
}
