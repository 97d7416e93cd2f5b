"""Who is learned from, what is known of the others, and what is to be found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from backend.evaluation.data import Catalogue, Dataset
from backend.evaluation.grading import liked
from backend.ml.film_table import Indexes
from backend.ml.people_store import Acts

PARTS = 5
"""Four parts of the people are learned from, one is held out."""
HIDDEN_SHARE = 0.2
"""Of a history, to be found."""
LEAST_LIKED = 5
"""Someone who liked fewer films is not asked about."""
KNOWN_LIKES = (1, 3, 5, 10)
"""Liked films that are known of a new person."""
LEAST_TO_FIND = 5
"""Liked films of a new person that are left to be found when KNOWN_LIKES[-1] are known."""
NEW_SHARE = 0.1
"""Of the films that become new ones."""
PAST_SHARE = 0.8
"""Of all interactions, before the cut."""


@dataclass(frozen=True, eq=False)
class Cases:
    """Questions: a person, what is known of them, and which films are to be found."""

    people: Indexes
    """Shape (cases,): who it is, for whoever averages or compares over people."""
    given: tuple[Acts, ...]
    wanted: tuple[Indexes, ...]
    """Places of films; never one that is given."""

    def __len__(self) -> int:
        return len(self.given)


@dataclass(frozen=True, eq=False)
class Split:
    """What may be learned from, and what is asked."""

    training: Dataset
    held_out: tuple[tuple[int, Acts], ...]
    """The people who are asked about, by number, whole."""

    def cases(self, rng: np.random.Generator) -> Cases:
        """A history but for a share, which is to be found as far as it was liked."""
        return _cases((number, *hide(acts, self.training.catalogue, rng=rng)) for number, acts in self.held_out)

    def newcomers(self, rng: np.random.Generator) -> dict[int, Cases]:
        """Only so many liked films are known, and all others are to be found: the same people for each number."""
        likes = [(number, rng.permutation(liked(acts))) for number, acts in self.held_out]
        enough = [(number, acts) for number, acts in likes if len(acts) >= max(KNOWN_LIKES) + LEAST_TO_FIND]
        places = self.training.catalogue.places
        return {
            known: _cases((number, acts[:known], places(acts["movie_id"][known:])) for number, acts in enough)
            for known in KNOWN_LIKES
        }


def held_out(dataset: Dataset, *, rounds: int, rng: np.random.Generator) -> Iterator[Split]:
    """Each round deals the people into PARTS and holds out one after another: everyone is asked about once."""
    for _ in range(rounds):
        order = rng.permutation(len(dataset.people))
        for part in range(PARTS):
            asked = np.sort(order[part::PARTS])
            known = np.setdiff1d(order, asked)
            yield Split(dataset.of(dataset.people[i] for i in known), _askable(dataset, asked))


def validation(training: Dataset, *, rng: np.random.Generator) -> Split:
    """People of the training, held out for tuning."""
    return next(held_out(training, rounds=1, rng=rng))


def hide(acts: Acts, catalogue: Catalogue, *, rng: np.random.Generator) -> tuple[Acts, Indexes]:
    """A history without a random share of it, and the places of the films of that share that were liked."""
    shuffled = rng.permutation(acts)
    cut = len(acts) - round(len(acts) * HIDDEN_SHARE)
    return shuffled[:cut], catalogue.places(liked(shuffled[cut:])["movie_id"])


def past_and_future(dataset: Dataset) -> tuple[Dataset, Cases]:
    """One cut in time for everyone: who did something before it, and what they liked after."""
    cut = np.quantile(np.concatenate([acts["at"] for acts in dataset.people]), PAST_SHARE)
    past = [acts[acts["at"] < cut] for acts in dataset.people]
    future = [liked(acts[acts["at"] >= cut])["movie_id"] for acts in dataset.people]
    places = dataset.catalogue.places
    cases = _cases(
        (number, before, places(after))
        for number, (before, after) in enumerate(zip(past, future, strict=True))
        if len(liked(before)) >= LEAST_LIKED
    )
    return dataset.of(acts for acts in past if len(acts)), cases


def new_films(dataset: Dataset, *, rng: np.random.Generator) -> tuple[Dataset, Indexes, Cases]:
    """Some films lose all that was done with them: the rest, these films, and who liked which of them."""
    count = round(len(dataset.catalogue) * NEW_SHARE)
    new = np.sort(rng.choice(len(dataset.catalogue), size=count, replace=False))
    is_new = [np.isin(acts["movie_id"], dataset.catalogue.ids[new]) for acts in dataset.people]
    old = [acts[~away] for acts, away in zip(dataset.people, is_new, strict=True)]
    wanted = [liked(acts[away])["movie_id"] for acts, away in zip(dataset.people, is_new, strict=True)]
    cases = _cases(
        (number, acts, dataset.catalogue.places(films))
        for number, (acts, films) in enumerate(zip(old, wanted, strict=True))
        if len(liked(acts)) >= LEAST_LIKED
    )
    return dataset.of(acts for acts in old if len(acts)), new, cases


def subsample(dataset: Dataset, *, people: int, films: int, rng: np.random.Generator) -> Dataset:
    """A smaller world: so many random people and films, or all where there are fewer."""
    catalogue = dataset.catalogue
    kept = rng.choice(len(catalogue), size=min(films, len(catalogue)), replace=False)
    drawn = rng.choice(len(dataset.people), size=min(people, len(dataset.people)), replace=False)
    smaller = catalogue.only(kept)
    rest = [dataset.people[i][np.isin(dataset.people[i]["movie_id"], smaller.ids)] for i in np.sort(drawn)]
    return Dataset(smaller, tuple(acts for acts in rest if len(acts)))


def _askable(dataset: Dataset, numbers: Indexes) -> tuple[tuple[int, Acts], ...]:
    people = ((int(number), dataset.people[number]) for number in numbers)
    return tuple((number, acts) for number, acts in people if len(liked(acts)) >= LEAST_LIKED)


def _cases(found: Iterable[tuple[int, Acts, Indexes]]) -> Cases:
    """Only where there is something to be found."""
    kept = [(number, acts, np.sort(places)) for number, acts, places in found if len(places)]
    return Cases(
        np.array([number for number, _, _ in kept], dtype=np.intp),
        tuple(acts for _, acts, _ in kept),
        tuple(places for _, _, places in kept),
    )
