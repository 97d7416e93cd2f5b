"""What layer 1 computes in SQL, computed from arrays: films by nearness, people folded in, filters, exclusions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backend.catalog.filters import Filters, MovieRef
from backend.errors import MovieNotFoundError
from backend.feedback.weights import interaction_weight
from backend.ml.answer import (
    BECAUSE,
    LIST_END,
    NOT_A_VERDICT,
    NOT_SEEN,
    QUALITY_SCALE,
    Answer,
    Request,
    Rows,
    Source,
)
from backend.ml.diversity import page_order
from backend.ml.explain import shared_facts
from backend.ml.film_table import Bools, FilmTable, Indexes
from backend.ml.fold_in import Opinions, films_done, opinions
from backend.ml.people_store import ACT, Acts, PeopleFile

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where films lie."""

    items: Floats
    """Shape (films, dimensions); a row of zeros says nothing. A person is the weighted sum of such rows, and
    films are ranked by their dot product with a person, or with one film."""
    units: Floats
    """The same rows, each of length 1 or 0: their dot products are cosines, which diversity goes by."""
    known: Bools
    """Which films have a place."""


class ArrayRecommender:
    """Similar films and recommendations from files, without the database."""

    source: ClassVar[Source]
    lists_unknown: ClassVar[bool] = False
    """Whether lists also hold films without a place, as neither near nor far."""
    understands_words: ClassVar[bool] = False
    """Whether the embedding of words lies in the same space."""

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
        self.include_adult = include_adult

    def similar(self, ref: MovieRef, request: Request, *, user_id: str | None = None) -> Answer:
        """Films near one film; with `user_id`, none that this person has seen or rejected."""
        seed = self._get(ref)
        acts = self._acts(user_id) if user_id is not None else None
        allowed = self._allowed(request.filters, acts, not_counting=NOT_SEEN)
        allowed[seed] = False
        if self.space.known[seed]:
            nearness = self.space.items @ self.space.units[seed]
            answer = self._ranked(nearness, self._listed(allowed), request)
        else:
            answer = self._popular(allowed & self.films.kindred(seed), request)
        if request.explain:
            facts = self.films.details(seed)
            for row in answer.rows:
                row["why"] = shared_facts(facts, self.films.details(self._get(row["id"])))
        return replace(answer, cold_start=False)

    def recommend(self, user_id: str, request: Request) -> Answer:
        """What a person may like: by what they did, or popular films where that says nothing."""
        acts = self._acts(user_id)
        allowed = self._allowed(request.filters, acts, not_counting=NOT_A_VERDICT)
        return self._recommend(opinions(acts), allowed, request)

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
        return self._recommend(taste, allowed, request, words=meaning), unknown

    def detail(self, ref: MovieRef) -> dict[str, Any]:
        """All that is known of one film. Raises MovieNotFoundError."""
        return self.films.details(self._get(ref))

    def browse(self, filters: Filters, *, limit: int, offset: int) -> tuple[Rows, int]:
        """Films, the popular and good first, and how many there are in all."""
        matching = self._by_quality(self._allowed(filters, None, not_counting=()))
        return [self.films.summary(int(i)) for i in matching[offset : offset + limit]], len(matching)

    def _recommend(
        self, taste: Opinions, allowed: Bools, request: Request, *, words: Floats | None = None
    ) -> Answer:
        places, weights = self._placed(taste)
        person = self._person(places, weights, words if self.understands_words else None)
        # What cancels out exactly says nothing, and has no angle to anything.
        length = 0.0 if person is None else float(np.linalg.norm(person))
        if person is None or not length:
            answer = self._popular(allowed, request)
        else:
            answer = self._ranked(self.space.items @ (person / np.float32(length)), self._listed(allowed), request)
        if request.explain:
            for row in answer.rows:
                because = self._because(row["id"], places, weights, length=length) if length else None
                row["why"] = [{"kind": "popular"}] if because is None else because
        return answer

    def _placed(self, taste: Opinions) -> tuple[Indexes, Floats]:
        """Those of a person's films that have a place, by index, and their weights."""
        places = self.films.indexes_of(taste[0])
        places, weights = places[places >= 0], taste[1][places >= 0]
        has_place = self.space.known[places]
        return places[has_place], weights[has_place]

    def _person(self, places: Indexes, weights: Floats, words: Floats | None) -> Floats | None:
        """The sum of weight * item, shape (dimensions,); None where there is nothing positive to go by."""
        total: Floats = weights @ self.space.items[places]
        if words is not None:
            total = total + words
        elif not (weights > 0).any():
            return None
        return total

    def _listed(self, allowed: Bools) -> Bools:
        """Of the films that are allowed, those that can be ranked."""
        return allowed if self.lists_unknown else allowed & self.space.known

    def _ranked(self, scores: Floats, allowed: Bools, request: Request) -> Answer:
        window = request.window
        candidates = self._best(scores, allowed, window.offset + window.limit)[window.offset :]
        return self._answer(candidates, scores[candidates], self.source, allowed, request)

    def _best(self, scores: Floats, allowed: Bools, count: int) -> Indexes:
        """The indexes of the highest scores; equal ones by id, or the popular first where all films are listed."""
        among = np.flatnonzero(allowed)
        if len(among) > count:
            least = np.partition(scores[among], len(among) - count)[len(among) - count]
            among = among[scores[among] >= least]
        ties = -self.films.columns["quality"][among] if self.lists_unknown else np.zeros(len(among))
        return among[np.lexsort((among, ties, -scores[among]))][:count]

    def _popular(self, allowed: Bools, request: Request) -> Answer:
        window = request.window
        candidates = self._by_quality(allowed)[window.offset : window.offset + window.limit]
        scores = (self.films.columns["quality"][candidates] / QUALITY_SCALE).astype(np.float32)
        return self._answer(candidates, scores, "popular", allowed, request)

    def _by_quality(self, allowed: Bools) -> Indexes:
        ordered: Indexes = self.films.by_quality[allowed[self.films.by_quality]]
        return ordered

    def _answer(
        self, candidates: Indexes, scores: Floats, source: Source, allowed: Bools, request: Request
    ) -> Answer:
        """The page asked for, of the candidates of its window and their scores."""
        order: Sequence[int] = range(len(candidates))
        if request.diversity_boost:
            order = page_order(scores, self.space.units[candidates], request)
        return Answer(
            rows=[self.films.summary(int(candidates[i])) | {"score": float(scores[i])} for i in order],
            source=source,
            model_version=self.version,
            cold_start=source == "popular",
            total_results=None if request.filters.narrows else min(int(allowed.sum()), LIST_END),
        )

    def _because(self, movie_id: int, places: Indexes, weights: Floats, *, length: float) -> Rows:
        """The liked films that brought one here, with their shares of its score: see `contributions_statement`."""
        shares = weights * (self.space.items[places] @ self.space.items[self._get(movie_id)]) / length
        order = np.lexsort((self.films.ids[places], -shares))[:BECAUSE]
        return [
            {
                "kind": "liked",
                "id": int(self.films.ids[places[i]]),
                "title": self.films.details(int(places[i]))["title"],
                "share": round(float(shares[i]), 4),
            }
            for i in order
            if shares[i] > 0
        ]

    def _get(self, ref: MovieRef) -> int:
        index = self.films.find(ref)
        if index is None or (self.films.columns["adult"][index] and not self.include_adult):
            raise MovieNotFoundError(f"There is no film {ref} in the catalogue.", field="movie_id")
        return index

    def _acts(self, user_id: str) -> Acts:
        return self.people.acts(user_id) if self.people is not None else np.empty(0, dtype=ACT)

    def _allowed(self, filters: Filters, acts: Acts | None, *, not_counting: tuple[str, ...]) -> Bools:
        allowed = self.films.allowed(filters, include_adult=self.include_adult)
        if acts is not None:
            done = self.films.indexes_of(films_done(acts, not_counting=not_counting))
            allowed[done[done >= 0]] = False
        return allowed
