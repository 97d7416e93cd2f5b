"""Layer 1: Postgres answers."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from backend.catalog.filters import Filters, MovieRef
from backend.catalog.store import browse, coverage, find_refs, get_detail
from backend.config import PACKAGED_MODEL, Settings, get_settings
from backend.errors import MovieNotFoundError
from backend.feedback.weights import interaction_weight
from backend.ml.answer import NOT_SEEN, Answer, Request, Rows, Source, Verdict, Window
from backend.ml.diversity import Calibration, page_order
from backend.ml.explain import Contributions, Terms, explain_by_taste, shared_facts, with_words_as_reason
from backend.ml.item_factors import genre_shares, loudness
from backend.ml.list_statements import Scope
from backend.ml.pgvector_statements import for_person, recommendation_statement, similar_to
from backend.ml.prepared_statements import run_prepared
from backend.ml.search_statements import facts_statement, search_statement, worded_statement
from backend.ml.taste_statements import Taste, Vector384, likes_of
from backend.ml.taste_store import received, stacked
from backend.ml.verdict_statements import FAILS, verdict_statement
from backend.models import EMBEDDING_DIMENSION, Movie

Find = Callable[[Window], Rows]
"""What runs the statement of a list for some of its rows."""

NO_VECTOR = memoryview(bytes(4 + 4 * EMBEDDING_DIMENSION))
"""Zeros, as the server would send them."""

DECADE = re.compile(r"\b(19|20)?([0-9]0)'?s\b", re.IGNORECASE)


@dataclass(frozen=True)
class PgvectorConfig:
    """What the layer goes by."""

    model: str = PACKAGED_MODEL
    """Only vectors of this model are compared."""
    include_adult: bool = False
    """Whether films flagged as adult stand in answers."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "PgvectorConfig":
        """The operator's choice."""
        return cls(model=settings.embedding_model, include_adult=settings.include_adult)


