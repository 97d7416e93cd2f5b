"""How often a client may ask: counted by key, or by address where none is known, in the memory of this process."""

import math
import time

from fastapi import Request
from limits import parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.access import Keys, given_key
from backend.api.problems import app_problem
from backend.errors import RateLimitedError

NOT_COUNTED = ("/health/live", "/health/ready")
"""Who looks after the service has to see how it is, above all while it is asked too much."""


class RateLimit:
    """Refuses who asks too often.

    A window begins with a client's first request, so that Retry-After is exactly what is left of it; across the
    end of one, twice the amount may come.
    """

    def __init__(self, app: ASGIApp, limit: str) -> None:
        """`limit` is what RATE_LIMIT says."""
        self.app = app
        self._limits = parse_many(limit)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        is_counted = scope["type"] == "http" and not scope["path"].endswith(NOT_COUNTED)
        seconds = await self._wait(_who(Request(scope))) if is_counted else 0
        if not seconds:
            await self.app(scope, receive, send)
            return
        refusal = app_problem(RateLimitedError(f"Too many requests; ask again in {seconds} s."))
        refusal.headers["Retry-After"] = str(seconds)
        await refusal(scope, receive, send)

    async def _wait(self, who: str) -> int:
        """Seconds until this client may ask again; 0 where it may now. Who is refused has not used up anything."""
        reached = [limit for limit in self._limits if not await self._limiter.test(limit, who)]
        for limit in self._limits if not reached else ():
            await self._limiter.hit(limit, who)
        ends = [(await self._limiter.get_window_stats(limit, who)).reset_time for limit in reached]
        return max(1, math.ceil(max(ends) - time.time())) if ends else 0


def _who(request: Request) -> str:
    """A key that is not known counts for the address that tries it."""
    keys: Keys = request.app.state.keys
    return keys.find(given_key(request)) or (request.client.host if request.client else "")
