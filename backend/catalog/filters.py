"""Filters: the same everywhere that films are listed."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from backend.catalog.records import GENRE_IDS, GENRES
from backend.errors import UnknownGenreError

MovieRef = int | str
"""A film as a client names it: its TMDB id, or its IMDb id (`tt0114709`)."""

_GENRE_BY_NAME_OR_ID = {name.lower(): name for name in GENRE_IDS} | {str(i): name for i, name in GENRES.items()}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What a list is limited to; an empty field does not limit."""

    genre: tuple[str, ...] = ()
    """Any of these genre names."""
    exclude_genre: tuple[str, ...] = ()
    """None of these."""
    year_min: int | None = None
    year_max: int | None = None
    runtime_min: int | None = None
    """Minutes."""
    runtime_max: int | None = None
    vote_average_min: float | None = None
    vote_count_min: int | None = None
    vote_count_max: int | None = None
    original_language: str | None = None
    exclude: tuple[MovieRef, ...] = ()
    """Films to leave out."""

    @property
    def narrows(self) -> bool:
        """Whether anything is limited at all."""
        return self != NO_FILTERS

    def one_by_one(self) -> "Iterator[tuple[str, Filters]]":
        """Each field that limits, by name, with filters that limit by nothing else."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                yield field.name, Filters(**{field.name: value})


NO_FILTERS = Filters()


def genre_name(given: str, *, field: str) -> str:
    """The genre's name, from a name in any case or a TMDB genre id. Raises UnknownGenreError."""
    name = _GENRE_BY_NAME_OR_ID.get(given.strip().lower())
    if name is None:
        raise UnknownGenreError(
            f"{field}: {given[:40]!r} is not a genre; there are {', '.join(sorted(GENRE_IDS))}", field=field
        )
    return name
