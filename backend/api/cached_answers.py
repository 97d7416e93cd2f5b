"""The response cache at work: on the event loop for who asks in known words, in a route for who asks in others."""

from collections.abc import Hashable
from typing import Annotated

from fastapi import Depends, Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.access import Keys, given_key
from backend.api.render import RankedJSON
from backend.api.response_cache import Address, Kept, Place, ResponseCache


class CachedAnswers:
    """Answers from the cache before anything else is done; neither a thread nor the database is asked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        found = _find(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None:
            await self.app(scope, receive, send)
        else:
            kept, scope["route"] = found
            await RankedJSON(kept.parts, counter=kept.counter)(scope, receive, send)


def _find(scope: Scope) -> tuple[Kept, BaseRoute] | None:
    state = scope["app"].state
    cache: ResponseCache = state.response_cache
    found = cache.find_at(_address(scope))
    keys: Keys = state.keys
    # Who may not ask is told so by the route.
    return found if found and keys.open_to_clients(given_key(Request(scope))) else None


class Memory:
    """The cache as one request sees it, from before its answer is read."""

    def __init__(self, cache: ResponseCache, scope: Scope) -> None:
        self._cache = cache
        self._scope = scope
        self._generation = cache.generation

    def find(self, key: Hashable) -> RankedJSON | None:
        """The answer, where it is known."""
        kept = self._cache.find(key)
        if kept is None:
            return None
        self._note(key)
        return RankedJSON(kept.parts, counter=kept.counter)

    def keep(self, key: Hashable, answer: RankedJSON) -> None:
        """Keep an answer for those who ask for the same, in the same words or in others."""
        self._cache.keep(key, Kept(answer.parts, answer.counter), generation=self._generation)
        self._note(key)

    def _note(self, key: Hashable) -> None:
        self._cache.note(_address(self._scope), Place(key, self._scope["route"]))


def _address(scope: Scope) -> Address:
    return scope["path"], scope["query_string"]


async def get_memory(request: Request) -> Memory:
    """What is kept, for a route that can use it."""
    return Memory(request.app.state.response_cache, request.scope)


CurrentMemory = Annotated[Memory, Depends(get_memory)]
