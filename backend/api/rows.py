"""A whole home screen in one call."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from backend.api.deps import CurrentIds, PersonPath, Recommender
from backend.api.inputs import RowsQuery
from backend.api.parameters import DocumentedRoute, FromQuery
from backend.api.render import JSONBytes, movie_row
from backend.api.schemas import HomeRows
from backend.ml.rows import Row
from backend.telemetry import ANSWERS

router = APIRouter(tags=["recommendations"], route_class=DocumentedRoute)


@router.get(
    "/rows/{user_id}", response_model=HomeRows, summary="A home screen: rows of films by subject, no film twice"
)
def rows(
    user_id: PersonPath,
    query: Annotated[RowsQuery, Depends(FromQuery(RowsQuery))],
    recommender: Recommender,
    ids: CurrentIds,
) -> Response:
    now = dt.datetime.now(dt.UTC)
    screen, degraded = recommender.home_screen(user_id, query.request(), year=now.year)
    films = [film["id"] for row in screen.rows for film in row.films]
    ANSWERS.labels("rows", screen.source).inc()
    told = {
        "source": screen.source,
        "degraded": degraded,
        "cold_start": screen.cold_start,
        "recommendation_id": ids.issue("rows", screen.model_version, films),
        "model_version": screen.model_version,
        "generated_at": now,
    }
    return JSONBytes({"rows": [_shown(row) for row in screen.rows]} | told)


def _shown(row: Row) -> dict[str, Any]:
    told = {"key": row.key, "title": row.title, "reason": row.reason, "seed": row.seed}
    return told | {"results": [movie_row(film) for film in row.films]}
