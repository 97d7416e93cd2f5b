"""The pictures of the README, of the real product on its starter catalogue: `make screenshots`.

Posters are the drawn ones, whether photos could be had or not, so that no picture shows what is not ours.
"""

import datetime as dt
import io
import time
from pathlib import Path

import requests
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from tests.test_embedded_postgres import temporary_home
from tests.test_serve import Service, serving
from tests.web.conftest import CHROMIUM, FLAGS, POSTERS
from tests.web.journeys import settled

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH = 1440
HEIGHTS = {"home": 1200, "ops": 1620}
EVENING = dt.datetime(2026, 11, 20, 20, 15)
NIGHT = ("embeddings", "index", "train", "cache")
"""The jobs of a night that need nothing from elsewhere."""
TAPPED = (0, 3, 7, 12)
"""Which films of the wall."""
QUALITY = 82
PATIENCE = 300
"""Seconds until all jobs are done."""
LOOKS = 4
"""So many times the operator's page asks before its charts say something."""


def main() -> None:
    """Start it, tap some films, take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with temporary_home() as home, serving(home / "data") as service, sync_playwright() as playwright:
        wait_for_jobs(service)
        for job in NIGHT:
            requests.post(f"{service.address}/jobs/{job}/run", timeout=10).raise_for_status()
        wait_for_jobs(service)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, take in (("home", take_home), ("ops", take_ops)):
            size = {"width": WIDTH, "height": HEIGHTS[name]}
            context = browser.new_context(base_url=service.address, viewport=size, color_scheme="dark")
            context.route(f"{POSTERS}**", lambda route: route.abort())
            take(context.new_page())
        browser.close()


def wait_for_jobs(service: Service) -> None:
    """Until the scheduler has done what there is to do."""
    deadline = time.monotonic() + PATIENCE
    while not is_settled(service):
        assert time.monotonic() < deadline, "the jobs go on"
        time.sleep(1)


def is_settled(service: Service) -> bool:
    """Whether the scheduler is there, and has nothing to do."""
    known = service.ask("/jobs").json()
    runs = [job["last"] and job["last"]["outcome"] for job in known["jobs"]]
    if "running" in runs or any(job["queued"] for job in known["jobs"]) or not known["scheduler_running"]:
        return False
    return bool(service.ask("/health/ready").json()["encoder"] == "loaded")


def take_home(page: Page) -> None:
    """The films of somebody who has tapped a few."""
    page.clock.set_fixed_time(EVENING)
    page.goto("/")
    page.get_by_role("textbox", name="Name").fill("Ada")
    page.get_by_role("button", name="Begin").click()
    settled(page)
    for number in TAPPED:
        page.locator(".wall .tile").nth(number).click()
    page.get_by_role("button", name="Show my films").click()
    expect(page.locator(".hero .reason")).to_contain_text("Because you liked")
    settled(page)
    # A toast would stand in the picture.
    page.reload()
    settled(page)
    keep(page, "home")


def take_ops(page: Page) -> None:
    """How it is, after some films have been asked for."""
    page.goto("/ops")
    expect(page.locator(".job")).to_have_count(5)
    for look in range(LOOKS):
        with page.expect_response("**/metrics", timeout=10_000):
            for film in range(5 * (look % 3 + 2)):
                page.request.get(f"/similar/{862 + film}")
    expect(page.locator(".uplot").first).to_be_visible()
    keep(page, "ops")


def keep(page: Page, name: str) -> None:
    """A picture, as small as it can be without looking so."""
    page.evaluate("document.fonts.ready")
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    path = IMAGES / f"{name}.webp"
    picture.save(path, quality=QUALITY, method=6)
    print(f"{path.relative_to(Path.cwd())}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
