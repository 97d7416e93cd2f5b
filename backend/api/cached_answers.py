"""The response cache at work: on the event loop, before anything else is done."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.access import Keys, given_key
from backend.api.render import RankedJSON
from backend.api.response_cache import Address, Kept, ResponseCache
from backend.telemetry import CACHE_HITS, CACHE_MISSES


class CachedAnswers:
    """Answers from the cache; neither a thread nor the database is asked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        kept = _find(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if kept is None:
            await self.app(scope, receive, send)
        else:
            CACHE_HITS.inc()
            scope["route"] = kept.route
            await RankedJSON(kept.films, kept.around, counter=kept.counter)(scope, receive, send)


def _find(scope: Scope) -> Kept | None:
    state = scope["app"].state
    cache: ResponseCache = state.response_cache
    kept = cache.find(_address(scope))
    keys: Keys = state.keys
    # Who may not ask is told so by the route.
    return kept if kept and keys.open_to_clients(given_key(Request(scope))) else None


class Memory:
    """The cache as one request sees it, from before its answer is read."""

    def __init__(self, cache: ResponseCache, scope: Scope) -> None:
        self._cache = cache
        self._scope = scope
        self._generation = cache.generation

    def keep(self, answer: RankedJSON) -> None:
        """Keep an answer for those who ask for the same in the same words."""
        CACHE_MISSES.inc()
        kept = Kept(answer.films, answer.around, answer.counter, self._scope["route"])
        self._cache.keep(_address(self._scope), kept, generation=self._generation)


def _address(scope: Scope) -> Address:
    return scope["path"], scope["query_string"]


async def get_memory(request: Request) -> Memory:
    """What is kept, for a route that can use it."""
    return Memory(request.app.state.response_cache, request.scope)


CurrentMemory = Annotated[Memory, Depends(get_memory)]
