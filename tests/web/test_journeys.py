"""What a person comes for: tap a few films, get a list, change one's mind, find a film, and never lose a tap."""

import base64
import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.catalogue import DARK_KNIGHT, GODFATHER, MATRIX, TOY_STORY
from tests.web.conftest import POSTERS, Site
from tests.web.journeys import guest, kinds, meet_ada, settled, titles

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def like(page: Page, title: str) -> None:
    """Tap a film of the wall."""
    page.locator(".wall").get_by_role("button", name=re.compile(f"^{re.escape(title)}")).click()


def test_a_first_visit_leads_from_taps_to_films_with_reasons(page: Page, context: BrowserContext) -> None:
    page.goto("/")
    page.get_by_role("textbox", name="Name").fill("Ada")
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Tap films you love")).to_be_visible()
    settled(page)
    before = titles(page.locator(".so-far strong"))

    tiles = page.locator(".wall .tile")
    liked = [tiles.nth(number) for number in (0, 4, 8)]
    for tile in liked:
        tile.click()
        expect(tile).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("3 films liked")).to_be_visible()
    expect(page.locator(".so-far strong").first).not_to_have_text(before[0])
    expect(page.locator(".so-far .reason").first).to_contain_text("Because you liked")

    page.get_by_role("button", name="Show my films").click()
    settled(page)
    expect(page.get_by_role("heading", name=re.compile("Ada$"))).to_be_visible()
    expect(page.get_by_text("Tonight’s pick")).to_be_visible()
    expect(page.locator(".hero .reason")).to_contain_text("Because you liked")
    assert list(kinds(context, guest(page)).values()) == ["like"] * 3


def test_a_guest_needs_no_name_and_may_give_one_at_the_end(page: Page, context: BrowserContext) -> None:
    page.goto("/?view=start")
    settled(page)
    for number in range(3):
        page.locator(".wall .tile").nth(number).click()
    page.get_by_role("button", name="Show my films").click()
    page.get_by_role("textbox", name="Name").fill("Grace")
    page.get_by_role("button", name="Show my films").click()
    expect(page.get_by_role("heading", name=re.compile("Grace$"))).to_be_visible()
    people = context.request.get("/people").json()["results"]
    assert [(person["name"], person["interactions"]) for person in people] == [("Grace", 3)]


def test_a_second_tap_takes_a_film_back(page: Page, context: BrowserContext) -> None:
    page.goto("/?view=start")
    settled(page)
    tile = page.locator(".wall .tile").first
    tile.click()
    expect(page.get_by_text("1 film liked")).to_be_visible()
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        tile.click()
    expect(tile).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_text("0 films liked")).to_be_visible()
    assert kinds(context, guest(page)) == {}


def test_what_was_done_with_a_film_can_be_undone(page: Page, context: BrowserContext) -> None:
    meet_ada(context, TOY_STORY)
    page.goto(f"/?film={MATRIX}")
    settled(page)
    expect(page.get_by_role("heading", name="Why it is here")).to_be_visible()
    with page.expect_response("**/interactions"):
        page.get_by_role("button", name="Not interested", exact=True).click()
    assert kinds(context, "ada")[MATRIX] == "not_interested"
    expect(page.get_by_text("so it is kept out of your films")).to_be_visible()
    with page.expect_response(lambda answer: answer.request.method == "DELETE"):
        page.get_by_role("button", name="Undo").click()
    assert MATRIX not in kinds(context, "ada")


def test_typing_finds_by_title_and_by_meaning(page: Page, context: BrowserContext) -> None:
    meet_ada(context, TOY_STORY)
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("toy st")
    expect(page.locator(".found .card-title").first).to_contain_text("Toy Story")
    page.get_by_role("searchbox").fill("gangsters of the mafia")
    expect(page.locator(".found .card-title").filter(has_text="The Godfather").first).to_be_visible()
    assert page.url.endswith("/?q=gangsters+of+the+mafia")
    page.locator(".found .card-link").filter(has_text="The Godfather").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Godfather")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("gangsters of the mafia")


def test_what_is_chosen_for_tonight_stays_in_the_address(page: Page, context: BrowserContext) -> None:
    meet_ada(context, MATRIX, GODFATHER)
    page.goto("/")
    settled(page)
    page.get_by_role("link", name="Make me laugh").click()
    page.get_by_label("How long").select_option("Under 2 hours")
    settled(page)
    assert page.url.endswith("/?mood=laugh&length=evening")
    page.reload()
    settled(page)
    expect(page.get_by_label("How long")).to_have_value("evening")
    expect(page.locator(".shelf .facts").first).to_contain_text("1 h")
    page.go_back()
    expect(page.get_by_label("How long")).to_have_value("")


@pytest.mark.parametrize("film", [TOY_STORY])
def test_without_photos_posters_are_drawn(page: Page, film: int) -> None:
    page.goto(f"/?film={film}")
    settled(page)
    poster = page.locator(".film > .poster")
    expect(poster.locator(".lettering-title")).to_have_text("Toy Story")
    assert poster.locator(".poster-art").evaluate("image => image.decode().then(() => image.naturalWidth)") == 200
    expect(page.locator(".poster-photo")).to_have_count(0)


