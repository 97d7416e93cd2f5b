"""What Prometheus reads: well-formed, cumulative, and true."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from backend.ml.breaker import Breaker
from backend.operations.hours import JOBS
from tests.api.answers import get
from tests.api.conftest import Films
from tests.catalogue import SIZE, TOY_STORY

Labels = frozenset[tuple[str, str]]


def families(client: TestClient) -> dict[str, Metric]:
    """What the official parser makes of the metrics."""
    response = client.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == CONTENT_TYPE_LATEST
    return {family.name: family for family in text_string_to_metric_families(response.text)}


def value(client: TestClient, name: str, **labels: str) -> float:
    """One sample; 0 where it was never counted."""
    samples = (sample for family in families(client).values() for sample in family.samples)
    found = [each.value for each in samples if each.name == name and labels.items() <= each.labels.items()]
    return sum(found)


@pytest.fixture
def succeeded(catalogue_engine: Engine) -> Iterator[Callable[..., None]]:
    """Notes a run of a job that ended some seconds ago."""

    def note(job: str, *, seconds: float, outcome: str = "succeeded") -> None:
        insert = """
            INSERT INTO job_runs (job, outcome, started_at, ended_at)
            VALUES (:job, :outcome, now() - interval '1 day', now() - make_interval(secs => :seconds))
        """
        with catalogue_engine.begin() as connection:
            connection.execute(text(insert), {"job": job, "outcome": outcome, "seconds": seconds})

    yield note
    with catalogue_engine.begin() as connection:
        connection.execute(text("DELETE FROM job_runs"))


def test_histograms_are_cumulative_and_count_every_request(client: TestClient) -> None:
    answered = {"route": "/genres", "method": "GET", "status": "200"}
    before = value(client, "marquee_request_seconds_count", route="/genres")
    well_before = value(client, "marquee_requests_total", **answered)
    for _ in range(3):
        get(client, "/genres")
    found = families(client)
    histograms = [family for family in found.values() if family.type == "histogram"]
    assert [family.name for family in histograms] == ["marquee_request_seconds"]
    buckets: dict[Labels, list[tuple[float, float]]] = {}
    totals: dict[Labels, dict[str, float]] = {}
    for sample in histograms[0].samples:
        labels = frozenset((name, told) for name, told in sample.labels.items() if name != "le")
        if sample.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(sample.labels["le"]), sample.value))
        else:
            totals.setdefault(labels, {})[sample.name.rpartition("_")[2]] = sample.value
    for labels, told in buckets.items():
        bounds, counts = zip(*told, strict=True)
        assert list(bounds) == sorted(set(bounds))
        assert list(counts) == sorted(counts)
        assert bounds[-1] == math.inf
        assert counts[-1] == totals[labels]["count"]
        assert 0 <= totals[labels]["sum"] < math.inf
    assert totals[frozenset({("route", "/genres")})]["count"] == before + 3
    assert value(client, "marquee_requests_total", **answered) == well_before + 3


def test_it_is_told_which_layer_answered_and_what_was_kept(make_app: Callable[..., FastAPI]) -> None:
    app = make_app()
    app.state.response_cache.trust(time.monotonic() + 60)
    client = TestClient(app)
    names = ("marquee_response_cache_hits_total", "marquee_response_cache_misses_total")
    before = [value(client, name) for name in names]
    answered = value(client, "marquee_answers_total", kind="similar", source="pgvector")
    for _ in range(3):
        get(client, f"/similar/{TOY_STORY}")
    assert [value(client, name) for name in names] == [before[0] + 2, before[1] + 1]
    assert value(client, "marquee_answers_total", kind="similar", source="pgvector") == answered + 3


def test_the_pool_tells_who_uses_it(client: TestClient, catalogue_engine: Engine) -> None:
    limit = catalogue_engine.pool.size()  # type: ignore[attr-defined]
    assert value(client, "marquee_pool_connections_limit") == limit
    before = value(client, "marquee_pool_connections_in_use")
    with catalogue_engine.connect():
        assert value(client, "marquee_pool_connections_in_use") == before + 1
    assert value(client, "marquee_pool_connections_in_use") == before


def test_recall_and_coverage_are_those_of_the_catalogue(client: TestClient, add_film: Films) -> None:
    assert value(client, "marquee_index_recall_at_10") == 1.0
    assert value(client, "marquee_embedding_coverage_ratio") == 1.0
    add_film()
    assert value(client, "marquee_embedding_coverage_ratio") == pytest.approx(SIZE / (SIZE + 1))


def test_each_job_tells_how_long_ago_it_succeeded(client: TestClient, succeeded: Callable[..., None]) -> None:
    name = "marquee_job_last_success_age_seconds"
    told = {sample.labels["job"] for sample in families(client)[name].samples}
    assert told == set(JOBS)
    assert all(math.isnan(value(client, name, job=job)) for job in JOBS)
    succeeded("train", seconds=3600)
    succeeded("train", seconds=7200)
    succeeded("train", seconds=60, outcome="failed")
    assert 3600 <= value(client, name, job="train") < 3660
    assert math.isnan(value(client, name, job="cache"))


def test_while_the_database_is_left_alone_what_it_knows_is_not_a_number(
    client: TestClient, succeeded: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    succeeded("train", seconds=3600)
    unknown: list[tuple[str, dict[str, Any]]] = [
        ("marquee_index_recall_at_10", {}),
        ("marquee_embedding_coverage_ratio", {}),
        ("marquee_job_last_success_age_seconds", {"job": "train"}),
    ]
    assert value(client, "marquee_breaker_open") == 0
    with monkeypatch.context() as patch:
        patch.setattr(Breaker, "is_open", True)
        assert value(client, "marquee_breaker_open") == 1
        assert all(math.isnan(value(client, name, **labels)) for name, labels in unknown)
    assert value(client, "marquee_breaker_open") == 0
    assert not any(math.isnan(value(client, name, **labels)) for name, labels in unknown)