class PgvectorRecommender:
    """Similar films, recommendations and search, one statement an answer."""

    def __init__(self, db: Session, config: PgvectorConfig | None = None) -> None:
        self.db = db
        self.config = config or PgvectorConfig.from_settings(get_settings())

    def get_similar_movies(
        self, movie_id: MovieRef, n_similar: int = 10, *, diversity_boost: float = 0.0
    ) -> list[tuple[Movie, float]]:
        """Films by cosine similarity, as [(Movie, similarity)]. Raises MovieNotFoundError."""
        request = Request(n=n_similar, diversity_boost=diversity_boost, by="embedding")
        return self._movies(self.similar(movie_id, request).rows)

    def get_recommendations(
        self, user_id: str | int, n_recommendations: int = 10, diversity_boost: float = 0.2
    ) -> list[tuple[Movie, float]]:
        """What a person may like, as [(Movie, score)]; an unknown person gets popular films."""
        request = Request(n=n_recommendations, diversity_boost=diversity_boost)
        return self._movies(self.recommend(str(user_id), request).rows)

    def get_stats(self) -> dict[str, Any]:
        """How much of the catalogue can be compared."""
        counts = coverage(self.db, model=self.config.model)
        return {
            "total_movies": counts.total_movies,
            "with_embeddings": counts.with_embeddings,
            "pending_embeddings": counts.pending,
            "coverage_percentage": counts.percentage,
            "embedding_model": self.config.model,
        }

    def similar(
        self,
        ref: MovieRef,
        request: Request,
        *,
        user_id: str | None = None,
        not_counting: tuple[str, ...] = NOT_SEEN,
    ) -> Answer:
        """Films like one film; with `user_id`, none of which an act of this person counts."""
        scope = self._scope(request, not_counting=not_counting)
        find = partial(run_prepared, self.db, similar_to, (ref, user_id), scope)
        answer = self._answer(partial(find, request.by), request)
        if answer.source == "popular" and request.by == "best":
            # Nothing is learned of it yet: what it tells by itself is better than what is popular.
            answer = self._answer(partial(find, "embedding"), request)
        if not answer.rows:
            get_detail(self.db, ref, include_adult=self.config.include_adult)
        if request.explain:
            self._explain_by_facts(ref, answer.rows)
        return replace(answer, cold_start=False)

    def recommend(self, user_id: str, request: Request) -> Answer:
        """What a person may like: by what they did, or popular films where that says nothing."""
        answer = self._answer(
            partial(run_prepared, self.db, for_person, (user_id,), self._scope(request)), request
        )
        if request.explain:
            self.explain(user_id, answer.rows)
        return answer

    def likes(self, user_id: str) -> Rows:
        """The films that a person thinks most of."""
        return run_prepared(self.db, likes_of, (user_id,), self.config.include_adult)

    def explain(self, user_id: str, rows: Rows) -> None:
        """Put into each row what its score for a person is made of, and why."""
        self._explain_by_taste(Taste.of_person(user_id), rows)

    def why(self, user_id: str, ref: MovieRef, request: Request) -> Verdict:
        """Why a film is, or is not, among the first `request.n`. Raises MovieNotFoundError."""
        scope, taste = self._scope(request, unless_done_by=user_id), Taste.of_person(user_id)
        statement = verdict_statement(taste, ref, scope, user_id=user_id, n=request.n)
        row = self.db.execute(statement).mappings().first()
        if row is None:
            raise MovieNotFoundError(f"There is no film {ref} in the catalogue.", field="movie_id")
        fails = [name.removeprefix(FAILS) for name, value in row.items() if name.startswith(FAILS) and value]
        explained: Rows = [{"id": row["id"], "score": row["score"]}]
        if row["score"] is not None:
            self._explain_by_taste(taste, explained)
        told = {key: row[key] for key in ("title", "rank", "needed")}
        version = row["version"] or self.config.model
        return Verdict.of(
            acts=row["acts"] or [],
            filters=fails,
            n=request.n,
            source="pgvector",
            model_version=version,
            **told,
            **explained[0],
        )

    def recommend_for(
        self,
        request: Request,
        *,
        liked: Sequence[MovieRef] = (),
        disliked: Sequence[MovieRef] = (),
        meaning: Vector384 | None = None,
    ) -> tuple[Answer, list[MovieRef]]:
        """The same for someone without an account, by films and perhaps the embedding of some words.

        Returns the answer and those of the given films that the catalogue does not know.
        """
        ids = find_refs(self.db, [*liked, *disliked]) if liked or disliked else {}
        weights = {ids[ref]: interaction_weight("dislike", None, 0) for ref in disliked if ref in ids}
        weights |= {ids[ref]: interaction_weight("like", None, 0) for ref in liked if ref in ids}
        scope = self._scope(request, without=tuple(sorted(weights)))
        taste = Taste.of_films(dict(sorted(weights.items())))
        unknown = [ref for ref in (*liked, *disliked) if ref not in ids]
        if meaning is not None:
            answer = self._answer(
                lambda window: self._rows(worded_statement(taste, meaning, scope, window)), request
            )
            return with_words_as_reason(answer, request), unknown
        answer = self._answer(lambda window: self._rows(recommendation_statement(taste, scope, window)), request)
        if request.explain:
            self._explain_by_taste(taste, answer.rows)
        return answer, unknown

    def detail(self, ref: MovieRef) -> dict[str, Any]:
        """All that is known of one film. Raises MovieNotFoundError."""
        return dict(get_detail(self.db, ref, include_adult=self.config.include_adult))

    def browse(self, filters: Filters, *, limit: int, offset: int) -> tuple[Rows, int]:
        """Films, the popular and good first, and how many there are in all."""
        adult = self.config.include_adult
        rows, total = browse(self.db, filters, limit=limit, offset=offset, include_adult=adult)
        return [dict(row) for row in rows], total

    def search(self, query: str, request: Request, *, meaning: Vector384 | None) -> Answer:
        """Films by title and, where the query's embedding is given, by meaning."""
        scope = self._scope(replace(request, filters=_with_decade(query, request.filters)))
        words = re.findall(r"\w+", query)
        prefixes = " & ".join(f"{word}:*" for word in words)
        statement = search_statement(
            prefixes, query.strip(), meaning, scope, limit=request.n, offset=request.start
        )
        rows = [dict(row) for row in self.db.execute(statement).mappings()]
        total = rows[0]["total"] if rows else 0
        return Answer(rows=rows, source="pgvector", model_version=self.config.model, total_results=total)

    def _scope(self, request: Request, **limits: Any) -> Scope:
        return Scope(
            model=self.config.model,
            include_adult=self.config.include_adult,
            filters=request.filters,
            **limits,
        )

    def _answer(self, find: Find, request: Request) -> Answer:
        window = request.window
        rows = find(window)
        by_place = not rows or rows[0]["version"] is not None
        if len(rows) < window.limit and by_place and not request.filters.narrows:
            # The list ends here, or an index that knows nothing of what is left out came up short.
            rows = find(replace(window, exact=True))
        if not rows and window.offset:
            # Past the end: its beginning tells how long the list is, and where it comes from.
            beginning = self._answer(find, replace(request, n=1, page=1, diversity_boost=0.0))
            return replace(beginning, rows=[])
        source: Source = rows[0]["source"] if rows else "pgvector"
        version = rows[0]["version"] if rows else None
        total = rows[0]["total"] if rows else None
        if rows and request.diversity_boost:
            rows = _diversify(rows, request)
        return Answer(
            rows=rows,
            source=source,
            model_version=version or self.config.model,
            cold_start=source == "popular",
            total_results=total,
        )

    def _rows(self, statement: Select[Any]) -> Rows:
        return [dict(row) for row in self.db.execute(statement).mappings()]

    def _explain_by_facts(self, ref: MovieRef, rows: Rows) -> None:
        statement = facts_statement([row["id"] for row in rows], ref)
        facts = [dict(film) for film in self.db.execute(statement).mappings()]
        by_id = {film["id"]: film for film in facts}
        seed = next(film for film in facts if ref in (film["id"], film["imdb_id"]))
        for row in rows:
            row["why"] = shared_facts(seed, by_id[row["id"]])

    def _explain_by_taste(self, taste: Taste, rows: Rows) -> None:
        scores = {row["id"]: row["score"] for row in rows}
        made_of = _made_of(scores, self.db.execute(taste.terms_statement(list(scores))).all())
        statement = facts_statement([*scores, *{film for one in made_of.values() for film in one.liked}])
        facts = {film["id"]: dict(film) for film in self.db.execute(statement).mappings()}
        explain_by_taste(rows, made_of, facts.__getitem__)

    def _movies(self, rows: Rows) -> list[tuple[Movie, float]]:
        ids = [row["id"] for row in rows]
        movies = {movie.id: movie for movie in self.db.scalars(select(Movie).where(Movie.id.in_(ids)))}
        return [(movies[row["id"]], row["score"]) for row in rows]


