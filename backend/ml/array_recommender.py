"""What layer 1 computes in SQL, computed from arrays: films by nearness, people folded in, filters, exclusions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backend.catalog.filters import NO_FILTERS, Filters, MovieRef
from backend.errors import MovieNotFoundError, MovieNotShownError
from backend.feedback.weights import KINDS, interaction_weight
from backend.ml.answer import (
    LIST_END,
    LONG_HISTORY,
    MOST_LIKED,
    NOT_A_VERDICT,
    NOT_SEEN,
    QUALITY_SCALE,
    Answer,
    By,
    Request,
    Rows,
    Source,
    Verdict,
)
from backend.ml.diversity import Calibration, page_order
from backend.ml.explain import Terms, explain_by_taste, shared_facts, with_words_as_reason
from backend.ml.film_table import Bools, FilmTable, Indexes
from backend.ml.fold_in import Opinions, films_done, opinions
from backend.ml.item_factors import ItemFactors, genre_shares, loudness
from backend.ml.people_store import ACT, Acts, PeopleFile
from backend.ml.similarity import SAME_COLLECTION, closeness, query

Floats = NDArray[np.float32]

LIKED = ("id", "title", "genres", "collection")
"""What is told of a film that a person likes."""


@dataclass(frozen=True)
class _Person:
    """Someone folded in."""

    places: Indexes
    """Shape (opinions,): the films they have an opinion of, by index."""
    weights: Floats
    """Shape (opinions,)."""
    loud: Floats
    """Shape (dimensions,): see `item_factors.loudness`."""
    vector: Floats
    """Shape (dimensions,)."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where films lie."""

    factors: ItemFactors
    units: Floats
    """Shape (films, dimensions): rows of length 1 or 0; diversity goes by their cosines."""
    embedded: Bools
    """Which films have such a row."""
    made_by: str
    """The model that made these."""


