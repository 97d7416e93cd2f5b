"""Are similar films liked by the same people? Judged by people from whom nothing was learned."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from backend.evaluation import intervals
from backend.evaluation.cine_rec import NAME, CineRec, installed
from backend.evaluation.data import Catalogue, Dataset
from backend.evaluation.grading import liked
from backend.evaluation.intervals import Estimate
from backend.evaluation.metrics import POPULAR, SHOWN, coverage
from backend.evaluation.outcome import OURS, Outcome
from backend.evaluation.served import LabRecommender, Learner, film_table
from backend.evaluation.similar_weights import fit_weights, kernels
from backend.ml.answer import Request
from backend.ml.array_recommender import Space
from backend.ml.facts import learn_vocabulary
from backend.ml.film_table import Bools, Indexes
from backend.ml.fold_in import Opinions, opinion_matrix
from backend.ml.item_factors import ItemFactors, nowhere_to_be_found
from backend.ml.kernels import TASTE_DIMENSIONS, Known, Matrix
from backend.ml.people_store import Acts
from backend.ml.similarity import PRIOR, WEIGHTS, learn_similarity

Floats = NDArray[np.float64]

SEED = 20_260_101
ROUNDS = 2
"""How often people and seeds are dealt in halves; each half judges once."""
NEAREST = 50
"""So many films of the highest cosine of the columns of likes are relevant."""
LEAST_CANDIDATE, LEAST_SEED = 5, 15
"""Likes among the judging half that a film needs, to be a candidate or a seed."""
LONG_TAIL = 30
"""A seed with fewer likes, all people together, belongs to the long tail."""
ASKED_FOR_COVERAGE = 1_000
"""Films drawn at random whose lists coverage and the share of the popular are told of."""
COVERAGE_FLOOR, POPULAR_CEILING = 0.4, 0.05
"""What served lists keep to."""

PRECISION, LONG_TAIL_PRECISION = "precision@10", "precision@10, long tail"
CONTENT, SERVED = f"{OURS}, without interactions", OURS
REFITTED_CONTENT, REFITTED = "weights refitted, without interactions", "weights refitted"
COSINE = "cosine of embeddings"
ABOUT = (
    f"People are dealt in halves. Relevant to a film are its {NEAREST} nearest by the cosine of the columns of "
    f"likes of one half, among films with at least {LEAST_CANDIDATE} of its likes; seeds have at least "
    f"{LEAST_SEED}. What uses interactions learned from the other half. Refitted weights are learned from the "
    "other half too, on films that are not asked about. Long tail: seeds with fewer than "
    f"{LONG_TAIL} likes. Coverage and the share of the {POPULAR} most-liked films are of lists among the whole "
    f"catalogue, for {ASKED_FOR_COVERAGE:,} films drawn at random. People stands for seeds here."
)


class _Lab(LabRecommender):
    """On embeddings, as the file cache: those are looked at too."""

    understands_words: ClassVar[bool] = True


class Lister(Protocol):
    """Whatever finds similar films."""

    def lists(self, seeds: Indexes, among: Indexes) -> Indexes:
        """The places of the first SHOWN for each seed, never itself: shape (seeds, SHOWN)."""
        ...


@dataclass(frozen=True)
class ByScore:
    """Finds by a function from seeds and candidates to scores."""

    score: Callable[[Indexes, Indexes], NDArray[np.floating]]

    def lists(self, seeds: Indexes, among: Indexes) -> Indexes:
        """See Lister."""
        scores = np.where(seeds[:, None] == among, -np.inf, self.score(seeds, among))
        return among[np.argsort(-scores, axis=1, kind="stable")[:, :SHOWN]]


@dataclass(frozen=True, eq=False)
class ServedLists:
    """Finds by the recommender that serves."""

    catalogue: Catalogue
    factors: ItemFactors

    def lists(self, seeds: Indexes, among: Indexes) -> Indexes:
        """See Lister."""
        mask = np.zeros(len(self.catalogue), dtype=bool)
        mask[np.union1d(among, seeds)] = True
        units = self.catalogue.embeddings
        space = Space(factors=self.factors, units=units, embedded=np.any(units, axis=1), made_by="evaluation")
        films = film_table(self.catalogue, among=mask)
        recommender = _Lab(films, None, space, version="evaluation")
        ids = self.catalogue.ids
        answers = [recommender.similar(int(ids[seed]), Request(n=SHOWN, by="best")) for seed in seeds]
        found = np.array([[row["id"] for row in answer.rows] for answer in answers], dtype=np.int32)
        return self.catalogue.places(found.reshape(len(seeds), SHOWN))


@dataclass(frozen=True, eq=False)
class Judge:
    """What is relevant to films, according to some people."""

    seeds: Indexes
    candidates: Indexes
    relevant: Bools
    """Shape (seeds, candidates)."""
    itself: Bools
    """Where a candidate is the seed."""

    @classmethod
    def of(cls, people: Sequence[Acts], catalogue: Catalogue, *, share: float = 1.0) -> "Judge":
        """By their likes; `share` lowers the likes that are needed, for fewer people."""
        likes = opinion_matrix(people, catalogue.ids, weigh=_likes)
        counts = np.asarray(likes.sum(axis=0)).ravel()
        candidates = np.flatnonzero(counts >= max(LEAST_CANDIDATE * share, 2))
        seeds = np.flatnonzero(counts >= max(LEAST_SEED * share, 2))
        unit = likes.toarray() / np.sqrt(np.maximum(counts, 1.0))
        itself = seeds[:, None] == candidates
        cosines = np.where(itself, -1.0, unit[:, seeds].T @ unit[:, candidates])
        relevant = np.zeros(cosines.shape, dtype=bool)
        nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
        np.put_along_axis(relevant, nearest, True, axis=1)
        return cls(seeds, candidates, relevant, itself)

    def only(self, films: Bools) -> "Judge":
        """Asked about these films alone."""
        asked = films[self.seeds]
        return replace(self, seeds=self.seeds[asked], relevant=self.relevant[asked], itself=self.itself[asked])

    def precision(self, lists: Indexes) -> Floats:
        """The share of each list that is relevant, shape (seeds,); lists are of candidates."""
        columns = np.searchsorted(self.candidates, lists)
        return np.asarray(np.take_along_axis(self.relevant, columns, axis=1).mean(axis=1))


@dataclass
class _Sheet:
    """What a method got, split by split."""

    seeds: list[Indexes] = field(default_factory=list)
    precision: list[Floats] = field(default_factory=list)


def similar_films(dataset: Dataset, learner: Learner, *, rounds: int = ROUNDS) -> Outcome:
    """How good the lists of similar films are, beside pure cosine and a rival where it is installed."""
    bench, sheets = _Bench(dataset.catalogue, learner), dict[str, _Sheet]()
    first: Mapping[str, Lister] = {}
    for learning, judging, fitting in _splits(dataset, rounds):
        judge = Judge.of(judging.people, dataset.catalogue).only(~fitting)
        listers = bench.listers(learning, fitting)
        first = first or listers
        for name, lister in listers.items():
            sheet = sheets.setdefault(name, _Sheet())
            sheet.seeds.append(judge.seeds)
            sheet.precision.append(judge.precision(lister.lists(judge.seeds, judge.candidates)))
    return _outcome(dataset, sheets, first)


class _Bench:
    """Makes what is compared; what does not depend on people is made once."""

    def __init__(self, catalogue: Catalogue, learner: Learner) -> None:
        self._catalogue, self._learner = catalogue, learner
        self._vocabulary = learn_vocabulary(catalogue.films)
        self._known = Known.of(catalogue.films, self._vocabulary, catalogue.embeddings)
        units = catalogue.embeddings
        self._fixed: dict[str, Lister] = {
            CONTENT: self._served(self._content(WEIGHTS)),
            COSINE: ByScore(lambda seeds, among: units[seeds] @ units[among].T),
        }
        if installed():
            self._fixed[NAME] = ByScore(CineRec(catalogue))

    def listers(self, learning: Dataset, fitting: Bools) -> dict[str, Lister]:
        """By name, with what these people say, and weights learned on the films to fit."""
        factors = self._learner.factors(learning)
        without = self._refit(learning, fitting, learned=None)
        half = learning.of(learning.people[::2])
        refitted = self._refit(learning.of(learning.people[1::2]), fitting, learned=self._learner.factors(half).s)
        vectors = self._content(refitted)
        taste = _taste(factors.s) * np.sqrt(refitted["taste"])
        vectors[:, PRIOR + 1 : PRIOR + 1 + TASTE_DIMENSIONS] = taste
        return self._fixed | {
            SERVED: ServedLists(self._catalogue, factors),
            REFITTED_CONTENT: self._served(self._content(without)),
            REFITTED: self._served(vectors),
        }

    def _refit(self, judging: Dataset, fitting: Bools, *, learned: Matrix | None) -> dict[str, float]:
        share = 1.0 if learned is None else 0.5
        judge = Judge.of(judging.people, self._catalogue, share=share).only(fitting)
        taste = None if learned is None else _taste(learned)
        found = kernels(self._vocabulary, self._known, taste=taste, seeds=judge.seeds, candidates=judge.candidates)
        return fit_weights(found, judge.relevant, judge.itself)

    def _content(self, weights: Mapping[str, float]) -> Matrix:
        return learn_similarity(self._vocabulary, self._known, weights=weights).vectors(self._known)

    def _served(self, vectors: Matrix) -> ServedLists:
        films = len(self._catalogue)
        everywhere = np.ones(films, dtype=bool)
        return ServedLists(self._catalogue, replace(nowhere_to_be_found(films), s=vectors, known=everywhere))


def _splits(dataset: Dataset, rounds: int) -> Iterator[tuple[Dataset, Dataset, Bools]]:
    """Who is learned from, who judges, and the films on which weights may be fitted."""
    for number in range(rounds):
        rng = np.random.default_rng([SEED, number])
        order = rng.permutation(len(dataset.people))
        fitting = rng.random(len(dataset.catalogue)) < 0.5
        one, other = (dataset.of(dataset.people[i] for i in order[side::2]) for side in (0, 1))
        yield one, other, fitting
        yield other, one, ~fitting


def _outcome(dataset: Dataset, sheets: Mapping[str, _Sheet], listers: Mapping[str, Lister]) -> Outcome:
    likes = np.asarray(opinion_matrix(dataset.people, dataset.catalogue.ids, weigh=_likes).sum(axis=0)).ravel()
    drawn = np.random.default_rng(SEED).permutation(len(likes))[:ASKED_FOR_COVERAGE]
    popular, everything = np.argsort(-likes, kind="stable")[:POPULAR], np.arange(len(likes))
    values = {name: _by_seed(sheet, likes) for name, sheet in sheets.items()}
    shown = {name: listers[name].lists(drawn, everything) for name in sheets if name != NAME}
    point = {
        name: {
            "coverage": intervals.mean(np.array([coverage(lists, len(likes))])),
            "popular": intervals.mean(np.isin(lists, popular).mean(axis=1)),
        }
        for name, lists in shown.items()
    }
    return Outcome(
        key="similar",
        title="Similar films",
        about=ABOUT,
        people=len(values[SERVED][PRECISION]),
        methods={
            name: {metric: intervals.mean(found) for metric, found in metrics.items()} | point.get(name, {})
            for name, metrics in values.items()
        },
        advantage={
            name: {PRECISION: intervals.advantage(values[SERVED][PRECISION], found[PRECISION])}
            for name, found in values.items()
            if name != SERVED
        },
        notes=_bounds(point) | ({f"times {NAME}": _times(values)} if NAME in values else {}),
    )


def _bounds(point: Mapping[str, Mapping[str, Estimate]]) -> dict[str, dict[str, str]]:
    """Whether what is served shows enough of the catalogue, and not too much of what everyone knows."""
    within = {
        name: point[name]["coverage"].mean >= COVERAGE_FLOOR and point[name]["popular"].mean <= POPULAR_CEILING
        for name in (CONTENT, SERVED)
    }
    title = f"coverage at least {COVERAGE_FLOOR}, popular share at most {POPULAR_CEILING}"
    return {title: {name: "kept" if kept else "MISSED" for name, kept in within.items()}}


def _by_seed(sheet: _Sheet, likes: NDArray[np.floating]) -> dict[str, Floats]:
    seeds, found = np.concatenate(sheet.seeds), np.concatenate(sheet.precision)
    tail = np.where(likes[seeds] < LONG_TAIL, found, np.nan)
    by_seed, by_tail = (intervals.average_by_person(seeds, values) for values in (found, tail))
    return {PRECISION: by_seed, LONG_TAIL_PRECISION: by_tail}


def _times(values: Mapping[str, Mapping[str, Floats]]) -> dict[str, Estimate]:
    """How many times the precision of the rival each has."""
    above = {
        name: intervals.advantage(found[PRECISION], values[NAME][PRECISION]) for name, found in values.items()
    }
    return {name: Estimate(1 + by.mean, 1 + by.low, 1 + by.high) for name, by in above.items() if name != NAME}


def _taste(vectors: Matrix) -> Matrix:
    """The taste of vectors as it is without its weight."""
    return vectors[:, PRIOR + 1 : PRIOR + 1 + TASTE_DIMENSIONS] / np.float32(np.sqrt(WEIGHTS["taste"]))


def _likes(acts: Acts) -> Opinions:
    films = np.unique(liked(acts)["movie_id"])
    return films, np.ones(len(films), dtype=np.float32)
