"""Recall: of the ten rows that a list should have, how many the statement that is served finds.

Lists are asked for as they are served, and once more compared with everything. What is asked for is drawn from the
catalogue and the people who are here, each time the same while these are: what changes from night to night is then
the index, not the sample.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from backend.catalog.filters import NO_FILTERS, Filters
from backend.config import Settings
from backend.ml.answer import By, Rows, Window
from backend.ml.index_build import set_here
from backend.ml.list_statements import Scope
from backend.ml.pgvector_statements import for_person, similar_to
from backend.ml.prepared_statements import run_prepared

Shares = NDArray[np.float64]
Answers = Literal["similar_by_embedding", "similar", "recommendations"]
Sampled = Literal["uniformly", "by_traffic"]

NEIGHBOURS = 10
TIE = 1e-6
"""Scores this close count as equal: of two films with the same text either is right."""
QUERIES: dict[Answers, int] = {"similar_by_embedding": 200, "similar": 40, "recommendations": 30}
"""How many lists of each kind are compared, drawn in each way: half a minute's work at 100,000 films."""
FILTERED_QUERIES = 20
SHARES = (0.1, 0.01)
"""What filters let through: of all genres, and of all decades of genres, the one whose share is nearest."""


class Recall(NamedTuple):
    """Recall as measured on a sample."""

    mean: float
    error: float
    """The standard error of the mean."""

    @classmethod
    def of(cls, shares: Shares) -> "Recall":
        """By the share found of each list; of no list at all nothing is missed."""
        return (
            cls(float(shares.mean()), float(shares.std() / math.sqrt(len(shares)))) if len(shares) else cls(1, 0)
        )

    @property
    def surely(self) -> float:
        """What it is at least, with 97.5 % confidence: a lucky sample must not pass for a good index."""
        return self.mean - 1.96 * self.error


@dataclass(frozen=True, kw_only=True)
class Series:
    """Lists of one kind."""

    answers: Answers
    sampled: Sampled
    scope: Scope
    subjects: tuple[Any, ...]
    """Films by id, or people by external id."""

    @property
    def is_tuned(self) -> bool:
        """Whether the index over embeddings alone decides what it finds."""
        return self.answers == "similar_by_embedding" and not self.scope.filters.narrows

    def rows(self, session: Session, subject: Any, window: Window) -> Rows:
        """A list, by the statement that is served."""
        if self.answers == "recommendations":
            return run_prepared(session, for_person, (subject,), self.scope, window)
        by: By = "best" if self.answers == "similar" else "embedding"
        return run_prepared(session, similar_to, (subject, None), self.scope, by, window)


class Wanted(NamedTuple):
    """What a list should hold."""

    ids: frozenset[int]
    score: float
    """Of its last row."""


class Comparison:
    """A series and, by comparing with everything, what its lists should hold."""

    def __init__(self, session: Session, series: Series) -> None:
        self.series = series
        self._session = session
        exact = Window(offset=0, limit=NEIGHBOURS, exact=True)
        lists = ((subject, series.rows(session, subject, exact)) for subject in series.subjects)
        self._wanted = {
            subject: Wanted(frozenset(row["id"] for row in rows), min(row["score"] for row in rows))
            for subject, rows in lists
            if rows
        }

    def shares(self) -> Shares:
        """What share of each list is found now."""
        # While the catalogue is small the planner would pass the index by, and the recall be that of no index.
        set_here(self._session, "enable_sort", "off" if self.series.is_tuned else "on")
        shares = [self._share(subject, wanted) for subject, wanted in self._wanted.items()]
        set_here(self._session, "enable_sort", "on")
        return np.array(shares)

    def told(self, shares: Shares) -> dict[str, Any]:
        """One line of what is noted down."""
        return {
            "answers": self.series.answers,
            "sampled": self.series.sampled,
            "filters": as_parameters(self.series.scope.filters),
            "queries": len(shares),
            "recall_at_10": round(Recall.of(shares).mean, 4),
        }

    def _share(self, subject: Any, wanted: Wanted) -> float:
        found = self.series.rows(self._session, subject, Window(offset=0, limit=NEIGHBOURS))
        hits = sum(row["id"] in wanted.ids or row["score"] >= wanted.score - TIE for row in found)
        return float(hits / len(wanted.ids))


