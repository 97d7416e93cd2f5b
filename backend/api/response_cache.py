"""Answers that were given before: kept in parts, dropped at once when something changes, bounded in bytes."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import Counter
from starlette.routing import BaseRoute

TRUSTED_SECONDS = 1.0
"""How long answers may be used after a moment at which all changes had been told."""
SHARED_FROM = 200
"""Bytes from which on a part is worth looking for among those that are kept: a film stands in many lists."""
OVERHEAD = 600
"""Bytes that an answer takes beside its parts: its key, its address, what holds them."""
PART_OVERHEAD = 50

Address = tuple[str, bytes]
"""Path and query, as they came."""
Parts = tuple[bytes, ...]


class Kept(NamedTuple):
    """An answer in JSON."""

    parts: Parts
    counter: Counter
    """What counts answers like this one."""


class Place(NamedTuple):
    """What an address leads to."""

    key: Hashable
    route: BaseRoute


@dataclass(frozen=True)
class ResponseCacheConfig:
    """How much is kept."""

    megabytes: int = 64
    """Lists of ten have 8 KB, but share their films: it is room for some 30,000 of them."""
    addresses: int = 50_000
    """Different ways to ask for them."""


class ResponseCache:
    """Answers by what was asked for, and addresses that ask for it; the least recently used go first.

    Threads keep answers, another clears them, and the event loop looks them up.
    """

    def __init__(
        self, config: ResponseCacheConfig | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config or ResponseCacheConfig()
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, Kept] = OrderedDict()
        self._places: OrderedDict[Address, Place] = OrderedDict()
        self._shared: dict[bytes, tuple[bytes, int]] = {}
        self._bytes = 0
        self._trusted_until = 0.0
        self.generation = 0
        """Moves on at each change: what was read before one is not kept after it."""

    def __len__(self) -> int:
        return len(self._answers)

    def clear(self) -> None:
        """Forget everything: something changed, or may have."""
        with self._lock:
            self.generation += 1
            self._bytes = 0
            for kept in (self._answers, self._places, self._shared):
                kept.clear()

    def trust(self, moment: float) -> None:
        """Note that all changes up to that moment of the clock have been told."""
        self._trusted_until = moment + TRUSTED_SECONDS

    def distrust(self) -> None:
        """Note that changes are not told of any more."""
        self._trusted_until = 0.0
        self.clear()

    def find(self, key: Hashable) -> Kept | None:
        """The answer to what was asked for."""
        with self._lock:
            if self._clock() >= self._trusted_until or (kept := self._answers.get(key)) is None:
                return None
            self._answers.move_to_end(key)
            return kept

    def find_at(self, address: Address) -> tuple[Kept, BaseRoute] | None:
        """The answer to who asks in words that were used before, and the route that gave it."""
        if (place := self._places.get(address)) is None or (kept := self.find(place.key)) is None:
            return None
        return kept, place.route

    def keep(self, key: Hashable, kept: Kept, *, generation: int) -> None:
        """Keep an answer made of what was read in that generation, unless that is over."""
        with self._lock:
            if generation != self.generation or self._clock() >= self._trusted_until:
                return
            self._drop(self._answers.pop(key, None))
            self._answers[key] = kept._replace(parts=tuple(self._share(part) for part in kept.parts))
            self._bytes += OVERHEAD
            while self._bytes > self._config.megabytes * 2**20:
                self._drop(self._answers.popitem(last=False)[1])

    def note(self, address: Address, place: Place) -> None:
        """Know an address from now on."""
        with self._lock:
            self._places[address] = place
            self._places.move_to_end(address)
            if len(self._places) > self._config.addresses:
                self._places.popitem(last=False)

    def _share(self, part: bytes) -> bytes:
        known, users = self._shared.get(part, (part, 0))
        if not users:
            self._bytes += len(part) + PART_OVERHEAD
        if len(part) >= SHARED_FROM:
            self._shared[known] = known, users + 1
        return known

    def _drop(self, kept: Kept | None) -> None:
        if kept is None:
            return
        self._bytes -= OVERHEAD
        for part in kept.parts:
            known, users = self._shared.pop(part, (part, 1))
            if users > 1:
                self._shared[known] = known, users - 1
            else:
                self._bytes -= len(part) + PART_OVERHEAD
