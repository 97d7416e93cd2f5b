"""Rows to JSON in TMDB's shape: written once, as bytes."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import orjson
from fastapi import Response
from itsdangerous import BadSignature, URLSafeSerializer
from prometheus_client import Counter
from sqlalchemy import RowMapping
from starlette.types import Receive, Scope, Send

from backend.catalog.records import GENRE_IDS
from backend.errors import InvalidInputError
from backend.ml.answer import LIST_END, Answer, Request
from backend.telemetry import ANSWERS

INTERNAL = {"source", "version", "total", "vector", "actors"}
HERE = b"\0"
"""No JSON has such a byte."""
OF_THE_LIST = ("score", "score_parts", "why")
"""What a row tells that is not the film's alone."""


class JSONBytes(Response):
    """JSON that needs no second look."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it out."""
        return orjson.dumps(content)


class RankedJSON(Response):
    """A ranked list, counted when it is sent."""

    media_type = "application/json"

    def __init__(self, films: tuple[bytes, ...], around: bytes, *, counter: Counter) -> None:
        """`films` is what it says of each of them; `around` has a HERE where each of these belongs."""
        pieces = around.split(HERE)
        super().__init__(b"".join(chain.from_iterable(zip(pieces, films, strict=False))) + pieces[-1])
        self.films = films
        self.around = around
        self.counter = counter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        self.counter.inc()
        await super().__call__(scope, receive, send)


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


def ranked_list(kind: str, answer: Answer, request: Request, *, ids: RecommendationIds, **more: Any) -> RankedJSON:
    """A ranked list as it goes out, counted by the layer that answered."""
    total = None if answer.total_results is None else min(answer.total_results, LIST_END)
    about = {
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
    films = [movie_row(row) for row in answer.rows]
    own = [orjson.dumps({key: film.pop(key) for key in OF_THE_LIST if key in film}) for film in films]
    listed = b",".join(HERE + b"," + of_the_list[1:] for of_the_list in own)
    around = b'{"results":[' + listed + b"]," + orjson.dumps(about | more)[1:]
    written = tuple(orjson.dumps(film)[:-1] for film in films)
    return RankedJSON(written, around, counter=ANSWERS.labels(kind, answer.source))


def pages(total: int, n: int) -> int:
    """How many pages of n rows."""
    return -(-total // n)
