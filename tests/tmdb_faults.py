"""What may go wrong between TMDB and us: answers other than the right one, by script or by chance."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, get_args

Kind = Literal["slow", "reset", "truncated", "html", "type", "burst", "duplicate", "limit"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""A late answer; a connection reset in the middle of the body; half of a JSON object; an error page with 500;
the right answer under a wrong content type; several 500 in a row; the page before the one asked for; a 429."""
BURST = 5
"""Answers of a burst."""
HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Fault:
    """An answer other than the right one."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """None: an error as TMDB words it."""
    drops: bool = False
    """Close the connection without an answer."""
    cut: bool = False
    """Promise more bytes than come."""


class Chance:
    """Faults for a share of all requests; the same seed draws the same ones, request by request."""

    def __init__(self, share: float, *, seed: int = 0, kinds: tuple[Kind, ...] = KINDS) -> None:
        self.share = share
        self.kinds = kinds
        self.dealt: Counter[Kind] = Counter()
        self._rng = random.Random(seed)
        self._burst = 0

    def draw(self, *, paged: bool) -> Kind | None:
        """What becomes of a request; a page other than the asked-for one only where there are pages."""
        kind = self._drawn(paged)
        if kind:
            self.dealt[kind] += 1
        return kind

    def _drawn(self, paged: bool) -> Kind | None:
        if self._burst:
            self._burst -= 1
            return "burst"
        if self._rng.random() >= self.share:
            return None
        kinds = [kind for kind in self.kinds if paged or kind != "duplicate"]
        # A burst is several faults: begun more rarely, it keeps to its part of the share.
        kind = self._rng.choices(kinds, [1 / BURST if kind == "burst" else 1 for kind in kinds])[0]
        self._burst = BURST - 1 if kind == "burst" else 0
        return kind
