"""How the service is."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy.orm import Session

from backend.api.deps import AskDatabase, CurrentSettings, CurrentWords, ReadSession, Recommender
from backend.api.problems import DOCUMENTED
from backend.api.render import JSONBytes
from backend.api.schemas import IndexHistory, Live, PastMeasurement, Quality, Ready, Stats
from backend.catalog.filters import NO_FILTERS
from backend.catalog.progress import PROGRESS
from backend.catalog.queue_store import find_position
from backend.database import connections_in_use
from backend.errors import QualityNotMeasuredError, SetupError
from backend.feedback.store import counts
from backend.ml import quality_store
from backend.ml.pgvector_recommender import PgvectorRecommender
from backend.ml.recommender import FAILURES, Layers
from backend.ml.taste_store import find_active
from backend.ml.vector_index import history, status
from backend.operations.hours import JOBS
from backend.operations.jobs import last_runs, seconds_since_success
from backend.telemetry import BREAKER_OPEN, show_catalogue, show_ingest, show_jobs, show_pool

router = APIRouter(tags=["operations"])
health = APIRouter(tags=["operations"], prefix="/health")

MEASURED = tuple(PastMeasurement.model_fields)


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


@router.get(
    "/index/history",
    response_model=IndexHistory,
    dependencies=[AskDatabase],
    summary="What the vector index found after each build and every night, the oldest first",
)
def index_history(
    session: ReadSession,
    settings: CurrentSettings,
    n: Annotated[int, Query(ge=1, le=500, description="How many, the newest.")] = 60,
) -> Response:
    measured = reversed(history(session, limit=n))
    results = [{name: getattr(one, name) for name in MEASURED} for one in measured]
    return JSONBytes({"results": results, "target": settings.recall_target})


@router.get(
    "/quality",
    response_model=Quality,
    dependencies=[AskDatabase],
    summary="How good recommendations were found to be in the last training",
)
def quality(session: ReadSession) -> Response:
    measured = quality_store.find(session)
    if measured is None:
        raise QualityNotMeasuredError()
    return JSONBytes(measured)


def _last_outcomes(session: Session) -> dict[str, dict[str, Any]]:
    return {
        run.job: {"outcome": run.outcome, "started_at": run.started_at, "ended_at": run.ended_at}
        for run in last_runs(session)
        if run.id is not None
    }


@router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
def metrics(request: Request, recommender: Recommender, session: ReadSession) -> Response:
    layers: Layers = request.app.state.layers
    BREAKER_OPEN.set(layers.breaker.is_open)
    in_use, limit = connections_in_use()
    show_pool(in_use, limit=limit)
    _show_what_the_database_knows(layers, recommender.database, session)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _show_what_the_database_knows(layers: Layers, database: PgvectorRecommender, session: Session) -> None:
    """Where it can be asked; one who only looks at how things are leaves the breaker alone."""
    progress, recall, coverage = None, None, None
    ages: dict[str, float | None] = dict.fromkeys(JOBS)
    if not layers.database_is_away:
        with suppress(*FAILURES), layers.asking_first():
            progress = find_position(session, PROGRESS)
            ages = seconds_since_success(session)
            recall = status(session)["recall_at_10"]
            coverage = database.get_stats()["coverage_percentage"] / 100
    show_ingest(progress)
    show_jobs(ages)
    show_catalogue(recall=recall, coverage=coverage)


@health.get("/live", summary="The process answers")
def live() -> Live:
    return Live(status="ok")


@health.get("/ready", responses={503: DOCUMENTED[503]}, summary="The service can answer questions, and is warm")
def ready(request: Request, recommender: Recommender, words: CurrentWords) -> Ready:
    _, films = recommender.browse(NO_FILTERS, limit=1, offset=0)
    if not films:
        raise SetupError("The catalogue is empty: run python movie_pipeline.py")
    if words.state == "loading":
        raise SetupError("The embedding model is still being loaded; try again in a few seconds.")
    if not request.app.state.layers.looked:
        raise SetupError("The file cache is still being opened; try again in a few seconds.")
    return Ready(status="ok", encoder=words.state, layer=recommender.layer)
