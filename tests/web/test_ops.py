"""The operator's page: whether all is well, at a glance, and jobs that are run from it."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect

from backend.api.access import Keys
from backend.config import Settings
from tests.catalogue import MATRIX, TOY_STORY
from tests.test_scheduler import scheduling
from tests.web.conftest import Site
from tests.web.journeys import WIDTHS, keep_picture
from tests.web.test_craft import RULES, pictures

__all__ = ["pictures"]

PATIENCE = 60_000
"""Milliseconds for a scheduler to begin, run a job and be seen to have done so."""
NIGHT = [(14, 0.996), (10, 0.995), (7, 0.991), (3, 0.985), (1, 0.974)]
"""Days ago, and what the index found."""


MEASURED = """
    INSERT INTO index_measurements
        (measured_at, event, kind, ef_search, movies, target, recall_at_10, recalls)
    VALUES (now() - make_interval(days => %s), 'check', 'hnsw', 40, %s, 0.98, %s, '[]')
"""
FAILED = """
    INSERT INTO job_runs (job, outcome, started_at, ended_at, error)
    VALUES ('train', 'failed', now() - interval '3 hours', now() - interval '2 hours', 'The disk is full')
"""


@pytest.fixture
def nights(site: Site) -> Iterator[None]:
    """Runs and measurements of some nights, gone after the test, with whatever else a test had run."""
    with site.engine.begin() as connection:
        for days, recall in NIGHT:
            connection.exec_driver_sql(MEASURED, (days, 150 - days, recall))
        connection.exec_driver_sql(FAILED)
    yield
    with site.engine.begin() as connection:
        connection.exec_driver_sql("TRUNCATE index_measurements, job_runs")


@pytest.fixture
def admin_key(site: Site) -> Iterator[str]:
    """The key that jobs are asked for with."""
    before = site.app.state.keys
    admin = Keys.from_settings(Settings(_env_file=None, admin_key="sesame")).admin
    site.app.state.keys = replace(before, admin=admin)
    yield "sesame"
    site.app.state.keys = before


def ask_for_films(context: BrowserContext) -> None:
    """Let there be something to tell of."""
    for path in (f"/similar/{TOY_STORY}", f"/similar/{MATRIX}", "/recommendations/ada", "/search?q=toys"):
        assert context.request.get(path).ok


def pass_time(page: Page, *, looks: int, context: BrowserContext | None = None) -> None:
    """Let the page look again as if five seconds had gone by, each time with films asked for in between."""
    for _ in range(looks):
        if context:
            ask_for_films(context)
        with page.expect_response("**/metrics"):
            page.clock.fast_forward(5_000)


def test_a_job_is_run_from_the_page_and_seen_to_end(page: Page, site: Site, nights: None, tmp_path: Path) -> None:
    page.goto("/ops")
    expect(page.get_by_role("heading", level=1)).to_have_text("Needs a look")
    reasons = page.locator(".reasons")
    expect(reasons).to_contain_text("Nobody runs the jobs")
    expect(reasons).to_contain_text("“Training” failed 2 hours ago: The disk is full.")
    ingest, cache = page.locator("[data-job=ingest]"), page.locator("[data-job=cache]")
    for job in (ingest, cache):
        job.get_by_role("button", name="Run now").click()
        expect(job.locator(".badge")).to_have_text("Waiting")
        expect(job.get_by_role("button", name="Run now")).to_be_disabled()
    address = site.engine.url.render_as_string(hide_password=False)
    with scheduling(tmp_path / "data", DATABASE_URL=address):
        expect(cache.locator(".badge")).to_have_text("Succeeded", timeout=PATIENCE)
        expect(ingest.locator(".badge")).to_have_text("Skipped")
        expect(ingest).to_contain_text("TMDB_API_KEY is not set.")
        expect(reasons).not_to_contain_text("Nobody runs the jobs")
        expect(cache.get_by_role("button", name="Run now")).to_be_enabled()
        cache.get_by_text("Past runs").click()
        expect(cache.get_by_role("row").nth(1)).to_contain_text("films")


@pytest.mark.usefixtures("nights")
def test_it_is_accessible_and_fits_every_screen(
    page: Page, context: BrowserContext, pictures: Path | None
) -> None:
    page.clock.install()
    page.goto("/ops")
    expect(page.locator(".job")).to_have_count(5)
    pass_time(page, looks=4, context=context)
    expect(page.locator(".uplot")).to_have_count(5)
    page.locator("[data-job=train]").get_by_text("Past runs").click()
    expect(page.locator("[data-job=train] tbody tr")).to_have_count(1)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width, height in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            page.evaluate("scrollTo(0, 0)")
            keep_picture(page, pictures, f"ops-{width}-{scheme}", full_page=True)
        found = Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
        assert not found.response["violations"], found.generate_report()


@pytest.mark.usefixtures("nights")
def test_it_tells_what_is_asked_and_what_the_index_finds(page: Page, context: BrowserContext) -> None:
    page.clock.install()
    page.goto("/ops")
    expect(page.locator(".job")).to_have_count(5)
    pass_time(page, looks=3, context=context)
    route = page.get_by_role("row").filter(has_text="/similar/{movie_id}")
    expect(route).to_contain_text("ms")
    expect(page.get_by_role("row").filter(has_text="/metrics")).to_have_count(0)
    chart = page.get_by_role("img", name="Share of the nearest ten that is found")
    expect(chart).to_have_accessible_name(
        "Share of the nearest ten that is found. At last Found: 97.4 %, Wanted: 98 %."
    )
    layers = page.get_by_role("img", name="Lists a second, by the layer that answered")
    expect(layers.locator("canvas")).to_be_visible()


def test_without_the_database_it_says_so_and_what_goes_on(page: Page, site: Site) -> None:
    page.clock.install()
    page.goto("/ops")
    expect(page.get_by_text("All is well").or_(page.get_by_text("Needs a look"))).to_be_visible()
    site.lose_database()
    pass_time(page, looks=2)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Trouble")
    expect(page.locator(".reasons")).to_contain_text(
        "The database does not answer. Lists go on coming from the file cache"
    )
    page.locator("[data-job=cache]").get_by_role("button", name="Run now").click()
    expect(page.locator(".toast")).to_contain_text("while the database is away")
    site.find_database()
    pass_time(page, looks=2)
    expect(heading).not_to_have_text("Trouble")


def test_where_an_admin_key_is_set_it_is_asked_for_and_kept_in_this_tab_only(
    page: Page, context: BrowserContext, admin_key: str
) -> None:
    page.goto("/ops")
    expect(page.locator(".tile-of").first).to_be_visible()
    for tried in ("simsalabim", admin_key):
        page.get_by_label("Admin key").fill(tried)
        page.get_by_role("button", name="Show the jobs").click()
        if tried != admin_key:
            expect(page.get_by_text("That was not the admin key")).to_be_visible()
    expect(page.locator(".job")).to_have_count(5)
    with page.expect_request("**/jobs/*/runs*") as asked:
        page.locator("[data-job=cache]").get_by_text("Past runs").click()
    assert asked.value.headers["x-api-key"] == admin_key
    assert admin_key not in json.dumps([page.evaluate("({...localStorage})"), context.cookies(), page.url])


TOLD_TOO = """
marquee_breaker_open 0.0
marquee_pool_connections_in_use 3.0
marquee_pool_connections_limit 8.0
marquee_response_cache_hits_total 90.0
marquee_response_cache_misses_total 10.0
marquee_job_last_success_age_seconds{job="train"} 93600.0
"""


@pytest.mark.usefixtures("nights")
def test_what_more_the_metrics_tell_is_shown(page: Page, context: BrowserContext) -> None:
    def with_more(route: Route) -> None:
        answer = route.fetch()
        own = [line for line in answer.text().splitlines() if line.split("{")[0].split(" ")[0] not in TOLD_TOO]
        route.fulfill(response=answer, body="\n".join([*own, TOLD_TOO]))

    context.route("**/metrics", with_more)
    page.goto("/ops")
    tiles = page.locator(".tile-of")
    expect(tiles.filter(has_text="Answers kept")).to_contain_text("90 %")
    expect(tiles.filter(has_text="Connections")).to_contain_text("3 of 8")
    expect(page.locator(".reasons")).to_contain_text("It last succeeded yesterday.")


def test_a_fetch_from_tmdb_is_followed_while_it_runs(page: Page, context: BrowserContext) -> None:
    def fetching(route: Route) -> None:
        answer = route.fetch()
        now = dt.datetime.now(dt.UTC).isoformat()
        told = {"stored": 1500, "failed": 2, "left": 500, "films_a_second": 41.7, "seconds_left": 12, "at": now}
        route.fulfill(response=answer, json=answer.json() | {"ingest": told})

    context.route("**/stats", fetching)
    page.goto("/ops")
    panel = page.get_by_role("region", name="Fetch from TMDB")
    expect(panel).to_contain_text("1,500 films stored, 500 to go.")
    expect(panel).to_contain_text("42 a second, about 12 s left; 2 failed.")
    expect(panel.get_by_role("progressbar")).to_have_js_property("value", 0.75)


WELL: dict[str, Any] = {
    "ready": {"value": {"layer": "pgvector", "encoder": "loaded"}},
    "stats": {
        "value": {
            **{"total_movies": 100, "with_embeddings": 100, "pending_embeddings": 0, "taste_version": "1"},
            **{"index": {"recall_at_10": 0.99}, "jobs": {}},
        }
    },
    "history": {"value": {"target": 0.98, "results": []}},
    "jobs": {"value": {"scheduler_running": True, "jobs": []}},
}
JUDGED = [
    ({}, "well", ""),
    ({"stats": {"problem": {"status": 503, "passes": True}}}, "trouble", "The database does not answer."),
    ({"ready": {"problem": {"status": 503, "message": "Empty"}}}, "trouble", "can't answer questions yet"),
    ({"jobs": {"value": {"scheduler_running": False, "jobs": []}}}, "look", "Nobody runs the jobs"),
    (
        {"history": {"value": {"target": 0.995, "results": []}}},
        "look",
        "The index finds 99 %",
    ),
    ({"ready": {"value": {"layer": "file_cache", "encoder": "loaded"}}}, "look", "came from the file cache"),
    ({"ready": {"value": {"layer": "pgvector", "encoder": "loading"}}}, "look", "still being loaded"),
]


@pytest.mark.parametrize(("differs", "level", "reason"), JUDGED)
def test_the_headline_follows_from_what_is_known(page: Page, differs: Any, level: str, reason: str) -> None:
    page.goto("/ops")
    told = page.evaluate(
        """async (facts) => {
            const { judge } = await import("/web/js/ops/verdict.js");
            return judge(facts, { recently: () => ({ all: 10, failed: 0 }) });
        }""",
        WELL | differs,
    )
    assert told["level"] == level
    assert reason in " ".join(one["what"] for one in told["reasons"])
    assert all(one["todo"] for one in told["reasons"])


def test_times_are_read_from_histograms_as_prometheus_does(page: Page) -> None:
    page.goto("/ops")
    buckets = [[0.1, 50], [0.2, 90], [0.5, 100], ["Infinity", 100]]
    found = page.evaluate(
        """async (buckets) => {
            const { quantile } = await import("/web/js/ops/metrics.js");
            const read = new Map(buckets.map(([bound, count]) => [Number(bound), count]));
            return [0.5, 0.7, 0.95].map((share) => quantile(read, share));
        }""",
        buckets,
    )
    assert found == pytest.approx([0.1, 0.15, 0.35])
