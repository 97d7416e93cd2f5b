"""Answers that were given before: dropped at once when something changes, bounded in bytes."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import Counter
from starlette.routing import BaseRoute

TRUSTED_SECONDS = 1.0
"""How long answers may be used after a moment at which all changes had been told."""
OVERHEAD, FILM_OVERHEAD = 500, 160
"""Bytes that an answer takes beside its films and what is around them, and that a film takes beside its own."""

Address = tuple[str, bytes]
"""Path and query, as they came."""


class Kept(NamedTuple):
    """An answer in JSON."""

    films: tuple[bytes, ...]
    """What it says of each film, whatever list that is in: kept once for all of them."""
    around: bytes
    """The rest of it: see `render.RankedJSON`."""
    counter: Counter
    """What counts answers like this one."""
    route: BaseRoute
    """What gave it."""


@dataclass(frozen=True)
class ResponseCacheConfig:
    """How much is kept."""

    megabytes: int = 160
    """Room for the lists of some 80,000 films: a list of ten has 8 KB, but shares its films with others."""


class ResponseCache:
    """Answers by the address that was asked; the least recently used go first.

    Threads keep answers, another clears them, and the event loop looks them up.
    """

    def __init__(
        self, config: ResponseCacheConfig | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config or ResponseCacheConfig()
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[Address, Kept] = OrderedDict()
        self._films: dict[bytes, tuple[bytes, int]] = {}
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
            self._answers.clear()
            self._films.clear()

    def trust(self, moment: float) -> None:
        """Note that all changes up to that moment of the clock have been told."""
        self._trusted_until = moment + TRUSTED_SECONDS

    def distrust(self) -> None:
        """Note that changes are not told of any more."""
        self._trusted_until = 0.0
        self.clear()

    def find(self, address: Address) -> Kept | None:
        """The answer to who asks in words that were used before."""
        with self._lock:
            if self._clock() >= self._trusted_until or (kept := self._answers.get(address)) is None:
                return None
            self._answers.move_to_end(address)
            return kept

    def keep(self, address: Address, kept: Kept, *, generation: int) -> None:
        """Keep an answer made of what was read in that generation, unless that is over."""
        with self._lock:
            if generation != self.generation or self._clock() >= self._trusted_until:
                return
            self._drop(self._answers.pop(address, None))
            self._answers[address] = kept._replace(films=tuple(self._share(film) for film in kept.films))
            self._bytes += OVERHEAD + len(kept.around)
            while self._bytes > self._config.megabytes * 2**20:
                self._drop(self._answers.popitem(last=False)[1])

    def _share(self, film: bytes) -> bytes:
        known, users = self._films.get(film, (film, 0))
        if not users:
            self._bytes += len(film) + FILM_OVERHEAD
        self._films[known] = known, users + 1
        return known

    def _drop(self, kept: Kept | None) -> None:
        if kept is None:
            return
        self._bytes -= OVERHEAD + len(kept.around)
        for film in kept.films:
            known, users = self._films.pop(film)
            if users > 1:
                self._films[known] = known, users - 1
            else:
                self._bytes -= len(film) + FILM_OVERHEAD
