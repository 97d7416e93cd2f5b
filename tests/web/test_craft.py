"""How the page is made: usable by anyone, on any screen, small, and quick."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.catalogue import DARK_KNIGHT, GODFATHER, TOY_STORY
from tests.web.journeys import WIDTHS, keep_picture, meet_ada, settled

VIEWS = {
    "people": "/?view=people",
    "start": "/?view=start",
    "home": "/",
    "film": f"/?film={TOY_STORY}",
    "search": "/?q=space",
    "nothing-found": "/?q=zzzz&rating=8&genre=Documentary",
    "not-found": "/?film=999999999",
    "mine": "/?view=mine",
    "map": "/?view=map",
}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FIRST_VIEW = 150_000


@pytest.fixture
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Where the run keeps screenshots."""
    folder: Path | None = request.config.getoption("--screenshots")
    return folder


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_accessible_and_fits_every_screen(
    page: Page, context: BrowserContext, pictures: Path | None, view: str
) -> None:
    meet_ada(context, TOY_STORY, DARK_KNIGHT, GODFATHER)
    page.goto(VIEWS[view])
    settled(page)
    for scheme, rules in (("dark", RULES), ("light", ["color-contrast"])):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width, height in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            keep_picture(page, pictures, f"{view}-{width}-{scheme}")
        found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
        assert not found.response["violations"], found.generate_report()


def test_the_first_view_is_small(page: Page) -> None:
    sizes: dict[str, int] = {}
    page.on("response", lambda answer: sizes.setdefault(urlsplit(answer.url).path, len(answer.body())))
    page.goto("/")
    settled(page)
    files = {path: size for path, size in sizes.items() if path == "/" or path.startswith("/web/")}
    assert {"/", "/web/js/main.js", "/web/style/base.css"} <= set(files)
    assert sum(files.values()) < FIRST_VIEW


def test_titles_are_text_whatever_they_are_and_run_their_own_way(page: Page, context: BrowserContext) -> None:
    film = {
        "id": 7,
        "title": "ط<b>ط</b>" + "ط" * 200,
        "release_year": None,
        "genres": [],
        "why": [],
        "vote_count": 0,
    }
    answer = {"results": [film], "degraded": False, "source": "pgvector", "recommendation_id": "x"}
    context.route("**/search?*", lambda route: route.fulfill(json=answer))
    page.goto("/?q=anything")
    heading = page.locator(".found .card-title")
    expect(heading).to_contain_text("<b>")
    assert heading.evaluate("element => getComputedStyle(element).direction") == "rtl"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_everything_can_be_reached_with_the_keyboard(page: Page) -> None:
    page.goto("/?view=start")
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the films")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.tile')"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".wall .tile").first).to_have_attribute("aria-pressed", "true")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
