"""The jobs that look after the service: how they went, and asking for one."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy import Row

from backend.api.access import require_admin
from backend.api.deps import AskDatabase, CurrentSettings, ReadSession
from backend.api.problems import ADMIN_ONLY
from backend.api.render import JSONBytes
from backend.api.schemas import JobList, JobRequested, JobRuns
from backend.database import session_scope
from backend.operations.hours import JOBS, job_hours, next_due
from backend.operations.jobs import last_runs, past_runs, request_job

router = APIRouter(tags=["operations"], dependencies=[Depends(require_admin), AskDatabase], responses=ADMIN_ONLY)

JobName = Annotated[str, Path(description="The job's name.")]
RUN = ("id", "outcome", "due_at", "requested_at", "started_at", "ended_at", "counts", "error")


@router.get("/jobs", response_model=JobList, summary="The jobs, when each is due, and how its last run went")
def jobs(session: ReadSession, settings: CurrentSettings) -> Response:
    runs, hours = last_runs(session), job_hours(settings)
    shown = [_shown(run, hours[run.job]) for run in runs]
    return JSONBytes({"jobs": shown, "scheduler_running": any(run.scheduler_running for run in runs)})


@router.get("/jobs/{name}/runs", response_model=JobRuns, summary="The last runs of a job, the newest first")
def job_runs(
    name: JobName, session: ReadSession, n: Annotated[int, Query(ge=1, le=500, description="How many.")] = 20
) -> Response:
    return JSONBytes({"results": [dict(run._mapping) for run in past_runs(session, name, limit=n)]})


@router.post("/jobs/{name}/run", response_model=JobRequested, summary="Ask for a run; the scheduler begins it")
def run_job(name: JobName) -> Response:
    with session_scope() as session:
        run = request_job(session, name)
    return JSONBytes({"job": name, "run_id": run, "outcome": "queued"})


def _shown(run: Row[Any], hour: int) -> dict[str, Any]:
    return {
        "name": run.job,
        "description": JOBS[run.job],
        "hour": hour,
        "next_at": next_due(hour, dt.datetime.now(dt.UTC)),
        "last": None if run.id is None else {name: getattr(run, name) for name in RUN},
        "queued": run.queued,
    }
