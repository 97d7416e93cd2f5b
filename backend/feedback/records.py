"""What goes into the interactions and what comes out of them."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import NamedTuple

from backend.feedback.weights import Kind

# JSON may carry half a surrogate pair, which is no character and can't be stored.
PERSON = re.compile(r"[^/\x00-\x1f\x7f\ud800-\udfff]{1,128}")
"""What a client may call a person."""
EARLIEST = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
"""Nothing that anyone did lies before this."""


class Film(NamedTuple):
    """What a film is known by: its TMDB id; else its IMDb id; else its title and year."""

    tmdb_id: int | None = None
    imdb_id: str | None = None
    title: str | None = None
    year: int | None = None

    @property
    def rule(self) -> int:
        """Which of them it is looked up by: 0, 1 or 2; never by the next where one finds nothing."""
        return 0 if self.tmdb_id is not None else 1 if self.imdb_id is not None else 2


@dataclass(frozen=True, slots=True)
class NewInteraction:
    """What a person (`user_id` is the client's own id) did with a film; `at` has a time zone."""

    user_id: str
    kind: Kind
    value: float | None
    at: dt.datetime
    tmdb_id: int | None
    imdb_id: str | None
    title: str | None
    year: int | None
    recommendation_id: str | None = None
    position: int | None = None

    @property
    def film(self) -> Film:
        """The film, as the sender knows it."""
        return Film(self.tmdb_id, self.imdb_id, self.title, self.year)


@dataclass(frozen=True)
class Recorded:
    """What became of the interactions given: `stored + merged + len(pending)` is their number."""

    stored: int = 0
    """Those whose film is in the catalogue, whether or not they changed anything."""
    changed: int = 0
    """Rows of `interactions` inserted or updated."""
    merged: int = 0
    """Those that gave way to a newer one for the same person, film and kind."""
    pending: tuple[int, ...] = ()
    """Indexes of those whose film is not in the catalogue."""
    pending_new: int = 0
    """Rows of `pending_interactions` inserted or updated."""


@dataclass(frozen=True)
class HistoryItem:
    """An interaction as its person sees it; a pending one shows what is known of its film."""

    movie_id: int | None
    imdb_id: str | None
    title: str | None
    release_year: int | None
    poster_path: str | None
    kind: Kind
    value: float | None
    at: dt.datetime
    recommendation_id: str | None
    position: int | None
    pending: bool


@dataclass(frozen=True)
class Export:
    """Everything that is held about a person."""

    user_id: str
    name: str | None
    created_at: dt.datetime
    interactions: list[HistoryItem]


@dataclass(frozen=True)
class Profile:
    """A person with a name, who can be chosen from a list."""

    user_id: str
    name: str
    interactions: int


@dataclass(frozen=True)
class Counts:
    """How much feedback there is."""

    interactions: int
    people: int
    pending: int
