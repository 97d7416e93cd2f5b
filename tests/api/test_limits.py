"""How often a client may ask: as often as it likes, or as the operator says, and told when to come back."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.api.answers import assert_problem
from tests.api.routes import NEEDS_NO_KEY, READS
from tests.catalogue import TOY_STORY

MakeApp = Callable[..., FastAPI]
HOUR = 3600


def ask(client: TestClient, key: str | None = None, *, path: str = "/genres") -> Response:
    return client.get(path, headers={"X-API-Key": key} if key else {})


def statuses(client: TestClient, key: str | None = None, *, times: int = 3) -> list[int]:
    return [ask(client, key).status_code for _ in range(times)]


def from_address(app: FastAPI, address: str) -> TestClient:
    return TestClient(app, client=(address, 50_000))


def test_unless_told_so_nobody_is_limited(make_app: MakeApp) -> None:
    assert set(statuses(TestClient(make_app()), times=50)) == {200}


def test_who_asks_too_often_is_told_when_to_come_back(make_app: MakeApp) -> None:
    client = TestClient(make_app(rate_limit="2/hour"))
    assert statuses(client) == [200, 200, 429]
    refused = ask(client)
    assert_problem(refused, 429, code="rate_limited")
    assert HOUR - 60 < int(refused.headers["Retry-After"]) <= HOUR
    assert refused.headers["x-content-type-options"] == "nosniff"


def test_the_window_over_who_was_refused_is_answered(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(make_app(rate_limit="2/hour"))
    seconds = statuses(client) and int(ask(client).headers["Retry-After"])
    pass_time(monkeypatch, seconds)
    assert statuses(client) == [200, 200, 429]


def pass_time(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the clock that the limits go by be ahead."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


def test_of_several_limits_each_holds(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    client = TestClient(make_app(rate_limit="2/minute;3/hour"))
    assert statuses(client) == [200, 200, 429]
    pass_time(monkeypatch, 61)
    assert statuses(client) == [200, 429, 429]
    assert int(ask(client).headers["Retry-After"]) > 60


def test_each_key_has_an_amount_of_its_own(make_app: MakeApp) -> None:
    app = make_app(api_keys="one,two", admin_key="three", rate_limit="2/hour")
    client = TestClient(app)
    for key in ("one", "two", "three"):
        assert statuses(client, key) == [200, 200, 429]
    assert statuses(from_address(app, "192.0.2.7"), "one", times=1) == [429]


def test_without_a_key_each_address_has_an_amount_of_its_own(make_app: MakeApp) -> None:
    app = make_app(rate_limit="2/hour")
    for address in ("192.0.2.7", "192.0.2.8", "2001:db8::1"):
        assert statuses(from_address(app, address)) == [200, 200, 429]


def test_a_key_that_is_none_brings_no_amount_of_its_own(make_app: MakeApp) -> None:
    """Neither to get more on an open service, nor to try keys on a closed one."""
    for options in ({}, {"api_keys": "right"}):
        client = TestClient(make_app(rate_limit="2/hour", **options))
        assert [ask(client, f"guess-{number}").status_code for number in range(3)][2:] == [429]


def test_lists_that_are_kept_are_counted_too(make_app: MakeApp) -> None:
    app = make_app(rate_limit="2/hour", api_keys="one,two")
    app.state.response_cache.trust(float("inf"))
    client = TestClient(app)
    path = f"/similar/{TOY_STORY}"
    assert [ask(client, "one", path=path).status_code for _ in range(3)] == [200, 200, 429]
    assert len(app.state.response_cache) == 1
    assert ask(client, path=path).status_code == 401
    kept = ask(client, "two", path=path)
    assert (kept.status_code, kept.headers["cache-control"]) == (200, "no-store")


def test_all_is_counted_but_how_the_service_is(make_app: MakeApp) -> None:
    client = TestClient(make_app(rate_limit="1/hour"))
    assert ask(client).status_code == 200
    for call in READS:
        for prefix in ("", "/v1"):
            response = call.send(client, prefix=prefix)
            if call.route in NEEDS_NO_KEY:
                assert response.status_code == 200
            else:
                assert_problem(response, 429)
    for path in ("/", "/docs", "/nowhere"):
        assert_problem(ask(client, path=path), 429)


@pytest.mark.parametrize(
    "value", ["often", "100", "/second", "0/second", "10/fortnight", "-1/second", "1/second;", "1/second;x", {}]
)
def test_a_limit_that_is_none_is_refused_at_the_start(make_app: MakeApp, value: Any) -> None:
    with pytest.raises(ValueError, match="rate_limit"):
        make_app(rate_limit=value)
