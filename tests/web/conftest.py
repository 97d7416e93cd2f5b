"""A real browser, and the service on a real port behind it, on the small catalogue."""

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from sqlalchemy import Engine, create_engine

from backend import database
from backend.config import Settings
from backend.main import create_app
from backend.ml.encoder import Encoder
from backend.ml.file_cache import build_cache
from tests.test_embedded_postgres import eventually

CHROMIUM = Path("/usr/bin/chromium")
MISSING = "the page is tested in Debian's Chromium: apt-get install -y chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
POSTERS = "https://image.tmdb.org/"
PATIENCE = 10_000
"""Milliseconds that an element has to appear."""


@dataclass
class Site:
    """The service, where it is, and whether it finds its database."""

    address: str
    app: FastAPI
    engine: Engine
    nowhere: Engine
    current: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.current = self.engine

    def lose_database(self) -> None:
        """From now on nobody answers there."""
        self.current = self.nowhere

    def find_database(self) -> None:
        """It is back, and the breaker knows."""
        self.current = self.engine
        breaker = self.app.state.layers.breaker
        eventually(lambda: breaker.worked() or not breaker.is_open, "the breaker stays open")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; a run that is to tell whether all is well does not do without."""
    if not CHROMIUM.exists():
        if os.environ.get("CI"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def running(
    catalogue_engine: Engine, encoder: Encoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The service behind all tests of a module."""
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("web"))
    nowhere = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "get_engine", lambda: catalogue_engine)
        app = create_app(settings)
        app.state.words._encoder = encoder
        build_cache(settings)
        app.state.layers.refresh()
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        eventually(lambda: server.started, "the service did not start")
        port = server.servers[0].sockets[0].getsockname()[1]
        site = Site(f"http://127.0.0.1:{port}", app, catalogue_engine, nowhere)
        patch.setattr(database, "get_engine", lambda: site.current)
        yield site
        server.should_exit = True
        thread.join()


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The service; the people that a test makes are gone after it."""
    yield running
    running.find_database()
    with running.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM users")


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A device that was never here; posters can't be had, unless a test has them."""
    context = browser.new_context(base_url=site.address, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE)
    context.route(f"{POSTERS}**", lambda route: route.abort())
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that has nothing to complain of: no error in the console but of what can't be had."""
    page = context.new_page()
    complaints: list[str] = []

    def listen(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not is_expected(message):
            complaints.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert not complaints


def is_expected(message: ConsoleMessage) -> bool:
    """Browsers note a poster that is not there, and a 403, 404 or 503 of the API, whatever is made of it."""
    location: Any = message.location
    is_file = "/web/" in location["url"]
    return location["url"].startswith(POSTERS) or (
        not is_file and bool(re.search("status of (403|404|503)", message.text))
    )
