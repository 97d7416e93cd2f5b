"""How the service is."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.orm import Session

from backend.api.deps import AskDatabase, CurrentWords, ReadSession, Recommender
from backend.api.problems import DOCUMENTED
from backend.api.render import JSONBytes
from backend.api.schemas import Live, Ready, Stats
from backend.catalog.filters import NO_FILTERS
from backend.errors import SetupError
from backend.feedback.store import counts
from backend.ml.taste_store import find_active
from backend.ml.vector_index import status
from backend.operations.jobs import last_runs

router = APIRouter(tags=["operations"])
health = APIRouter(tags=["operations"], prefix="/health")


@router.get(
    "/stats",
    response_model=Stats,
    dependencies=[AskDatabase],
    summary="The catalogue, its coverage, the people, the index, the jobs",
)
def stats(recommender: Recommender, session: ReadSession) -> Response:
    feedback = counts(session)
    people = {
        "interactions": feedback.interactions,
        "people": feedback.people,
        "pending_interactions": feedback.pending,
    }
    return JSONBytes(
        recommender.database.get_stats()
        | people
        | {"index": status(session), "taste_version": find_active(session)}
        | {"jobs": _last_outcomes(session), "layer": recommender.layer}
    )


def _last_outcomes(session: Session) -> dict[str, dict[str, Any]]:
    return {
        run.job: {"outcome": run.outcome, "started_at": run.started_at, "ended_at": run.ended_at}
        for run in last_runs(session)
        if run.id is not None
    }


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
def metrics() -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@health.get("/live", summary="The process answers")
def live() -> Live:
    return Live(status="ok")


@health.get("/ready", responses={503: DOCUMENTED[503]}, summary="The service can answer questions")
def ready(recommender: Recommender, words: CurrentWords) -> Ready:
    _, films = recommender.browse(NO_FILTERS, limit=1, offset=0)
    if not films:
        raise SetupError("The catalogue is empty: run python movie_pipeline.py")
    return Ready(status="ok", encoder="loaded" if words.loaded else "loading", layer=recommender.layer)
