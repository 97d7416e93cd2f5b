"""The questions: people held out, people of whom little is known, the future, new films, a smaller world."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from backend.evaluation.baselines import BASELINES, FEW_KNOWN, ContentMean, TmdbVotes
from backend.evaluation.data import Dataset
from backend.evaluation.methods import Method, Ranker
from backend.evaluation.outcome import OURS, Outcome, Tally
from backend.evaluation.served import Served
from backend.evaluation.splits import KNOWN_LIKES, Cases, held_out, new_films, past_and_future, subsample
from backend.evaluation.tuning import Tuner, parameters

SEED = 20_260_101
WITHOUT_VOTES = f"{OURS}, without TMDB's votes"
BOOST = 0.2
"""The default of `diversity_boost`."""
DIVERSE = f"{OURS}, diversity_boost {BOOST}"
FOR_FEW = "EASE, tuned for just so many"
NEW_FILM_DRAWS = 3
SMALLER_PEOPLE, SMALLER_FILMS = 300, 2_000

HELD_OUT = (
    "Four fifths of the people are learned from. Of a history of the others, a random 80 % is given with all its "
    "ratings; of the rest, the films rated 4 or more are to be found among all films but the given ones."
)
NEW_PERSON = (
    "Of a held-out person only so many liked films are known, drawn at random; all others that they liked are to "
    "be found. The same people are asked about for each number: those with at least 15 likes. Baselines have the "
    "parameters that were chosen for whole histories, but for one EASE that is tuned anew for each number."
)
DIVERSITY = "The held-out people again, without and with the diversity that recommendations have by default."
TIME = (
    "One cut in time for everyone, after 80 % of all interactions: what was done before is learned from and "
    "given, what was liked after it is to be found. Few people are on both sides: no claim is made of this."
)
NEW_FILM = (
    "A random tenth of the films loses all interactions before training. Each person is given all the rest of "
    "what they did, and these films are ranked among themselves."
)
SMALLER = (
    f"The same as with held-out people, with {SMALLER_PEOPLE} people and {SMALLER_FILMS} films drawn at random, "
    "and no parameter of ours touched."
)


def people_protocols(dataset: Dataset, ours: Served, *, rounds: int) -> list[Outcome]:
    """Held-out people, those of whom only a few liked films are known, and what diversity costs."""
    known_part = _tally("held_out", "Held-out people", HELD_OUT, dataset)
    newcomers = {
        known: _tally(f"new_person_{known}", f"New person, {known} known", NEW_PERSON, dataset)
        for known in KNOWN_LIKES
    }
    diversity = Tally("diversity", "Diversity", DIVERSITY, catalogue=dataset.catalogue, ours=DIVERSE)
    for number, split in enumerate(held_out(dataset, rounds=rounds, rng=np.random.default_rng(SEED))):
        rng = np.random.default_rng([SEED, number])
        cases, few = split.cases(rng), split.newcomers(rng)
        chosen = choose(split.training, rng=rng)
        served = ours.fit(split.training)
        unvoted = replace(split.training, catalogue=split.training.catalogue.without_votes())
        rankers = fit(chosen, split.training) | {OURS: served, WITHOUT_VOTES: ours.fit(unvoted)}
        rankers[DIVERSE] = served.diverse(BOOST)
        ask(rankers, cases, known_part, training=split.training)
        for known, tally in newcomers.items():
            for_few = Tuner(split.training, rng=rng, known=known).choose(FEW_KNOWN)
            ask(rankers | {FOR_FEW: for_few.fit(split.training)}, few[known], tally, training=split.training)
            tally.notes[f"{FOR_FEW}, split {number + 1}"] = parameters(for_few)
        ask({OURS: served, DIVERSE: rankers[DIVERSE]}, cases, diversity, training=split.training)
        known_part.notes[f"parameters, split {number + 1}"] = {n: parameters(m) for n, m in chosen.items()}
    return [tally.outcome() for tally in (known_part, *newcomers.values(), diversity)]


def smaller_world(dataset: Dataset, ours: Served) -> Outcome:
    """Held-out people among a few people and films, by the same procedure."""
    rng = np.random.default_rng(SEED)
    smaller = subsample(dataset, people=SMALLER_PEOPLE, films=SMALLER_FILMS, rng=rng)
    tally = _tally("smaller", "A smaller world", SMALLER, smaller)
    for number, split in enumerate(held_out(smaller, rounds=1, rng=rng)):
        rng = np.random.default_rng([SEED, number])
        cases = split.cases(rng)
        rankers = fit(choose(split.training, rng=rng) | {OURS: ours}, split.training)
        ask(rankers, cases, tally, training=split.training)
    return tally.outcome()


def time_split(dataset: Dataset, ours: Served) -> Outcome:
    """The future of people whose past is known."""
    tally = _tally("time", "Time split", TIME, dataset)
    training, cases = past_and_future(dataset)
    chosen = choose(training, rng=np.random.default_rng(SEED))
    ask(fit(chosen | {OURS: ours}, training), cases, tally, training=training)
    return tally.outcome()


def new_film(dataset: Dataset, ours: Served) -> Outcome:
    """New films ranked among themselves, and whether they come up among all films."""
    tally = _tally("new_film", "New films", NEW_FILM, dataset)
    methods: dict[str, Method] = {
        "content mean": ContentMean(),
        "content mean, centred": ContentMean(centred=True),
        "TMDB votes": TmdbVotes(),
        OURS: ours,
    }
    shares: list[float] = []
    for draw in range(NEW_FILM_DRAWS):
        training, new, cases = new_films(dataset, rng=np.random.default_rng([SEED, draw]))
        is_new = np.zeros(len(dataset.catalogue), dtype=bool)
        is_new[new] = True
        for name, ranker in fit(methods, training).items():
            tally.add(name, ranker.rank(cases.given, among=is_new), cases, training=training)
            if name == OURS:
                lists = ranker.rank(cases.given)
                shares.append(float(is_new[lists[lists >= 0]].mean()))
        liked = np.concatenate(cases.wanted)
        tally.notes[f"new films, draw {draw + 1}"] = {"films": len(new), "likes to be found": len(liked)}
    tally.notes["share of new films in the top 100 of all films"] = float(np.mean(shares))
    tally.notes["share of ratings that new films had"] = 1 - training.interactions / dataset.interactions
    return tally.outcome()


def choose(training: Dataset, *, rng: np.random.Generator) -> dict[str, Method]:
    """Every baseline, tuned on people of the training."""
    tuner = Tuner(training, rng=rng)
    return {name: tuner.choose(grid) for name, grid in BASELINES.items()}


def fit(methods: Mapping[str, Method], training: Dataset) -> dict[str, Ranker]:
    """All of them, learned from the same people."""
    return {name: method.fit(training) for name, method in methods.items()}


def ask(rankers: Mapping[str, Ranker], cases: Cases, tally: Tally, *, training: Dataset) -> None:
    """Put the same cases to all."""
    for name, ranker in rankers.items():
        tally.add(name, ranker.rank(cases.given), cases, training=training)


def _tally(key: str, title: str, about: str, dataset: Dataset) -> Tally:
    return Tally(key, title, about, catalogue=dataset.catalogue)