def test_photos_cover_drawn_posters_where_they_can_be_had(page: Page, context: BrowserContext) -> None:
    context.unroute(f"{POSTERS}**")
    context.route(f"{POSTERS}**", lambda route: route.fulfill(body=PIXEL, content_type="image/png"))
    page.goto(f"/?film={TOY_STORY}")
    expect(page.locator(".film > .poster .poster-photo.is-here")).to_be_visible()


def test_without_the_database_films_still_come_and_no_tap_is_lost(
    page: Page, context: BrowserContext, site: Site
) -> None:
    meet_ada(context, TOY_STORY, DARK_KNIGHT)
    site.lose_database()
    page.goto("/")
    settled(page)
    expect(page.get_by_text("The database is away for a moment")).to_be_visible()
    expect(page.locator(".shelf .card").first).to_be_visible()
    page.goto(f"/?film={MATRIX}")
    page.get_by_role("button", name="Like", exact=True).click()
    expect(page.get_by_text("1 tap is not stored yet")).to_be_visible()
    expect(page.get_by_role("button", name="Like", exact=True)).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.get_by_text("1 tap is not stored yet")).to_be_visible()
    site.find_database()
    page.get_by_role("button", name="Try again now").click()
    expect(page.get_by_text("not stored yet")).to_have_count(0)
    assert kinds(context, "ada")[MATRIX] == "like"


def test_search_says_kindly_that_it_needs_the_database(page: Page, site: Site) -> None:
    site.lose_database()
    page.goto("/?q=toy")
    expect(page.get_by_text("Not available at the moment")).to_be_visible()
    site.find_database()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".found .card-title").first).to_contain_text("Toy Story")


def test_history_can_be_read_taken_back_exported_and_erased(page: Page, context: BrowserContext) -> None:
    meet_ada(context, TOY_STORY, MATRIX)
    page.goto("/?view=mine")
    settled(page)
    expect(page.locator(".history li")).to_have_count(2)
    page.get_by_role("button", name="Take back: Liked, Toy Story").click()
    expect(page.locator(".history li")).to_have_count(1)
    assert list(kinds(context, "ada")) == [MATRIX]
    with page.expect_download() as exported:
        page.get_by_role("button", name="Export").click()
    assert exported.value.suggested_filename == "marquee-export.json"
    page.get_by_role("button", name="Erase everything").click()
    page.get_by_role("button", name="Erase", exact=True).click()
    expect(page.get_by_role("heading", name="Who is watching?")).to_be_visible()
    assert context.request.get("/users/ada/export").status == 404


def test_people_are_picked_and_renamed(page: Page, context: BrowserContext) -> None:
    meet_ada(context, TOY_STORY)
    page.goto("/?view=people")
    page.get_by_role("button", name="Rename Ada").click()
    page.get_by_role("textbox", name="Name").fill("Ada L.")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Ada L. 1 tap").click()
    settled(page)
    expect(page.get_by_role("link", name="Ada L.")).to_be_visible()


def test_a_file_from_elsewhere_is_dropped_and_told_line_by_line(page: Page, context: BrowserContext) -> None:
    meet_ada(context, TOY_STORY)
    answer = {
        "format": "letterboxd",
        "matched": 2,
        "pending": {"count": 1, "names": ["A Film That Is Not Here (2031)"]},
        "left_alone": {"rated already": 3},
        "rejected": [{"line": 7, "reason": "no title"}],
    }
    context.route("**/users/ada/import", lambda route: route.fulfill(json=answer))
    page.goto("/?view=mine")
    settled(page)
    page.get_by_label("choose one").set_input_files(
        {"name": "ratings.csv", "mimeType": "text/csv", "buffer": b"x"}
    )
    expect(page.get_by_text("2 films of Letterboxd count from now on.")).to_be_visible()
    page.get_by_text("1 film not in the catalogue yet").click()
    expect(page.get_by_text("A Film That Is Not Here (2031)")).to_be_visible()
    page.get_by_text("1 line could not be read").click()
    expect(page.get_by_text("Line 7: no title")).to_be_visible()


def test_the_map_can_be_walked_with_keys_and_opened_by_a_tap(page: Page, context: BrowserContext) -> None:
    meet_ada(context, TOY_STORY)
    ids = [TOY_STORY, MATRIX, GODFATHER]
    films = {
        "id": ids,
        "x": [0.5, 0.1, 0.9],
        "y": [0.5, 0.1, 0.9],
        "title": ["Toy Story", "The Matrix", "The Godfather"],
    }
    films |= {"year": [1995, 1999, 1972], "votes": [9, 8, 7], "genre": ["Animation", "Action", None]}
    context.route("**/map", lambda route: route.fulfill(json={"version": "1", "films": films}))
    page.goto("/?view=map")
    expect(page.locator(".map-list a")).to_have_text(["Toy Story", "The Matrix", "The Godfather"])
    canvas = page.locator("canvas")
    canvas.click()
    expect(page.locator(".map-chosen .card-title")).to_have_text("Toy Story")
    for _ in range(6):
        canvas.press("+")
    expect(page.locator(".map-list a")).to_have_text(["Toy Story"])
    canvas.press("0")
    expect(page.locator(".map-list a")).to_have_count(3)
