"""What people do with the page, for tests to put together."""

import json
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Page, expect

WIDTHS = {390: 844, 820: 1180, 1440: 900}


def watch_as(context: BrowserContext, user_id: str = "ada", name: str = "Ada") -> None:
    """Let this device know who is watching."""
    person = json.dumps({"user_id": user_id, "name": name})
    context.add_init_script(f"localStorage.setItem('marquee.person', {json.dumps(person)})")


def meet_ada(context: BrowserContext, *films: int) -> None:
    """Let there be Ada, who likes these films."""
    liked = [{"user_id": "ada", "movie_id": film, "kind": "like"} for film in films]
    assert context.request.post("/interactions", data={"interactions": liked}).ok
    assert context.request.patch("/people/ada", data={"name": "Ada"}).ok
    watch_as(context)


def settled(page: Page) -> None:
    """Wait until all that was asked for is there."""
    expect(page.locator("#main h1").first).to_be_attached()
    expect(page.locator("#main .skeleton")).to_have_count(0)


def titles(films: Locator) -> list[str]:
    """The titles of films, as they are read."""
    return [text.strip() for text in films.all_text_contents()]


def kinds(context: BrowserContext, user_id: str) -> dict[int, str]:
    """What is stored of a person, by film."""
    answer = context.request.get(f"/users/{user_id}/interactions").json()
    return {row["movie_id"]: row["kind"] for row in answer["results"]}


def guest(page: Page) -> str:
    """Whom this device takes for watching."""
    return str(page.evaluate("JSON.parse(localStorage.getItem('marquee.person')).user_id"))


def keep_picture(page: Page, folder: Path | None, name: str, *, full_page: bool = False) -> None:
    """A screenshot, where the run keeps any."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png", full_page=full_page)
