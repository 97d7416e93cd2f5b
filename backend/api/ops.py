"""How the service is."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.orm import Session

from backend.api.deps import AskDatabase, CurrentWords, ReadSession, Recommender
from backend.api.problems import DOCUMENTED
from backend.api.render import JSONBytes
from backend.api.schemas import Live, Ready, Stats
from backend.catalog.filters import NO_FILTERS
from backend.catalog.progress import PROGRESS
from backend.catalog.queue_store import find_position
from backend.database import time_budget
from backend.errors import SetupError
from backend.feedback.store import counts
from backend.ml.recommender import FAILURES, Layers
from backend.ml.taste_store import find_active
from backend.ml.vector_index import status
from backend.operations.jobs import last_runs
from backend.telemetry import show_ingest

router = APIRouter(tags=["operations"])
health = APIRouter(tags=["operations"], prefix="/health")


@router.get(
    "/stats",
    response_model=Stats,
    dependencies=[AskDatabase],
    summary="The catalogue, its coverage, the people, the index, the jobs, how far a fetch from TMDB is",
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
        | {"jobs": _last_outcomes(session), "ingest": find_position(session, PROGRESS)}
        | {"layer": recommender.layer}
    )


def _last_outcomes(session: Session) -> dict[str, dict[str, Any]]:
    return {
        run.job: {"outcome": run.outcome, "started_at": run.started_at, "ended_at": run.ended_at}
        for run in last_runs(session)
        if run.id is not None
    }


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
def metrics(request: Request, session: ReadSession) -> Response:
    show_ingest(_find_progress(request.app.state.layers, session))
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _find_progress(layers: Layers, session: Session) -> dict[str, Any] | None:
    """How far a fetch is, where it can be asked; one who only looks at how things are leaves the breaker alone."""
    if layers.breaker.is_open:
        return None
    try:
        with time_budget(layers.config.budget):
            return find_position(session, PROGRESS)
    except FAILURES:
        return None


@health.get("/live", summary="The process answers")
def live() -> Live:
    return Live(status="ok")


@health.get("/ready", responses={503: DOCUMENTED[503]}, summary="The service can answer questions")
def ready(recommender: Recommender, words: CurrentWords) -> Ready:
    _, films = recommender.browse(NO_FILTERS, limit=1, offset=0)
    if not films:
        raise SetupError("The catalogue is empty: run python movie_pipeline.py")
    return Ready(status="ok", encoder="loaded" if words.loaded else "loading", layer=recommender.layer)
