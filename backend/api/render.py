"""Rows to JSON in TMDB's shape: written once, as bytes."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from fastapi import Response
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import RowMapping

from backend.catalog.records import GENRE_IDS
from backend.errors import InvalidInputError
from backend.ml.answer import LIST_END, Answer, Request
from backend.telemetry import ANSWERS

INTERNAL = {"source", "version", "total", "vector", "actors"}


class JSONBytes(Response):
    """JSON that needs no second look."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it out."""
        return orjson.dumps(content)


class RecommendationIds:
    """Signed tokens that tie an interaction to the list it was chosen from; nothing is stored."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeSerializer(secret, salt="recommendation")

    def issue(self, kind: str, model_version: str, ids: Sequence[int]) -> str:
        """The token of a list: equal lists share it."""
        digest = hashlib.sha256(orjson.dumps(list(ids))).hexdigest()[:16]
        return str(self._serializer.dumps([kind, model_version, digest]))

    def check(self, token: str) -> None:
        """Raise InvalidInputError unless it was issued here."""
        try:
            self._serializer.loads(token)
        except BadSignature:
            raise InvalidInputError(
                "recommendation_id: this was not issued here", field="recommendation_id"
            ) from None


def movie_row(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    """A film as it goes out."""
    shown = {key: value for key, value in row.items() if key not in INTERNAL}
    genres = [{"id": GENRE_IDS.get(name), "name": name} for name in row["genres"]]
    shown["genres"] = genres
    shown["genre_ids"] = [genre["id"] for genre in genres if genre["id"] is not None]
    if "actors" in row:
        shown["cast"] = row["actors"]
    return shown


def ranked_list(kind: str, answer: Answer, request: Request, *, ids: RecommendationIds, **more: Any) -> JSONBytes:
    """A ranked list as it goes out, counted by the layer that answered."""
    ANSWERS.labels(kind, answer.source).inc()
    total = None if answer.total_results is None else min(answer.total_results, LIST_END)
    return JSONBytes(
        {
            "results": [movie_row(row) for row in answer.rows],
            "page": request.page,
            "total_results": total,
            "total_pages": None if total is None else pages(total, request.n),
            "source": answer.source,
            "degraded": answer.degraded,
            "cold_start": answer.cold_start,
            "recommendation_id": ids.issue(kind, answer.model_version, [row["id"] for row in answer.rows]),
            "model_version": answer.model_version,
            "generated_at": dt.datetime.now(dt.UTC),
        }
        | more
    )


def pages(total: int, n: int) -> int:
    """How many pages of n rows."""
    return -(-total // n)
