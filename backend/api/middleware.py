"""Around every request: a prefix of a proxy, an id, a bound on the body, a count and a time, safe headers."""

import re
import time
from contextlib import suppress

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.problems import app_problem
from backend.api.request_id import HEADER, begin_request
from backend.api.security import with_security
from backend.errors import BodyTooLargeError
from backend.feedback.files import MAX_UPLOAD
from backend.telemetry import LATENCY, REQUESTS

MAX_BODY = 1_000_000
"""Bytes: a thousand interactions are a fifth of it."""
FILES = re.compile(r"/users/[^/]+/import$")
"""Paths that take a file, which may be larger."""


class BelowPrefix:
    """Takes requests with the prefix under which a proxy shows the service, and without: proxies differ in that.

    (The server's own `root_path` puts it before every path, and so only takes those without.)
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self.app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._prefix and scope["type"] == "http":
            path = scope["path"]
            is_below = path == self._prefix or path.startswith(f"{self._prefix}/")
            scope["root_path"], scope["path"] = self._prefix, path if is_below else self._prefix + path
        await self.app(scope, receive, send)


class RequestContext:
    """Gives each request its id and its place in the metrics, and each answer its headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        chosen = begin_request(Headers(scope=scope).get(HEADER))
        started = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = with_security(message["headers"])
                MutableHeaders(scope=message)[HEADER] = chosen
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            REQUESTS.labels(route, scope["method"], status).inc()
            LATENCY.labels(route).observe(time.perf_counter() - started)


class BodyLimit:
    """Refuses a body that is too large, told or not by its length."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        limit = _limit_of(scope)
        if not length.isdecimal() or int(length) > limit:
            await _refuse(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLargeError()
            return message

        async def send_unless_refused(message: Message) -> None:
            # Whatever the app makes of a body that broke off is not the answer.
            if received <= limit:
                await send(message)

        with suppress(BodyTooLargeError):
            await self.app(scope, counted, send_unless_refused)
        if received > limit:
            await _refuse(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await app_problem(BodyTooLargeError(_too_large(_limit_of(scope)), field="body"))(scope, receive, send)


def _limit_of(scope: Scope) -> int:
    return MAX_UPLOAD if FILES.search(scope["path"]) else MAX_BODY


def _too_large(limit: int) -> str:
    smaller = "interactions in batches of at most 1,000" if limit == MAX_BODY else "the file packed, or in parts"
    return f"body: at most {limit:,} bytes; send {smaller}."
