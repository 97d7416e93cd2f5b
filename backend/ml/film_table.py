"""Films as columns in memory or in mapped files: what filters ask of them, and what renders them."""

import math
import os
import weakref
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import orjson
from numpy.typing import NDArray

from backend.catalog.filters import Filters, MovieRef
from backend.catalog.records import GENRE_IDS
from backend.catalog.store import DETAIL_COLUMNS, SUMMARY_COLUMNS
from backend.errors import LayerUnavailableError
from backend.feedback.weights import KINDS
from backend.ml.artefact import Artefact, Draft
from backend.ml.item_factors import BLOCKS, GENRES
from backend.ml.people_store import ACT

Bools = NDArray[np.bool_]
Indexes = NDArray[np.intp]

COLUMNS = np.dtype(
    [
        ("id", "i4"),
        ("imdb_id", "S12"),
        ("year", "i4"),
        ("runtime", "i4"),
        ("vote_average", "f8"),
        ("vote_count", "i4"),
        ("language", "S8"),
        ("genres", "u8"),
        ("collection", "u8"),
        ("adult", "?"),
        ("hidden", "?"),
        ("quality", "f4"),
        ("begin", "i8"),
        ("end", "i8"),
    ]
)
"""One bit a genre; a collection by a digest of its name, 0 for none; -1 and empty mean unknown; begin and end
frame the film's JSON among the rows."""
UNKNOWN = -1
MOST_GENRES = 64
SUMMARY = tuple(column.key for column in SUMMARY_COLUMNS)
DETAIL = tuple(column.key for column in DETAIL_COLUMNS)
SHAPE = sha256(repr((DETAIL, COLUMNS.descr, ACT.descr, KINDS, BLOCKS, GENRES)).encode()).hexdigest()[:16]
"""Of the files of this version: those of another version's are refused."""
FILMS, ROWS = "films.npy", "rows.bin"


