"""Behind a reverse proxy: under a prefix that it strips or not, and believed only where it is trusted."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from backend.config import Settings
from backend.main import server_config
from tests.api.conftest import make_app
from tests.catalogue import TOY_STORY
from tests.test_embedded_postgres import eventually

__all__ = ["make_app"]

PREFIX = "/marquee"
KEY = "sesame"
Start = Callable[..., str]


class Proxy(ThreadingHTTPServer):
    """Passes requests on to another port, and says for whom and by which scheme they came."""

    def __init__(self, port: int, *, strips: bool) -> None:
        super().__init__(("127.0.0.1", 0), Pass)
        self.target = port
        self.strips = strips


class Pass(BaseHTTPRequestHandler):
    """One request."""

    server: Proxy

    def do_GET(self) -> None:
        path = self.path.removeprefix(PREFIX) if self.server.strips else self.path
        headers = dict(self.headers) | {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
        connection = HTTPConnection("127.0.0.1", self.server.target, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.send_response(answer.status)
        for name, told in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, told)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    """The application as the service serves it; its port."""
    config = server_config(app, app.state.settings)
    # What runs beside it is not looked at.
    config.lifespan = "off"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    eventually(lambda: server.started, "it is served")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def proxied(port: int, *, strips: bool) -> Iterator[str]:
    """The address of a proxy."""
    with Proxy(port, strips=strips) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
        proxy.shutdown()
        thread.join(10)


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "kept"])
def test_all_is_found_below_the_prefix_whether_the_proxy_strips_it_or_not(
    make_app: Callable[..., FastAPI], *, strips: bool
) -> None:
    app = make_app(port=0, root_path=f"{PREFIX}/", api_keys=KEY)
    with served(app) as port, proxied(port, strips=strips) as address:
        site = address + PREFIX
        key = {"X-API-Key": KEY}
        for path in (f"/similar/{TOY_STORY}", f"/v1/similar/{TOY_STORY}", "/genres", "/metrics", "/docs"):
            assert requests.get(site + path, headers=key, timeout=10).status_code == 200, path
        # Asked again, the same comes from what is kept; and a stranger is a stranger there too.
        assert requests.get(f"{site}/similar/{TOY_STORY}", timeout=10).status_code == 401
        document = requests.get(f"{site}/openapi.json", timeout=10).json()
        assert document["servers"] == [{"url": PREFIX}]
        # What the viewer loads it names beside itself.
        assert "/" not in requests.get(f"{site}/docs/start.js", timeout=10).text.partition("openapi.json")[0]
        assert requests.get(f"{site}/docs/swagger-ui.css", timeout=10).status_code == 200
        entered = requests.get(f"{site}/?key={KEY}", timeout=10, allow_redirects=False)
        assert entered.headers["location"] == f"{PREFIX}/"
        assert f"Path={PREFIX};" in entered.headers["set-cookie"]
        page = requests.get(f"{site}/", headers=key, timeout=10).text
        links = re.findall(r'(?:href|src)="([^"]*)"', page)
        assert not [link for link in links if link.startswith("/")]
        loaded = [link for link in links if link.startswith("web/")]
        assert loaded
        assert {requests.get(f"{site}/{link}", timeout=10).status_code for link in loaded} == {200}


@pytest.mark.parametrize(
    ("trusted", "secure"), [("127.0.0.1,::1", True), ("127.0.0.0/8", True), ("10.0.0.0/8", False)]
)
def test_only_a_trusted_proxy_is_believed(make_app: Callable[..., FastAPI], trusted: str, *, secure: bool) -> None:
    app = make_app(port=0, api_keys=KEY, trusted_proxies=trusted)
    with served(app) as port, proxied(port, strips=False) as address:
        entered = requests.get(f"{address}/?key={KEY}", timeout=10, allow_redirects=False)
    assert entered.status_code == 303
    assert ("Secure" in entered.headers["set-cookie"]) is secure


@pytest.mark.parametrize("wrong", ["proxy.example.org", "10.0.0.0/99", "127.0.0.1,", "*"])
def test_who_is_trusted_has_to_be_an_address(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is no address and no network"):
        Settings(_env_file=None, data_dir=tmp_path, trusted_proxies=wrong)


@pytest.mark.parametrize("wrong", ["marquee", "/a b", "/a?b", "https://example.org/marquee"])
def test_a_prefix_has_to_be_a_path(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, data_dir=tmp_path, root_path=wrong)
