"""The training, without the database around it: from films and people to item factors, and to a model that gives
films which arrive later their place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from backend.ml.company import company
from backend.ml.ease import SHORT_HISTORY, Evidence, condensed, equal_people, item_space
from backend.ml.facts import Vocabulary, learn_vocabulary
from backend.ml.fold_in import active_people, support_of
from backend.ml.item_factors import BLOCKS, DIMENSIONS, ItemFactors, loudness
from backend.ml.kernels import Known, Taste, unit
from backend.ml.placing import Film, Floats, Placing
from backend.ml.similarity import FACT_DIMENSIONS, Similarity, learn_similarity
from backend.ml.taste import POPULARITY_START, QUALITY_START, priors, side_features
from backend.ml.taste_pack import LEAST_SUPPORT, PLACED_GAIN, TastePack, learn_pack, trust_in_place

SEED = 20_260_101
LEAST_PEOPLE, LEAST_FILMS, LEAST_OPINIONS = 10, 10, 100
"""With less than this, what people have in common is chance, unless a pack stands behind them."""
MOST_FILMS = 20_000
"""Of the films that anyone has an opinion of, those with most take part in what is dense; others are placed."""
GUESSES_WEIGHT = 5.0
"""How loud what the map expects people to think is beside what they do: +0.3 % NDCG@10 over 3."""
STEP_RIDGE = 1.0
"""Of the regression from what people think of a film to its factors."""
TYPICAL = 400
"""People whose lists tell which films come first for anyone."""
CONTENT_ALONE = 1e-4
"""How loud content is where there is nobody to learn from; beside a crowd it only takes away."""
CONTENT_FADES = 10.0
"""By so many people to learn from, it is half as loud."""
CONTENT_OF_FACTS, CONTENT_OF_MEANING = 20, 12
"""Dimensions of the content block: the main ones of those that similarity goes by."""
POPULAR_QUIETER = 0.05
"""A film's taste is divided by its popularity to this power: +0.3 % NDCG@10, and less of what everyone knows."""
COMPANY, CONTENT, PRIOR = (slice(*BLOCKS[name]) for name in ("company", "content", "prior"))
LEARNED = slice(BLOCKS["taste"].begin, BLOCKS["company"].end)
"""What people tell: taste and company, side by side."""
RANK = BLOCKS["taste"].end - BLOCKS["taste"].begin
"""256: 224 cost 0.2 % of NDCG@10, 512 bring 0.2 %."""
COMPANY_RANK = COMPANY.stop - COMPANY.start


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The films to be placed, a row each."""

    ids: NDArray[np.int32]
    """TMDB ids, ascending."""
    films: Sequence[Film]
    """With the columns of `movies` as keys."""
    embeddings: Floats
    """Shape (films, 384); a row of zeros where there is none."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """What was learned, for films that nobody here has an opinion of."""

    maps: tuple[Placing, ...]
    """Of each crowd: from what is known of a film to what its people would think of it."""
    step: Floats
    """Shape (people of all crowds, 2 * LEARNED): from what they think of a film to its q and its p."""
    vocabulary: Vocabulary
    similarity: Similarity
    most_votes: float
    content: float
    """How loud content is."""

    def place(self, films: Sequence[Film], embeddings: Floats) -> ItemFactors:
        """Where films belong that arrived after the training."""
        known = Known.of(films, self.vocabulary, embeddings)
        nobody = np.zeros(len(films), dtype=np.float32)
        places: Floats = _guesses(self.maps, films, embeddings).T @ (np.float32(PLACED_GAIN) * self.step)
        return self.assemble(places, self.similarity.vectors(known), known, nobody)

    def assemble(self, places: Floats, alike: Floats, known: Known, popularity: Floats) -> ItemFactors:
        """Factors of their blocks; `places` has q and p of what was learned side by side."""
        p = np.zeros((len(places), DIMENSIONS), dtype=np.float32)
        q = p.copy()
        q[:, LEARNED], p[:, LEARNED] = np.hsplit(places, 2)
        meaning = slice(FACT_DIMENSIONS, FACT_DIMENSIONS + CONTENT_OF_MEANING)
        content = unit(np.hstack([alike[:, :CONTENT_OF_FACTS], alike[:, meaning]])) * np.sqrt(self.content)
        q[:, CONTENT] = p[:, CONTENT] = content
        q[:, PRIOR] = priors(popularity, known.vote_counts, known.vote_averages, most_votes=self.most_votes)
        start = np.zeros(DIMENSIONS, dtype=np.float32)
        start[PRIOR] = POPULARITY_START, QUALITY_START
        everywhere = np.ones(len(places), dtype=bool)
        return ItemFactors(p=p, q=q, s=alike, genres=known.genres, start=start, known=everywhere)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays, which `np.savez` writes without pickle."""
        arrays = {f"map{i}_{k}": array for i, one in enumerate(self.maps) for k, array in one.to_arrays().items()}
        numbers = np.array([len(self.maps), self.most_votes, self.content])
        own = {"step": self.step, "numbers": numbers}
        return arrays | self.vocabulary.to_arrays() | self.similarity.to_arrays() | own

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Model":
        """What `to_arrays` gave."""
        count, most_votes, content = arrays["numbers"].tolist()
        maps = []
        for prefix in (f"map{i}_" for i in range(int(count))):
            own = {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
            maps.append(Placing.from_arrays(own))
        return cls(
            maps=tuple(maps),
            step=arrays["step"],
            vocabulary=Vocabulary.from_arrays(arrays),
            similarity=Similarity.from_arrays(arrays),
            most_votes=most_votes,
            content=content,
        )


def learn(catalogue: Catalogue, own: csr_array, *, pack: TastePack | None) -> tuple[ItemFactors, Model]:
    """Item factors of a catalogue, and the model for films that arrive later.

    Args:
        own: shape (people, films), `fold_in.evidence` of the installation's own people.
        pack: what is known of the taste of people elsewhere.
    """
    crowds = [pack] if pack is not None else []
    if is_crowd(own):
        films, embeddings = catalogue.films, catalogue.embeddings
        crowds.append(learn_pack(catalogue.ids, own, films=films, embeddings=embeddings))
    vocabulary = learn_vocabulary(catalogue.films)
    known = Known.of(catalogue.films, vocabulary, catalogue.embeddings)
    gathered = _Gathered.of(catalogue, own, pack, crowds)
    dense = _dense_part(gathered, known)
    places, step = _everywhere(gathered, dense)
    together = np.zeros((len(catalogue.ids), RANK), dtype=np.float32)
    together[dense.films] = dense.together
    support = np.zeros(len(catalogue.ids), dtype=np.int32)
    support[dense.films] = gathered.support[dense.films]
    taste = Taste(places=together, people=support) if len(dense.films) else None
    model = Model(
        maps=tuple(crowd.placing for crowd in crowds),
        step=step,
        vocabulary=vocabulary,
        similarity=learn_similarity(vocabulary, known, taste=taste),
        most_votes=max(float(known.vote_counts.max(initial=0)), 1.0),
        content=CONTENT_ALONE / (1 + gathered.people / CONTENT_FADES),
    )
    factors = model.assemble(places, model.similarity.vectors(known, taste=taste), known, gathered.popularity)
    # Of others nothing is known but a name, until they have an embedding.
    factors.known[:] = catalogue.embeddings.any(axis=1) | (gathered.support > 0)
    return factors, model


def typical_people(own: csr_array, factors: ItemFactors) -> Floats:
    """Shape (people, DIMENSIONS): some of those who are here, and as many who like one well-known film alone."""
    rng = np.random.default_rng(SEED)
    some = own[np.sort(rng.permutation(active_people(own))[:TYPICAL])]
    known_best = np.argsort(-factors.q[:, PRIOR.start], kind="stable")[:TYPICAL]
    own = (some @ factors.p) * loudness(np.asarray(some.sum(axis=1)))
    people: Floats = factors.start + np.vstack([own, factors.p[known_best] * loudness(1.0)])
    return people.astype(np.float32)


def is_crowd(own: csr_array) -> bool:
    """Whether these people are enough to learn from without any others."""
    people, films = len(active_people(own)), int((support_of(own) >= LEAST_SUPPORT).sum())
    return people >= LEAST_PEOPLE and films >= LEAST_FILMS and own.nnz >= LEAST_OPINIONS


@dataclass(frozen=True, kw_only=True)
class _Gathered:
    """What all people think of the catalogue, the crowds' and the installation's own."""

    rows: Floats
    """Shape (people, films)."""
    inputs: Floats
    """The same, each person counting alike."""
    profiles: Floats
    """Shape (people of all crowds, films): what they think, and where they are few, would think, of each film."""
    guesses: Floats
    """What they would think."""
    popularity: Floats
    support: NDArray[np.int64]
    people: int

    @classmethod
    def of(
        cls, catalogue: Catalogue, own: csr_array, pack: TastePack | None, crowds: Sequence[TastePack]
    ) -> "_Gathered":
        rng = np.random.default_rng(SEED)
        rows, inputs = [condensed(own, rng=rng)], [condensed(equal_people(own), rng=rng)]
        popularity = np.asarray(own.sum(axis=0), dtype=np.float32)
        support, people = support_of(own), len(active_people(own))
        if pack is not None:
            elsewhere = pack.over(catalogue.ids)
            popularity, support = popularity + elsewhere.popularity, support + elsewhere.support
            people += pack.people
            rows.append(elsewhere.rows)
            mean_history = float(pack.popularity.sum()) / max(pack.people, 1)
            inputs.append(elsewhere.rows / (mean_history + SHORT_HISTORY))
        nobody = np.zeros((0, len(catalogue.ids)), dtype=np.float32)
        guesses = _guesses([crowd.placing for crowd in crowds], catalogue.films, catalogue.embeddings)
        said = np.vstack([nobody, *(crowd.over(catalogue.ids).rows for crowd in crowds)])
        return cls(
            rows=np.vstack(rows),
            inputs=np.vstack(inputs),
            profiles=said + trust_in_place(support) * guesses,
            guesses=guesses,
            popularity=popularity,
            support=support,
            people=people,
        )


def _guesses(maps: Sequence[Placing], films: Sequence[Film], embeddings: Floats) -> Floats:
    """Shape (people of all crowds, films): what they would think."""
    nobody = np.zeros((0, len(films)), dtype=np.float32)
    return np.vstack([nobody, *(placing.place(films, embeddings).T for placing in maps)])


def _dense_part(gathered: _Gathered, known: Known) -> "_Dense":
    """Of the films that most have an opinion of; of none without a crowd."""
    rated = np.flatnonzero(gathered.support) if len(gathered.profiles) else np.empty(0, dtype=np.intp)
    films = np.sort(rated[np.argsort(-gathered.support[rated], kind="stable")[:MOST_FILMS]])
    if not len(films):
        return _Dense(films, np.zeros((0, 2 * LEARNED.stop), np.float32), np.zeros((0, RANK), np.float32))
    rows, popularity = gathered.rows[:, films], gathered.popularity[films]
    side = side_features(
        csr_array(known.facts[films]),
        known.embeddings[films],
        known.years[films],
        rng=np.random.default_rng(SEED),
    )
    evidence = Evidence(
        rows=rows,
        inputs=gathered.inputs[:, films],
        popularity=popularity,
        squares=np.square(rows).sum(axis=0),
        side=side,
        guesses=GUESSES_WEIGHT * gathered.guesses[:, films],
    )
    space = item_space(evidence, rank=RANK)
    beside_q, beside_p = company(rows, popularity, rank=COMPANY_RANK)
    quieter = space.q / (1 + popularity[:, None]) ** POPULAR_QUIETER
    return _Dense(films, np.hstack([quieter, beside_q, space.p, beside_p]), space.together)


class _Dense(NamedTuple):
    """What was learned of the films that most have an opinion of."""

    films: NDArray[np.intp]
    """Which these are."""
    places: Floats
    """q and p side by side."""
    together: Floats
    """Those liked by the same people point the same way."""


def _everywhere(gathered: _Gathered, dense: _Dense) -> tuple[Floats, Floats]:
    """q and p of all films side by side, and the step that leads from what people think of a film to them."""
    profiles = gathered.profiles.T
    told = profiles[dense.films].astype(np.float64)
    gram = told.T @ told + STEP_RIDGE * np.eye(told.shape[1])
    step = np.linalg.solve(gram, told.T @ dense.places).astype(np.float32)
    places: Floats = profiles @ step
    places[dense.films] = dense.places
    return places, step