def _made_of(scores: Mapping[int, float], terms: Sequence[Row[Any]]) -> dict[int, Contributions]:
    """By film, of the rows of `Taste.terms_statement`; empty before the first training."""
    ordered = sorted(terms, key=lambda row: row.movie_id)
    own = [row for row in ordered if row.weight is not None]
    found = [row for row in ordered if row.weight is None]
    if not found:
        return {}
    p, q = (stacked([row.vector for row in part]) for part in (own, found))
    weights = np.array([row.weight for row in own])
    person = Terms(
        start=p[0],
        ids=np.array([row.movie_id for row in own[1:]], dtype=np.int32),
        gains=weights[1:, None] * p[1:] * loudness(weights[0]),
    )
    films = [row.movie_id for row in found]
    return dict(zip(films, person.contributions([scores[film] for film in films], q), strict=True))


def _diversify(rows: Rows, request: Request) -> Rows:
    relevance = np.array([row["score"] for row in rows], dtype=np.float32)
    sent = [row.pop("vector") for row in rows]
    vectors = stacked([NO_VECTOR if one is None else one for one in sent])
    taste = [row.pop("taste", None) for row in rows]
    # Every row says the same.
    genres = (row["genres"] for row in rows)
    calibration = None if taste[0] is None else Calibration.of(received(taste[0]), genre_shares(genres))
    return [rows[i] for i in page_order(relevance, vectors, request, calibration)]


def vector_of(sent: memoryview | None) -> Vector384:
    """An embedding as it comes from the server; zeros for none."""
    return np.zeros(EMBEDDING_DIMENSION, dtype=np.float32) if sent is None else received(sent)


def _with_decade(query: str, filters: Filters) -> Filters:
    """Take "80s" as 1980 to 1989, unless years were asked for."""
    match = DECADE.search(query)
    if match is None or filters.year_min is not None or filters.year_max is not None:
        return filters
    century = match[1] or ("19" if match[2] >= "30" else "20")
    first = int(century + match[2])
    return replace(filters, year_min=first, year_max=first + 9)
