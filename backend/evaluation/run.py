"""All protocols, one after another, with the time that each takes."""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threadpoolctl import threadpool_limits

from backend.evaluation.data import Dataset, load
from backend.evaluation.households import households
from backend.evaluation.outcome import Outcome
from backend.evaluation.protocols import new_film, people_protocols, smaller_world, time_split
from backend.evaluation.scale import Cost, training_costs
from backend.evaluation.served import Learner, Served
from backend.evaluation.similar import similar_films


@dataclass
class Results:
    """Everything that an evaluation found out."""

    films: int
    people: int
    interactions: int
    rounds: int
    outcomes: list[Outcome] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """By part of the evaluation."""
    peak_mb: float = 0.0
    """Of memory, of this process."""


def evaluate(
    movielens: Path,
    films: Path,
    *,
    learner: Learner,
    cache: Path,
    rounds: int,
    tell: Callable[[str], None],
) -> Results:
    """Read, ask everything, and say what is going on."""
    began = time.perf_counter()
    dataset = load(movielens, films, cache=cache)
    results = Results(len(dataset.catalogue), len(dataset.people), dataset.interactions, rounds)
    results.seconds["reading and encoding"] = time.perf_counter() - began
    tell(f"{results.films:,} films, {results.people:,} people, {results.interactions:,} ratings")
    for name, part in _parts(dataset, Served(learner), rounds):
        began = time.perf_counter()
        # Matrices are small: on a busy machine threads wait for one another longer than they work.
        with threadpool_limits(limits=1, user_api="blas"):
            results.outcomes += part()
        results.seconds[name] = time.perf_counter() - began
        tell(f"{name}: {results.seconds[name]:.0f} s")
    began = time.perf_counter()
    results.costs = training_costs(dataset, Served(learner))
    results.seconds["training at scale"] = time.perf_counter() - began
    largest = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    results.peak_mb = sum(largest) / 1024
    return results


def _parts(dataset: Dataset, ours: Served, rounds: int) -> Sequence[tuple[str, Callable[[], Sequence[Outcome]]]]:
    return (
        ("held-out and new people", lambda: people_protocols(dataset, ours, rounds=rounds)),
        ("new films", lambda: [new_film(dataset, ours)]),
        ("time split", lambda: [time_split(dataset, ours)]),
        ("smaller world", lambda: [smaller_world(dataset, ours)]),
        ("households", lambda: households(dataset, ours)),
        ("similar films", lambda: [similar_films(dataset, ours.learner)]),
    )
