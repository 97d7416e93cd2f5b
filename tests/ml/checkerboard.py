"""A world in which it is known who likes what: even people like even films, and odd people odd ones."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from backend.catalog.records import GENRE_IDS, MovieRecord
from backend.catalog.store import save_embeddings, upsert
from backend.config import PACKAGED_MODEL, Settings
from backend.feedback.records import NewInteraction
from backend.feedback.store import record
from backend.feedback.weights import KINDS, Kind
from backend.models import EMBEDDING_DIMENSION

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SQUARES = range(1, 41)
"""The films of the checkerboard."""
OTHERS = range(41, 621)
"""Films that even and odd people have nothing to do with."""
ADULT = range(571, 591)
NO_VECTOR = range(591, 621)
UNTOUCHED = 610
"""A film without a vector, and nobody did anything with it or with one of a higher number."""
FIRST_OF_KINDS = 101
"""From here on one film for each kind of act of the person called `all kinds`."""

Acts = dict[tuple[int, Kind], tuple[float | None, float]]
"""By film and kind: the value and how many days ago."""


@dataclass(frozen=True)
class World:
    """A database with all of it, and the settings of a service on it whose cache and model are made."""

    engine: Engine
    settings: Settings
    films: dict[int, MovieRecord]
    people: dict[str, Acts]

    def done(self, person: str, *, but_for: tuple[Kind, ...]) -> set[int]:
        """The films of a person's acts, but for acts of these kinds."""
        return {film for film, kind in self.people.get(person, {}) if kind not in but_for}


def withheld(number: int) -> int:
    """The film of the checkerboard that this person would like and has not come across."""
    return SQUARES[number]


def person(number: int) -> str:
    """Someone who likes every film of one colour but for one."""
    return f"person {number}"


def all_films() -> dict[int, MovieRecord]:
    """Every film, with facts that every filter tells apart, and that are unknown of some."""
    return {number: _film(number) for number in (*SQUARES, *OTHERS)}


def all_people() -> dict[str, Acts]:
    """Everyone and what they did."""
    everyone: dict[str, Acts] = {person(number): _colour(number) for number in range(len(SQUARES))}
    rng = np.random.default_rng(8)
    everyone |= {f"mixed {number}": _mixed(rng) for number in range(20)}
    everyone["all kinds"] = {
        (FIRST_OF_KINDS + place, kind): (5.0 if kind == "rating" else None, place)
        for place, kind in enumerate(KINDS)
    }
    everyone["likes two"] = {(2, "like"): (None, 0), (4, "like"): (None, 300)}
    everyone["hates"] = {(1, "dislike"): (None, 0), (2, "not_interested"): (None, 1), (3, "rating"): (1.0, 2)}
    everyone["undecided"] = {(1, "rating"): (2.0, 0)}
    everyone["ahead"] = {(NO_VECTOR[0], "watchlist"): (None, 0)}
    return everyone


def fill(engine: Engine) -> None:
    """Put films, vectors and people into a database."""
    films, people = all_films(), all_people()
    with_vector = [number for number in films if number not in NO_VECTOR]
    with Session(engine) as session, session.begin():
        upsert(session, list(films.values()), source="file")
        save_embeddings(session, with_vector, _vectors(with_vector), model=PACKAGED_MODEL)
        record(session, list(_interactions(people)))


def _film(number: int) -> MovieRecord:
    rng = np.random.default_rng(number)
    genres = sorted(rng.choice(list(GENRE_IDS), size=number % 4, replace=False).tolist())
    votes = 0 if number % 9 == 0 else int(rng.integers(1, 20_000))
    bare = MovieRecord(
        id=number,
        title=f"Film {number}",
        genres=["Western"] if number in (UNTOUCHED, UNTOUCHED + 1) else genres,
        vote_count=votes,
        vote_average=round(float(rng.uniform(1, 10)), 1) if votes else 0.0,
        adult=number in ADULT,
    )
    if number % 10 == 0:
        return bare
    year = int(rng.integers(1920, 2026))
    return replace(
        bare,
        imdb_id=f"tt{number:07}",
        original_title=f"Película «{number}»",
        original_language=("en", "fr", "ja")[number % 3],
        overview="Someone is looking for\nsomething \N{EM DASH} or “someone”.",
        keywords=[f"keyword {number % 7}", f"keyword {number % 5}"],
        directors=[f"Director {number % 11}"],
        actors=[f"Actor {number % 13}", "Actor of all"],
        collection=f"Collection {number % 17}" if number % 2 else None,
        release_date=dt.date(year, 1 + number % 12, 1 + number % 28),
        release_year=year,
        runtime=int(rng.integers(60, 200)),
        budget=number * 10**8,
        popularity=number / 7,
        poster_path=f"/{number}.jpg",
    )


def _vectors(numbers: list[int]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Even films lie close together, and the odd ones, and these far from those and all from the others."""
    rng = np.random.default_rng(3)
    made = rng.normal(scale=0.02, size=(len(numbers), EMBEDDING_DIMENSION))
    for row, number in enumerate(numbers):
        made[row, number % 2 if number in SQUARES else 2] += 1
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def _colour(number: int) -> Acts:
    own = [film for film in SQUARES if film % 2 == withheld(number) % 2 and film != withheld(number)]
    acts: Acts = {}
    for film in own:
        is_rated = (film + number) % 3 == 0
        acts[film, "rating" if is_rated else "like"] = (5.0 if is_rated else None, film * 5)
    return acts


def _mixed(rng: np.random.Generator) -> Acts:
    acts: Acts = {}
    for film in rng.choice(OTHERS[:-20], size=int(rng.integers(3, 60)), replace=False).tolist():
        for kind in rng.choice(KINDS, size=int(rng.integers(1, 4)), replace=False).tolist():
            value = float(rng.integers(1, 11)) / 2 if kind == "rating" else None
            acts[film, kind] = (value, float(rng.integers(0, 3000)))
    return acts


def _interactions(people: dict[str, Acts]) -> Iterator[NewInteraction]:
    for name, acts in people.items():
        for (film, kind), (value, days) in acts.items():
            at = NOW - dt.timedelta(days=days)
            yield NewInteraction(name, kind, value, at, tmdb_id=film, imdb_id=None, title=None, year=None)