class FilmTable:
    """Films in the order of their ids; an *index* is a film's place in it."""

    def __init__(self, columns: NDArray[Any], read: Callable[[int, int], bytes], genres: Sequence[str]) -> None:
        self.columns = columns
        self.ids: NDArray[np.int32] = np.ascontiguousarray(columns["id"])
        self._read = read
        self._bits = {name: 1 << bit for bit, name in enumerate(genres)}

    @classmethod
    def of(cls, films: Iterable[Mapping[str, Any]]) -> "FilmTable":
        """A table in memory of films in the order of ids.

        Each comes with the columns of a detail, adult, hidden and quality.
        """
        rows = BytesIO()
        columns, genres = _collect(films, rows)
        written = rows.getvalue()
        return cls(columns, lambda begin, end: written[begin:end], genres)

    @classmethod
    def open(cls, artefact: Artefact) -> "FilmTable":
        """The table that `write_films` put there: columns in memory, rows read as they are asked for.

        It goes on working when the folder is removed, and reading a file that was cut is no more than an error.
        """
        if artefact.tags.get("shape") != SHAPE:
            raise LayerUnavailableError(f"{artefact.folder} was written by another version of Marquee")
        descriptor = os.open(artefact.folder / ROWS, os.O_RDONLY)

        def read(begin: int, end: int) -> bytes:
            written = os.pread(descriptor, end - begin, begin)
            if len(written) < end - begin:
                raise LayerUnavailableError(f"{artefact.folder / ROWS} is damaged")
            return written

        table = cls(np.array(artefact.array(FILMS)), read, artefact.tags["genres"])
        weakref.finalize(table, os.close, descriptor)
        return table

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ref: MovieRef) -> int | None:
        """The index of a film, by TMDB or IMDb id; of two with one IMDb id, that of the one shown."""
        places = self._places(ref)
        shown = places[~self.columns["hidden"][places]]
        return int((shown if len(shown) else places)[0]) if len(places) else None

    def allowed(self, filters: Filters, *, include_adult: bool) -> Bools:
        """Which films the filters let through, as `catalog.store.filter_conditions` has it."""
        columns = self.columns
        chosen: Bools = ~columns["hidden"] if include_adult else ~(columns["adult"] | columns["hidden"])
        bounds = (
            (filters.year_min, filters.year_max, "year"),
            (filters.runtime_min, filters.runtime_max, "runtime"),
        )
        for low, high, name in bounds:
            if low is not None:
                chosen &= (columns[name] >= low) & (columns[name] != UNKNOWN)
            if high is not None:
                chosen &= (columns[name] <= high) & (columns[name] != UNKNOWN)
        if filters.vote_average_min is not None:
            chosen &= columns["vote_average"] >= filters.vote_average_min
        if filters.vote_count_min is not None:
            chosen &= columns["vote_count"] >= filters.vote_count_min
        if filters.vote_count_max is not None:
            chosen &= columns["vote_count"] <= filters.vote_count_max
        if filters.original_language:
            chosen &= columns["language"] == filters.original_language.encode()
        if filters.genre:
            chosen &= self._any_of(filters.genre)
        if filters.exclude_genre:
            chosen &= ~self._any_of(filters.exclude_genre)
        for ref in filters.exclude:
            chosen[self._places(ref)] = False
        return chosen

    def kindred(self, index: int) -> Bools:
        """Which films share a genre with this one; all where it has none."""
        genres = self.columns["genres"][index]
        return (self.columns["genres"] & genres) != 0 if genres else np.ones(len(self), dtype=bool)

    def genres(self, index: int) -> list[str]:
        """The names of a film's genres."""
        bits = int(self.columns["genres"][index])
        return [name for name, bit in self._bits.items() if bits & bit]

    def same_collection(self, index: int) -> Bools:
        """Which films belong to the same collection as this one; none where it belongs to none."""
        collection = self.columns["collection"][index]
        same: Bools = (self.columns["collection"] == collection) & (collection != 0)
        return same

    def indexes_of(self, movie_ids: NDArray[Any]) -> Indexes:
        """For each id its index, or -1."""
        if not len(self):
            return np.full(len(movie_ids), -1, dtype=np.intp)
        places = np.minimum(np.searchsorted(self.ids, movie_ids), len(self) - 1)
        return np.where(self.ids[places] == movie_ids, places, -1)

    def details(self, index: int) -> dict[str, Any]:
        """All that is known of a film."""
        begin, end = self.columns["begin"][index], self.columns["end"][index]
        try:
            return dict(orjson.loads(self._read(begin, end)))
        except orjson.JSONDecodeError as error:
            raise LayerUnavailableError("the file that films are rendered from is damaged") from error

    def summary(self, index: int) -> dict[str, Any]:
        """What a row of a list shows."""
        details = self.details(index)
        return {key: details[key] for key in SUMMARY}

    @cached_property
    def by_quality(self) -> Indexes:
        """All indexes, the popular and good first."""
        return np.lexsort((self.ids, -self.columns["quality"]))

    @cached_property
    def _by_imdb_id(self) -> tuple[Indexes, NDArray[Any]]:
        order = np.argsort(self.columns["imdb_id"], kind="stable")
        return order, self.columns["imdb_id"][order]

    def _places(self, ref: MovieRef) -> Indexes:
        """None, one, or several: two films may have one IMDb id, where TMDB is wrong."""
        if isinstance(ref, int):
            place = bisect_left(self.ids, ref)
            return np.arange(place, place + (place < len(self) and self.ids[place] == ref))
        order, names = self._by_imdb_id
        begin, end = (np.searchsorted(names, ref.encode(), side) for side in ("left", "right"))
        return order[begin:end]

    def _any_of(self, names: Sequence[str]) -> Bools:
        wanted = np.uint64(sum(self._bits.get(name, 0) for name in set(names)))
        found: Bools = (self.columns["genres"] & wanted) != 0
        return found


def write_films(films: Iterable[Mapping[str, Any]], draft: Draft) -> NDArray[np.int32]:
    """Put films, in the order of ids, into a draft, one at a time; their ids."""
    with (draft.folder / ROWS).open("wb") as rows:
        columns, draft.tags["genres"] = _collect(films, rows)
    draft.tags["shape"] = SHAPE
    np.save(draft.folder / FILMS, columns)
    return np.ascontiguousarray(columns["id"])


def quality(vote_average: float, vote_count: int) -> float:
    """What the column `movies.quality` holds: see `models.QUALITY_SQL`."""
    return math.log1p(vote_count) * (vote_average * vote_count + 6.5 * 500) / (vote_count + 500)


def _collect(films: Iterable[Mapping[str, Any]], rows: BinaryIO) -> tuple[NDArray[Any], list[str]]:
    genres = list(GENRE_IDS)
    made = []
    end = 0
    for film in films:
        written = orjson.dumps({key: film[key] for key in DETAIL})
        rows.write(written)
        begin, end = end, end + len(written)
        genres += [name for name in film["genres"] if name not in genres and len(genres) < MOST_GENRES]
        made.append(
            (
                film["id"],
                (film["imdb_id"] or "").encode(),
                UNKNOWN if film["release_year"] is None else film["release_year"],
                UNKNOWN if film["runtime"] is None else film["runtime"],
                film["vote_average"],
                film["vote_count"],
                (film["original_language"] or "").encode(),
                sum(1 << genres.index(name) for name in set(film["genres"]) if name in genres),
                _digest(film["collection"]),
                film["adult"],
                film["hidden"],
                film["quality"],
                begin,
                end,
            )
        )
    return np.array(made, dtype=COLUMNS), genres


def _digest(name: str | None) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big") if name else 0
