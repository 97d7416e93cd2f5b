"""How good the factors are that a training has just learned: it has not seen the last film that some people liked.

Of at most 200 people, and never of more than one opinion in fifty, the film they liked last is kept from the
training. Where it then stands in their lists tells what lists of the next days are worth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.ml.answer import NOT_A_VERDICT
from backend.ml.fold_in import Opinions, evidence, films_done, opinions
from backend.ml.item_factors import Floats, ItemFactors, loudness
from backend.ml.people_store import Acts

Ids = NDArray[np.int32]
Indexes = NDArray[np.intp]

MOST_PEOPLE, LEAST_PEOPLE = 200, 20
LEAST_ACTS = 10
OPINIONS_A_FILM = 50
"""For so many opinions that the training learns from, one is kept from it: it costs nothing that could be told."""
LIKED = 0.8
"""Of `evidence`: a like, or a rating of four."""
SHOWN, FOUND = 10, 20
AT_ONCE = 16
"""People whose scores of all films are in memory at a time."""


@dataclass(frozen=True)
class HeldOut:
    """People as a training sees them, and what it does not see."""

    people: list[Acts]
    tested: dict[int, int]
    """By the place of a person, the film that was kept from it, by id; empty where there are too few people."""


@dataclass(frozen=True)
class Quality:
    """What was found, for the lists that are served and for the same popular films for everyone."""

    people: int
    figures: dict[str, float]
    popularity: dict[str, float]


def hold_out(people: Sequence[Acts], ids: Ids, *, rng: np.random.Generator) -> HeldOut:
    """Keep from the training what it is to be asked for.

    Args:
        people: what each of them did.
        ids: of all films, ascending.
    """
    wanted = min(MOST_PEOPLE, sum(len(acts) for acts in people) // OPINIONS_A_FILM)
    tested: dict[int, int] = {}
    for person in rng.permutation([number for number, acts in enumerate(people) if len(acts) >= LEAST_ACTS]):
        if len(tested) < wanted and (film := last_liked(people[person], ids)) is not None:
            tested[int(person)] = film
    if len(tested) < LEAST_PEOPLE:
        return HeldOut(list(people), {})
    seen = [_without(acts, tested[number]) if number in tested else acts for number, acts in enumerate(people)]
    return HeldOut(seen, tested)


def last_liked(acts: Acts, ids: Ids) -> int | None:
    """The film of the catalogue that a person liked last."""
    films, weights = evidence(acts)
    liked = acts[np.isin(acts["movie_id"], films[(weights >= LIKED) & np.isin(films, ids)])]
    return int(liked[np.lexsort((liked["movie_id"], liked["at"]))[-1]]["movie_id"]) if len(liked) else None


def measure(held: HeldOut, factors: ItemFactors, ids: Ids, *, popularity: Floats) -> Quality | None:
    """What the factors make of it; None where nothing was held out.

    Args:
        popularity: shape (films,), what people think of each in all.
    """
    if not held.tested:
        return None
    people = [held.people[number] for number in held.tested]
    wanted = np.searchsorted(ids, list(held.tested.values()))
    everyone = np.where(factors.known, popularity, -np.inf)
    mine = np.vstack(list(_lists(people, factors, ids)))
    popular = np.vstack([_first(everyone, acts, ids) for acts in people])
    films = int(factors.known.sum())
    return Quality(len(people), figures(mine, wanted, films=films), figures(popular, wanted, films=films))


def figures(lists: Indexes, wanted: Indexes, *, films: int) -> dict[str, float]:
    """Of lists, shape (people, FOUND), in each of which one film, shape (people,), is wanted.

    `ndcg_at_10` is 1 / log2(rank + 1) of that film, 0 where it is not among ten; `recall_at_20` the share of
    people who find it among twenty; `coverage` the share of all films that stand among anyone's first ten.
    """
    people, places = np.nonzero(lists == wanted[:, None])
    gains = np.zeros(len(lists))
    gains[people] = np.where(places < SHOWN, 1 / np.log2(places + 2), 0)
    return {
        "ndcg_at_10": round(float(gains.mean()), 4),
        "recall_at_20": round(len(people) / len(lists), 4),
        "coverage": round(len(np.unique(lists[:, :SHOWN])) / films, 4),
    }


def _lists(people: Sequence[Acts], factors: ItemFactors, ids: Ids) -> Iterator[Indexes]:
    """What each is recommended first, as `ArrayRecommender` does it without diversity."""
    for begin in range(0, len(people), AT_ONCE):
        some = people[begin : begin + AT_ONCE]
        vectors = np.stack([_fold_in(opinions(acts), factors, ids) for acts in some])
        for scores, acts in zip((factors.q @ vectors.T).T, some, strict=True):
            yield _first(np.where(factors.known, scores, -np.inf), acts, ids)


def _fold_in(taste: Opinions, factors: ItemFactors, ids: Ids) -> Floats:
    films, weights = taste
    places = np.minimum(np.searchsorted(ids, films), len(ids) - 1)
    here = (ids[places] == films) & factors.known[places]
    vector: Floats = factors.start + (weights[here] @ factors.p[places[here]]) * loudness(np.abs(weights).sum())
    return vector


def _first(scores: Floats, acts: Acts, ids: Ids) -> Indexes:
    """The FOUND films of the highest scores of which a person has not had any; equal ones by id."""
    left = np.where(np.isin(ids, films_done(acts, not_counting=NOT_A_VERDICT)), -np.inf, scores)
    best: Indexes = np.argpartition(-left, min(FOUND, len(left) - 1))[:FOUND]
    return best[np.lexsort((best, -left[best]))]


def _without(acts: Acts, film: int) -> Acts:
    left: Acts = acts[acts["movie_id"] != film]
    return left
