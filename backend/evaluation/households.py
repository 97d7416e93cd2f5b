"""A household alone with its films: nobody else to learn from, but for a taste pack."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from backend.evaluation.baselines import BASELINES, TmdbVotes
from backend.evaluation.data import Dataset
from backend.evaluation.outcome import OURS, Outcome, Tally
from backend.evaluation.served import Served
from backend.evaluation.splits import Cases, held_out
from backend.evaluation.tuning import Tuner

SEED = 20_260_101
SIZES = (1, 2, 4)
MOST_HOUSEHOLDS = 14
"""Of each size."""
WITHOUT_PACK = f"{OURS}, without a pack"
ABOUT = (
    "Held-out people live in households of so many. Each household is an installation of its own, which learns "
    "from 80 % of the histories of its people and is asked for the rest of each. The pack is learned from the "
    "other four fifths of all people, whom EASE is trained on too; EASE has no limit of rank, and is given one "
    "person at a time."
)


def households(dataset: Dataset, ours: Served) -> list[Outcome]:
    """With and without a pack, against EASE trained on everyone else and against what TMDB's people voted on."""
    rng = np.random.default_rng(SEED)
    split = next(held_out(dataset, rounds=1, rng=rng))
    cases = split.cases(rng)
    ease = Tuner(split.training, rng=rng).choose(BASELINES["EASE"]).fit(split.training)
    votes = TmdbVotes().fit(split.training)
    packed = replace(ours, pack=ours.learner.pack(split.training))
    outcomes = []
    for size in SIZES:
        tally = Tally(f"household_{size}", f"Households of {size}", ABOUT, catalogue=dataset.catalogue)
        for members in _households(cases, size):
            home = dataset.of(members.given)
            rankers = {OURS: packed.fit(home), WITHOUT_PACK: ours.fit(home), "EASE of everyone else": ease}
            for name, ranker in (rankers | {"TMDB votes": votes}).items():
                # What is new or well-known is judged by the crowd for all of them.
                tally.add(name, ranker.rank(members.given), members, training=split.training)
        outcomes.append(tally.outcome())
    return outcomes


def _households(cases: Cases, size: int) -> Iterator[Cases]:
    """Whole households only, of people drawn at random."""
    order = np.random.default_rng(SEED).permutation(len(cases))
    for home in range(min(len(cases) // size, MOST_HOUSEHOLDS)):
        who = order[home * size : (home + 1) * size]
        given, wanted = ([parts[i] for i in who] for parts in (cases.given, cases.wanted))
        yield Cases(cases.people[who], tuple(given), tuple(wanted))
