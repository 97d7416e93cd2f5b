"""A small world in MovieLens' and TMDB's form: even people like even films, and odd people odd ones."""

import csv
import json
from pathlib import Path

import numpy as np

from backend.catalog.records import MovieRecord
from backend.evaluation.data import Catalogue, Dataset, as_film
from backend.ml.people_store import ACT, KIND_NUMBER, Acts
from backend.models import EMBEDDING_DIMENSION

FILMS, PEOPLE, RATED = 60, 40, 25


def acts_of(rated: dict[int, float], *, at: float = 0.0) -> Acts:
    """Ratings by film, a second apart."""
    rows = [
        (film, KIND_NUMBER["rating"], value, at + second) for second, (film, value) in enumerate(rated.items())
    ]
    return np.array(rows, dtype=ACT)


def catalogue_of(films: int = FILMS) -> Catalogue:
    """Films 10, 20, 30 …; their embeddings point anywhere."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(films, EMBEDDING_DIMENSION))
    units = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    records = [MovieRecord(id=10 * (n + 1), title=f"Film {n}", vote_count=n) for n in range(films)]
    return Catalogue(tuple(map(as_film, records)), units)


def people_of(people: int = PEOPLE, films: int = FILMS) -> tuple[Acts, ...]:
    """Each likes films of one colour and rates a few of the other low."""
    return tuple(acts_of(_rated(number, films), at=1e9 + 1e6 * number) for number in range(people))


def dataset_of(people: int = PEOPLE, films: int = FILMS) -> Dataset:
    """Both."""
    return Dataset(catalogue_of(films), people_of(people, films))


def write_world(folder: Path) -> tuple[Path, Path]:
    """The same as files: a MovieLens folder and a file of films."""
    movielens, films = folder / "movielens", folder / "films.jsonl"
    movielens.mkdir()
    with (movielens / "links.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["movieId", "imdbId", "tmdbId"])
        writer.writerows([n + 1, f"{n + 1:07}", 10 * (n + 1)] for n in range(FILMS))
    with (movielens / "ratings.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["userId", "movieId", "rating", "timestamp"])
        for number, acts in enumerate(people_of(), start=1):
            writer.writerows([number, a["movie_id"] // 10, a["value"], int(a["at"])] for a in acts)
    films.write_text("".join(json.dumps(_raw(n)) + "\n" for n in range(FILMS)), "utf-8")
    return movielens, films


def _rated(number: int, films: int) -> dict[int, float]:
    rng = np.random.default_rng(number)
    colour = rng.permutation(np.arange(number % 2, films, 2))[:RATED]
    other = rng.permutation(np.arange(1 - number % 2, films, 2))[: RATED // 5]
    liked = {10 * (int(film) + 1): float(rng.choice([4.0, 4.5, 5.0])) for film in colour}
    return liked | {10 * (int(film) + 1): 1.0 for film in other}


def _raw(number: int) -> dict[str, object]:
    """What it says does not tell even from odd."""
    return {
        "id": 10 * (number + 1),
        "title": "Film",
        "overview": "A story of " + ("the sea.", "the mountains.", "a town.")[number % 3],
        "genres": [("Comedy", "Drama", "War")[number % 3]],
        "release_date": "2001-01-01",
        "vote_count": number,
        "vote_average": 6.0,
    }