class ArrayRecommender:
    """Similar films and recommendations from files, without the database."""

    source: ClassVar[Source]
    understands_words: ClassVar[bool] = False
    """Whether the rows of `Space.units` are embeddings."""

    def __init__(
        self,
        films: FilmTable,
        people: PeopleFile | None,
        space: Space,
        *,
        version: str,
        include_adult: bool = False,
    ) -> None:
        self.films = films
        self.people = people
        self.space = space
        self.version = version
        """Of the factors."""
        self.include_adult = include_adult

    def similar(
        self,
        ref: MovieRef,
        request: Request,
        *,
        user_id: str | None = None,
        not_counting: tuple[str, ...] = NOT_SEEN,
    ) -> Answer:
        """Films near one film; with `user_id`, none of which an act of this person counts."""
        seed = self._get(ref)
        acts = self._acts(user_id) if user_id is not None else None
        allowed = self._allowed(request.filters, acts, not_counting=not_counting)
        allowed[seed] = False
        likeness, placed = self._likeness(seed, request.by)
        if placed[seed]:
            answer = self._ranked(likeness, allowed & placed, request)
        else:
            answer = self._popular(allowed & self.films.kindred(seed), request)
        if request.by == "embedding" and self.understands_words:
            answer = replace(answer, model_version=self.space.made_by)
        if request.explain:
            facts = self.films.details(seed)
            for row in answer.rows:
                row["why"] = shared_facts(facts, self.films.details(self._get(row["id"])))
        return replace(answer, cold_start=False)

    def recommend(self, user_id: str, request: Request) -> Answer:
        """What a person may like: by what they did, or popular films where that says nothing."""
        acts = self._acts(user_id)
        allowed = self._allowed(request.filters, acts, not_counting=NOT_A_VERDICT)
        return self._recommend(self._fold_in(opinions(acts)), allowed, request)

    def likes(self, user_id: str) -> Rows:
        """As `taste_statements.likes_of`, in numpy."""
        ids, weights = opinions(self._acts(user_id))
        places = self.films.indexes_of(ids)
        shown = self.films.allowed(NO_FILTERS, include_adult=self.include_adult)
        chosen = np.flatnonzero((places >= 0) & (weights > 0) & shown[places])
        first = chosen[np.lexsort((ids[chosen], -weights[chosen]))][:MOST_LIKED]
        films = ((float(weights[i]), self.films.details(int(places[i]))) for i in first)
        return [{name: film[name] for name in LIKED} | {"weight": weight} for weight, film in films]

    def explain(self, user_id: str, rows: Rows) -> None:
        """Put into each row what its score for a person is made of, and why."""
        self._explain_by_taste(self._fold_in(opinions(self._acts(user_id))), rows)

    def recommend_for(
        self,
        request: Request,
        *,
        liked: Sequence[MovieRef] = (),
        disliked: Sequence[MovieRef] = (),
        meaning: Floats | None = None,
    ) -> tuple[Answer, list[MovieRef]]:
        """The same for someone without an account; also those of the films that are not known here."""
        found = {ref: self.films.find(ref) for ref in (*liked, *disliked)}
        weights = {found[ref]: interaction_weight("dislike", None, 0) for ref in disliked}
        weights |= {found[ref]: interaction_weight("like", None, 0) for ref in liked}
        places = sorted(place for place in weights if place is not None)
        allowed = self._allowed(request.filters, None, not_counting=())
        allowed[places] = False
        taste = (self.films.ids[places], np.array([weights[place] for place in places], dtype=np.float32))
        unknown = [ref for ref in (*liked, *disliked) if found[ref] is None]
        person = self._fold_in(taste)
        if meaning is not None and self.understands_words:
            return with_words_as_reason(self._worded(person, meaning, allowed, request), request), unknown
        return self._recommend(person, allowed, request), unknown

    def why(self, user_id: str, ref: MovieRef, request: Request) -> Verdict:
        """Why a film is, or is not, among the first `request.n`. Raises MovieNotFoundError."""
        film, acts = self._get(ref), self._acts(user_id)
        person = self._fold_in(opinions(acts))
        scores = self.space.factors.q @ person.vector
        allowed = self._allowed(request.filters, acts, not_counting=NOT_A_VERDICT) & self.space.factors.known
        ranked = -np.sort(-scores[allowed])
        about = acts[acts["movie_id"] == self.films.ids[film]]
        done = {KINDS[number] for number in about["kind"]} - set(NOT_A_VERDICT)
        explained: Rows = [{"id": int(self.films.ids[film]), "score": None}]
        if self.space.factors.known[film]:
            explained[0]["score"] = float(scores[film])
            self._explain_by_taste(person, explained)
        return Verdict.of(
            title=self.films.details(film)["title"],
            acts=sorted(done),
            filters=[name for name, alone in request.filters.one_by_one() if not self._lets(alone, film)],
            rank=int((ranked > scores[film]).sum()) + 1,
            needed=float(ranked[request.n - 1]) if len(ranked) >= request.n else None,
            n=request.n,
            source=self.source,
            model_version=self.version,
            **explained[0],
        )

    def detail(self, ref: MovieRef) -> dict[str, Any]:
        """All that is known of one film. Raises MovieNotFoundError."""
        return self.films.details(self._get(ref))

    def browse(self, filters: Filters, *, limit: int, offset: int) -> tuple[Rows, int]:
        """Films, the popular and good first, and how many there are in all."""
        matching = self._by_quality(self._allowed(filters, None, not_counting=()))
        return [self.films.summary(int(i)) for i in matching[offset : offset + limit]], len(matching)

    def _likeness(self, seed: int, by: By) -> tuple[Floats, Bools]:
        """How like each film is to one, and of which films that is known: as `similar_statement`, in numpy."""
        unknown = not self.space.factors.known[seed]
        if self.understands_words and (by == "embedding" or unknown):
            return self.space.units @ self.space.units[seed], self.space.embedded
        factors = self.space.factors
        if unknown:
            return np.zeros(len(self.films), dtype=np.float32), factors.known
        likeness: Floats = factors.s @ query(factors.s[seed])
        if self.understands_words:
            likeness += closeness(self.space.units @ self.space.units[seed])
        likeness[self.films.same_collection(seed)] += SAME_COLLECTION
        return likeness, factors.known

    def _fold_in(self, taste: Opinions) -> "_Person":
        """As `Taste.profile_statement`, in numpy."""
        factors = self.space.factors
        # Where nothing has been learned there is one dimension alone.
        loud = loudness(float(np.abs(taste[1]).sum()))[: len(factors.start)]
        places = self.films.indexes_of(taste[0])
        places, weights = places[places >= 0], taste[1][places >= 0]
        placed = factors.known[places]
        places, weights = places[placed], weights[placed]
        return _Person(places, weights, loud, factors.start + (weights @ factors.p[places]) * loud)

    def _recommend(self, person: "_Person", allowed: Bools, request: Request) -> Answer:
        factors = self.space.factors
        if factors.known.any():
            answer = self._ranked(factors.q @ person.vector, allowed & factors.known, request, person)
        else:
            answer = self._popular(allowed, request)
        if not (person.weights > 0).any():
            answer = replace(answer, source="popular", cold_start=True)
        if request.explain:
            self._explain_by_taste(person, answer.rows)
        return answer

    def _worded(self, person: "_Person", meaning: Floats, allowed: Bools, request: Request) -> Answer:
        """As `worded_statement`, in numpy."""
        nearness = self.space.units @ meaning
        meant = self._best(nearness, allowed & self.space.embedded, LIST_END)
        taste = (self.space.factors.q @ person.vector)[meant]
        taste = np.where(self.space.factors.known[meant], taste, -np.inf)
        by_taste = np.empty(len(meant))
        by_taste[np.lexsort((self.films.ids[meant], -taste))] = np.arange(1, len(meant) + 1)
        scores = np.zeros(len(self.films), dtype=np.float32)
        scores[meant] = 2.0 / (60 + np.arange(1, len(meant) + 1))
        if (person.weights > 0).any():
            scores[meant] += 1.0 / (60 + by_taste)
        return replace(self._ranked(scores, scores > 0, request), model_version=self.space.made_by)

    def _ranked(self, scores: Floats, allowed: Bools, request: Request, person: "_Person | None" = None) -> Answer:
        window = request.window
        candidates = self._best(scores, allowed, window.offset + window.limit)[window.offset :]
        return self._answer(candidates, scores[candidates], self.source, allowed, request, person)

    def _best(self, scores: Floats, allowed: Bools, count: int) -> Indexes:
        """The indexes of the highest scores; equal ones by id."""
        among = np.flatnonzero(allowed)
        if len(among) > count:
            least = np.partition(scores[among], len(among) - count)[len(among) - count]
            among = among[scores[among] >= least]
        return among[np.lexsort((among, -scores[among]))][:count]

    def _popular(self, allowed: Bools, request: Request) -> Answer:
        window = request.window
        candidates = self._by_quality(allowed)[window.offset : window.offset + window.limit]
        scores = (self.films.columns["quality"][candidates] / QUALITY_SCALE).astype(np.float32)
        answer = self._answer(candidates, scores, "popular", allowed, request)
        return replace(answer, model_version=self.space.made_by)

    def _by_quality(self, allowed: Bools) -> Indexes:
        ordered: Indexes = self.films.by_quality[allowed[self.films.by_quality]]
        return ordered

    def _answer(
        self,
        candidates: Indexes,
        scores: Floats,
        source: Source,
        allowed: Bools,
        request: Request,
        person: "_Person | None" = None,
    ) -> Answer:
        """The page asked for, of the candidates of its window and their scores."""
        order: Sequence[int] = range(len(candidates))
        if request.diversity_boost:
            calibration = self._calibration(person, candidates) if person else None
            order = page_order(scores, self.space.units[candidates], request, calibration)
        return Answer(
            rows=[self.films.summary(int(candidates[i])) | {"score": float(scores[i])} for i in order],
            source=source,
            model_version=self.version,
            cold_start=source == "popular",
            total_results=None if request.filters.narrows else min(int(allowed.sum()), LIST_END),
        )

    def _calibration(self, person: "_Person", candidates: Indexes) -> Calibration | None:
        """As `Taste.profile_statement` with genres, in numpy."""
        liked = person.weights > 0
        if liked.sum() < LONG_HISTORY:
            return None
        taste = person.weights[liked] @ self.space.factors.genres[person.places[liked]]
        return Calibration.of(taste, genre_shares(self.films.genres(int(i)) for i in candidates))

    def _explain_by_taste(self, person: "_Person", rows: Rows) -> None:
        """As `PgvectorRecommender` does, from arrays."""
        factors = self.space.factors
        places = {row["id"]: self._get(row["id"]) for row in rows}
        scores = {row["id"]: row["score"] for row in rows if factors.known[places[row["id"]]]}
        terms = Terms(
            start=factors.start,
            ids=self.films.ids[person.places],
            gains=person.weights[:, None].astype(np.float64) * factors.p[person.places] * person.loud,
        )
        q = factors.q[[places[film] for film in scores]]
        made_of = dict(zip(scores, terms.contributions(list(scores.values()), q), strict=True))
        explain_by_taste(rows, made_of, self._facts)

    def _facts(self, film: int) -> dict[str, Any]:
        # Not by `_get`: it may be a film that stands in no list.
        (place,) = self.films.indexes_of(np.array([film]))
        return self.films.details(int(place)) | {"hidden": self.films.columns["hidden"][place]}

    def _get(self, ref: MovieRef) -> int:
        index = self.films.find(ref)
        message = f"There is no film {ref} in the catalogue."
        if index is None:
            raise MovieNotFoundError(message, field="movie_id")
        about = self.films.columns[index]
        if about["hidden"] or (about["adult"] and not self.include_adult):
            raise MovieNotShownError(message, field="movie_id")
        return index

    def _lets(self, filters: Filters, film: int) -> bool:
        return bool(self.films.allowed(filters, include_adult=self.include_adult)[film])

    def _acts(self, user_id: str) -> Acts:
        return self.people.acts(user_id) if self.people is not None else np.empty(0, dtype=ACT)

    def _allowed(self, filters: Filters, acts: Acts | None, *, not_counting: tuple[str, ...]) -> Bools:
        allowed = self.films.allowed(filters, include_adult=self.include_adult)
        if acts is not None:
            done = self.films.indexes_of(films_done(acts, not_counting=not_counting))
            allowed[done[done >= 0]] = False
        return allowed