def draw(session: Session, settings: Settings) -> Iterator[Series]:
    """What recall is measured on: without filters by each way of drawing, under filters uniformly."""
    scope = Scope(model=settings.embedding_model, include_adult=settings.include_adult)
    narrow = list(_filters(session, scope))
    ways: tuple[Sampled, ...] = ("uniformly", "by_traffic")
    for answers, queries in QUERIES.items():
        for sampled in ways:
            subjects = _subjects(session, scope, answers, sampled)[:queries]
            if not subjects:
                continue
            series = Series(answers=answers, sampled=sampled, scope=scope, subjects=subjects)
            yield series
            if sampled == "uniformly":
                few = replace(series, subjects=subjects[:FILTERED_QUERIES])
                yield from (replace(few, scope=replace(scope, filters=filters)) for filters in narrow)


def _subjects(session: Session, scope: Scope, answers: Answers, sampled: Sampled) -> tuple[Any, ...]:
    drawn = _PEOPLE if answers == "recommendations" else _FILMS
    given: dict[str, Any] = {"by_traffic": sampled == "by_traffic", "limit": max(QUERIES.values())}
    if drawn is _FILMS:
        given |= {"model": scope.model, "adult": scope.include_adult}
    return tuple(session.scalars(drawn, given))


def _filters(session: Session, scope: Scope) -> Iterator[Filters]:
    """By genre alone, and by genre and decade."""
    rows = session.execute(_SHARES, {"adult": scope.include_adult}).all()
    by_what = ([row for row in rows if row.whole], [row for row in rows if not row.whole])
    for share, groups in zip(SHARES, by_what, strict=True):
        if groups:
            nearest = min(groups, key=lambda row: (abs(math.log(row.share / share)), row.genre, row.decade))
            filters = Filters(genre=(nearest.genre,))
            years = {} if nearest.whole else {"year_min": nearest.decade, "year_max": nearest.decade + 9}
            yield replace(filters, **years)


def as_parameters(filters: Filters) -> str | None:
    """Filters as a client asks for them; None where there are none."""
    if filters == NO_FILTERS:
        return None
    given = {name: getattr(one, name) for name, one in filters.one_by_one()}
    return urlencode(given, doseq=True)


# Drawn without replacement, each in proportion to its weight (Efraimidis and Spirakis 2006), by hashes of the ids.
_KEY = "-ln((('x' || substr(md5({id}), 1, 8))::bit(32)::bigint + 1) / 4294967297.0) / {weight}"

# Traffic is what people did with films; where nobody did anything, how many voted for them.
_FILMS = text(f"""
    WITH traffic AS (SELECT movie_id, count(*) AS weight FROM interactions GROUP BY movie_id),
    weighted AS (
        SELECT m.id, CASE WHEN NOT :by_traffic THEN 1
                          WHEN EXISTS (SELECT FROM traffic) THEN t.weight
                          ELSE m.vote_count END AS weight
        FROM movies m LEFT JOIN traffic t ON t.movie_id = m.id
        WHERE m.embedding_model = :model AND NOT m.hidden AND (:adult OR NOT m.adult)
    )
    SELECT id FROM weighted WHERE weight > 0
    ORDER BY {_KEY.format(id="id::text", weight="weight")}, id LIMIT :limit
""")  # noqa: S608 - both are constants

_PEOPLE = text(f"""
    WITH weighted AS (
        SELECT u.external_id AS id, CASE WHEN :by_traffic THEN count(*) ELSE 1 END AS weight
        FROM users u JOIN interactions i ON i.user_id = u.id GROUP BY u.id
    )
    SELECT id FROM weighted ORDER BY {_KEY.format(id="id", weight="weight")}, id LIMIT :limit
""")  # noqa: S608 - the same

_SHARES = text("""
    WITH shown AS (SELECT genres, release_year FROM movies WHERE NOT hidden AND (:adult OR NOT adult)),
    tagged AS (
        SELECT unnest(genres) AS genre, release_year / 10 * 10 AS decade FROM shown
    )
    SELECT genre, coalesce(decade, 0) AS decade, grouping(decade) = 1 AS whole,
        count(*)::float8 / (SELECT count(*) FROM shown) AS share
    FROM tagged WHERE decade IS NOT NULL
    GROUP BY GROUPING SETS ((genre), (genre, decade))
""")
