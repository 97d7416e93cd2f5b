"""What methods came to: every protocol gives one outcome, and the report shows any of them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backend.evaluation import intervals
from backend.evaluation.data import Catalogue, Dataset
from backend.evaluation.intervals import Estimate
from backend.evaluation.metrics import SHOWN, Floats, coverage, gini, per_person
from backend.evaluation.splits import Cases
from backend.ml.film_table import Indexes

OURS = "served"
COMPARED = ("ndcg@10", "recall@20", "similarity")
"""Metrics for which it is said by how much one method is above another."""


@dataclass(frozen=True)
class Outcome:
    """The figures of one protocol."""

    key: str
    title: str
    about: str
    """What was asked of the methods, in a sentence or two."""
    people: int
    """Who was asked about."""
    methods: Mapping[str, Mapping[str, Estimate]]
    """By method and metric."""
    ours: str = OURS
    """The method that the others are compared with."""
    advantage: Mapping[str, Mapping[str, Estimate]] = field(default_factory=dict)
    """By which share that one is above each other method, by metric."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else was found out, by name."""


class Tally:
    """Collects the lists of methods, split by split."""

    def __init__(self, key: str, title: str, about: str, *, catalogue: Catalogue, ours: str = OURS) -> None:
        self._names = (key, title, about)
        self._ours = ours
        self._catalogue = catalogue
        self._lists: dict[str, list[Indexes]] = defaultdict(list)
        self._people: dict[str, list[Indexes]] = defaultdict(list)
        self._values: dict[str, list[Mapping[str, Floats]]] = defaultdict(list)
        self.notes: dict[str, Any] = {}

    def add(self, method: str, lists: Indexes, cases: Cases, *, training: Dataset) -> None:
        """Judge the lists that a method gave for the cases of one split."""
        values = per_person(
            lists,
            cases.wanted,
            raters=training.raters,
            people=len(training.people),
            units=self._catalogue.embeddings,
        )
        self._lists[method].append(lists)
        self._people[method].append(cases.people)
        self._values[method].append(values)

    def outcome(self) -> Outcome:
        """The means, and by how much one is above the others."""
        values = {method: self._by_person(method) for method in self._values}
        return Outcome(
            *self._names,
            people=max((len(found["mrr"]) for found in values.values()), default=0),
            methods={
                method: {name: intervals.mean(found) for name, found in metrics.items()} | self._of_lists(method)
                for method, metrics in values.items()
            },
            ours=self._ours,
            advantage=_advantage(values, self._ours),
            notes=self.notes,
        )

    def _by_person(self, method: str) -> dict[str, Floats]:
        people, parts = np.concatenate(self._people[method]), self._values[method]
        return {
            name: intervals.average_by_person(people, np.concatenate([part[name] for part in parts]))
            for name in parts[0]
        }

    def _of_lists(self, method: str) -> dict[str, Estimate]:
        shown = np.concatenate(self._lists[method])[:, :SHOWN]
        films = len(self._catalogue)
        return {"coverage": _point(coverage(shown, films)), "gini": _point(gini(shown, films))}


def _advantage(values: Mapping[str, Mapping[str, Floats]], name: str) -> dict[str, dict[str, Estimate]]:
    """Methods that were asked about other people are not compared."""
    ours = values.get(name, {})
    return {
        method: {metric: intervals.advantage(ours[metric], found[metric]) for metric in COMPARED}
        for method, found in values.items()
        if ours and method != name and len(found["mrr"]) == len(ours["mrr"])
    }


def _point(value: float) -> Estimate:
    """A figure of all lists together, which people can't be drawn from."""
    return Estimate(value, float("nan"), float("nan"))
