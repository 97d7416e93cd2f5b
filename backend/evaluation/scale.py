"""What training costs when there is more to learn from."""

import multiprocessing
import re
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.data import Catalogue, Dataset
from backend.evaluation.served import Served
from backend.ml.people_store import Acts

SEED = 20_260_101
COPIES = ((1, 1), (8, 1), (8, 2))
"""How many times the people, and how many times the films, are replicated."""
OTHER_FILMS = 0.2
"""Of the acts of a copied person, those that are of another film, drawn by how many did something with it."""
BLUR = 0.05
"""Standard deviation of what is added to each dimension of a copied film's embedding."""


@dataclass(frozen=True)
class Cost:
    """Of one training."""

    people: int
    films: int
    interactions: int
    seconds: float
    peak_mb: float
    """Of the whole process, with everything that it had loaded."""
    before_mb: float
    """Of the same process until the training began."""


def training_costs(dataset: Dataset, ours: Served) -> list[Cost]:
    """Train on replicated people and films, each time in a process of its own."""
    costs = []
    for people, films in COPIES:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as alone:
            costs.append(alone.submit(_train, dataset, ours, people, films).result())
    return costs


def replicate(dataset: Dataset, *, people: int, films: int, rng: np.random.Generator) -> Dataset:
    """So many times the people and films: copies do nearly what the originals do, each with any copy of a film."""
    if people == films == 1:
        return dataset
    catalogue = _copied_films(dataset.catalogue, films, rng)
    drawn_by = np.concatenate([acts["movie_id"] for acts in dataset.people])
    step = _step(dataset.catalogue)
    everyone = tuple(
        _copied_acts(acts, drawn_by, step * rng.integers(films, size=len(acts)), rng)
        for _ in range(people)
        for acts in dataset.people
    )
    return Dataset(catalogue, everyone)


def _train(dataset: Dataset, ours: Served, people: int, films: int) -> Cost:
    larger = replicate(dataset, people=people, films=films, rng=np.random.default_rng(SEED))
    before, began = _peak_mb(), time.perf_counter()
    ours.fit(larger)
    seconds = time.perf_counter() - began
    return Cost(len(larger.people), len(larger.catalogue), larger.interactions, seconds, _peak_mb(), before)


def _step(catalogue: Catalogue) -> int:
    """Copy c of a film has the number id + c * step, so that the order of ids is kept."""
    return int(catalogue.ids[-1]) + 1


def _copied_films(catalogue: Catalogue, copies: int, rng: np.random.Generator) -> Catalogue:
    step, shape = _step(catalogue), catalogue.embeddings.shape
    films = tuple({**film, "id": film["id"] + copy * step} for copy in range(copies) for film in catalogue.films)
    blurred = [catalogue.embeddings + rng.normal(scale=BLUR, size=shape) for _ in range(copies - 1)]
    units = [(noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32) for noisy in blurred]
    return Catalogue(films, np.concatenate([catalogue.embeddings, *units]))


def _copied_acts(
    acts: Acts, drawn_by: NDArray[np.int32], offsets: NDArray[np.int64], rng: np.random.Generator
) -> Acts:
    copied = acts.copy()
    other = rng.random(len(acts)) < OTHER_FILMS
    copied["movie_id"][other] = rng.choice(drawn_by, size=int(other.sum()))
    copied["movie_id"] += offsets.astype(np.int32)
    # Nobody has two opinions of one film.
    return copied[np.unique(copied["movie_id"], return_index=True)[1]]


def _peak_mb() -> float:
    """The most memory since this program began; what getrusage tells counts the parent before it as well."""
    told = re.search(r"VmHWM:\s+([0-9]+) kB", Path("/proc/self/status").read_text("ascii"))
    assert told is not None
    return int(told[1]) / 1024
