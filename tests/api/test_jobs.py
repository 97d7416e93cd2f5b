"""The jobs over HTTP: what they are, how they went, and asking for one."""

import datetime as dt

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from backend.config import Settings
from backend.operations.jobs import JobRunner, present
from tests.api.answers import assert_problem


@pytest.fixture(autouse=True)
def _no_runs(catalogue_engine: Engine) -> None:
    with catalogue_engine.begin() as connection:
        connection.execute(text("DELETE FROM job_runs"))


def test_every_job_says_what_it_is_for_and_when_it_is_due(client: TestClient) -> None:
    body = client.get("/jobs").json()
    assert [job["name"] for job in body["jobs"]] == ["ingest", "embeddings", "index", "train", "cache"]
    assert [job["hour"] for job in body["jobs"]] == [3, 4, 5, 6, 7]
    now = dt.datetime.now(dt.UTC)
    for job in body["jobs"]:
        due = dt.datetime.fromisoformat(job["next_at"])
        assert due.astimezone().hour == job["hour"]
        assert now < due < now + dt.timedelta(hours=26)
        assert job["description"].endswith(".")
        assert (job["last"], job["queued"]) == (None, False)


def test_asking_for_a_run_puts_it_in_the_queue_once(client: TestClient) -> None:
    first = client.post("/jobs/train/run")
    assert first.status_code == 200
    run = first.json()
    assert (run["job"], run["outcome"]) == ("train", "queued")
    assert client.post("/v1/jobs/train/run").json() == run
    other = client.post("/jobs/cache/run").json()
    assert other["run_id"] != run["run_id"]
    assert {job["name"] for job in client.get("/jobs").json()["jobs"] if job["queued"]} == {"train", "cache"}


def test_a_job_that_does_not_exist_is_not_found(client: TestClient, catalogue_engine: Engine) -> None:
    problem = client.post("/jobs/nonsense/run")
    assert_problem(problem, 404, code="job_not_found")
    assert "there are ingest, embeddings, index, train, cache" in problem.json()["detail"]


def test_how_the_last_run_went_is_told_here_and_in_short_in_the_stats(
    client: TestClient, catalogue_engine: Engine
) -> None:
    def fail(settings: Settings) -> dict[str, int]:
        raise OSError("disk full")

    settings = Settings(_env_file=None)
    JobRunner(catalogue_engine, settings, {"index": lambda settings: {"lists": 3}}).run_now("index")
    JobRunner(catalogue_engine, settings, {"cache": fail}).run_due("cache", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    client.post("/jobs/index/run")
    last = {job["name"]: job["last"] for job in client.get("/jobs").json()["jobs"]}
    assert (last["index"]["outcome"], last["index"]["counts"], last["index"]["error"]) == (
        "succeeded",
        {"lists": 3},
        None,
    )
    assert (last["cache"]["outcome"], last["cache"]["error"]) == ("failed", "OSError: disk full")
    assert last["cache"]["due_at"] == "2026-01-01T00:00:00+00:00"
    assert last["train"] is None
    assert client.get("/stats").json()["jobs"] == {
        job: {name: last[job][name] for name in ("outcome", "started_at", "ended_at")}
        for job in ("index", "cache")
    }


def test_the_runs_of_a_job_are_told_the_newest_first(client: TestClient, catalogue_engine: Engine) -> None:
    def fail(settings: Settings) -> dict[str, int]:
        raise OSError("disk full")

    settings = Settings(_env_file=None)
    runs = JobRunner(catalogue_engine, settings, {"index": lambda settings: {"lists": 3}})
    for _ in range(3):
        runs.run_now("index")
    JobRunner(catalogue_engine, settings, {"index": fail}).run_due("index", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    client.post("/jobs/index/run")
    told = client.get("/jobs/index/runs").json()["results"]
    assert [run["outcome"] for run in told] == ["failed", *["succeeded"] * 3]
    assert [run["error"] for run in told] == ["OSError: disk full", None, None, None]
    assert [run["counts"] for run in told] == [{}, *[{"lists": 3}] * 3]
    starts = [run["started_at"] for run in told]
    assert starts == sorted(starts, reverse=True)
    for run in told:
        times = [dt.datetime.fromisoformat(run[name]) for name in ("started_at", "ended_at")]
        assert run["seconds"] == pytest.approx((times[1] - times[0]).total_seconds(), abs=1e-5)
    assert client.get("/jobs/index/runs", params={"n": 2}).json()["results"] == told[:2]
    assert client.get("/jobs/train/runs").json() == {"results": []}


def test_a_run_that_goes_on_has_no_end_yet(client: TestClient, catalogue_engine: Engine) -> None:
    seen = []

    def look(settings: Settings) -> dict[str, int]:
        seen.extend(client.get("/jobs/cache/runs").json()["results"])
        return {}

    JobRunner(catalogue_engine, Settings(_env_file=None), {"cache": look}).run_now("cache")
    assert [(run["outcome"], run["ended_at"], run["seconds"]) for run in seen] == [("running", None, None)]


def test_the_runs_of_a_job_that_does_not_exist_are_not_found(client: TestClient) -> None:
    assert_problem(client.get("/jobs/nonsense/runs"), 404, code="job_not_found")
    assert_problem(client.get("/jobs/index/runs", params={"n": 0}), 422, field="n")


def test_it_is_told_whether_there_is_a_scheduler(client: TestClient, catalogue_engine: Engine) -> None:
    assert client.get("/jobs").json()["scheduler_running"] is False
    with present(catalogue_engine):
        assert client.get("/jobs").json()["scheduler_running"] is True
    assert client.get("/jobs").json()["scheduler_running"] is False
