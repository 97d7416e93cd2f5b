"""The client: a key of either kind, the pace kept, what may pass tried again, and the key never told."""

import json
import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backend.catalog.records import parse_record
from backend.catalog.tmdb import TmdbClient, TmdbConfig
from backend.config import Settings
from backend.errors import TmdbError, TmdbKeyError, TmdbNotFoundError, TmdbUnreachableError
from tests.tmdb_faults import Fault
from tests.tmdb_films import numbered_films
from tests.tmdb_stand_in import KEY, TOKEN, TmdbStandIn

Connect = Callable[..., TmdbClient]


@pytest.fixture
def tmdb() -> Iterator[TmdbStandIn]:
    """A TMDB with thirty films."""
    with TmdbStandIn(numbered_films(30)) as stand_in:
        yield stand_in


@pytest.fixture
def connect(tmdb: TmdbStandIn) -> Iterator[Connect]:
    """Makes clients that wait for nothing but what they are told to wait for."""
    made: list[TmdbClient] = []

    def make(**fields: Any) -> TmdbClient:
        quick: dict[str, Any] = {"key": KEY, "base_url": tmdb.url, "rate": 1000, "backoff": 0.001, "timeout": 5}
        made.append(TmdbClient(TmdbConfig(**quick | fields)))
        return made[-1]

    yield make
    for client in made:
        client.close()


def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/3"


def test_a_film_comes_with_all_that_is_used_of_it_in_one_request(tmdb: TmdbStandIn, connect: Connect) -> None:
    film = connect().fetch_movie(7)
    assert (film["id"], film["title"]) == (7, "Film 7")
    assert {"credits", "keywords"} <= set(film)
    (request,) = tmdb.requests
    assert request.query["append_to_response"] == "credits,keywords,release_dates"
    assert "language" not in request.query


def test_in_a_language_it_comes_with_its_translations_still_in_one_request(
    tmdb: TmdbStandIn, connect: Connect
) -> None:
    connect(language="pt-BR").fetch_movie(7)
    (request,) = tmdb.requests
    assert request.query["append_to_response"] == "credits,keywords,release_dates,translations"
    assert request.query["language"] == "pt-BR"


def test_lists_are_asked_for_in_the_same_language(tmdb: TmdbStandIn, connect: Connect) -> None:
    connect(language="de").fetch_page("/movie/popular", 1)
    connect().fetch_page("/movie/popular", 1)
    assert [request.query.get("language") for request in tmdb.requests] == ["de", None]


GERMAN_ANSWER = {
    "id": 129,
    "title": "千と千尋の神隠し",
    "original_title": "千と千尋の神隠し",
    "original_language": "ja",
    "overview": "",
    "translations": {"translations": [{"iso_639_1": "ja", "data": {"title": "", "overview": "日本語"}}]},
}
"""What TMDB says where German was asked for and nobody has translated anything."""


def test_what_is_not_translated_arrives_in_the_films_own_language(tmdb: TmdbStandIn, connect: Connect) -> None:
    tmdb.fail("/movie/129", Fault(200, body=json.dumps(GERMAN_ANSWER).encode()))
    film = parse_record(connect(language="de").fetch_movie(129))
    assert (film.title, film.overview, film.original_overview) == ("千と千尋の神隠し", "日本語", "日本語")


def test_a_page_of_a_list_takes_parameters(connect: Connect) -> None:
    page = connect().fetch_page("/discover/movie", 2, sort_by="vote_count.desc")
    assert [row["id"] for row in page["results"]] == list(range(21, 31))


def test_a_v3_key_travels_as_a_parameter(tmdb: TmdbStandIn, connect: Connect) -> None:
    connect().fetch_movie(1)
    (request,) = tmdb.requests
    assert (request.query["api_key"], request.authorization) == (KEY, None)


def test_a_v4_token_travels_in_the_header(tmdb: TmdbStandIn, connect: Connect) -> None:
    connect(key=TOKEN).fetch_movie(1)
    (request,) = tmdb.requests
    assert request.authorization == f"Bearer {TOKEN}"
    assert TOKEN not in str(request.query)


def test_without_a_key_it_says_which_setting_is_missing() -> None:
    with pytest.raises(TmdbKeyError, match="TMDB_API_KEY"):
        TmdbConfig.from_settings(Settings(_env_file=None, tmdb_api_key=None))


@pytest.mark.parametrize("key", ["", "with space", "quotes’", "line\nbreak"])
def test_what_can_be_no_key_is_refused_unsent(key: str) -> None:
    with pytest.raises(TmdbKeyError, match="TMDB_API_KEY"):
        TmdbConfig(key=key)


def test_settings_become_the_configuration() -> None:
    given: dict[str, Any] = {
        "tmdb_api_key": " k\n",
        "tmdb_base_url": "http://x/3/",
        "tmdb_rate": 7,
        "tmdb_language": "de-DE",
    }
    config = TmdbConfig.from_settings(Settings(_env_file=None, **given))
    assert (config.key, config.base_url, config.rate, config.language) == ("k", "http://x/3", 7, "de-DE")


def test_a_refused_key_is_said_by_its_setting_and_not_tried_again(tmdb: TmdbStandIn, connect: Connect) -> None:
    with pytest.raises(TmdbKeyError, match=r"refuses the key \(Invalid API key.*TMDB_API_KEY"):
        connect(key="another").fetch_movie(1)
    assert len(tmdb.requests) == 1


def test_a_film_that_is_not_there_is_not_asked_for_again(tmdb: TmdbStandIn, connect: Connect) -> None:
    with pytest.raises(TmdbNotFoundError, match="/movie/999"):
        connect().fetch_movie(999)
    assert len(tmdb.requests) == 1


def test_a_page_beyond_the_last_is_an_error_and_not_asked_for_again(tmdb: TmdbStandIn, connect: Connect) -> None:
    with pytest.raises(TmdbError, match=r"400.*Pages start at 1 and max at 500"):
        connect().fetch_page("/discover/movie", 501)
    assert len(tmdb.requests) == 1


PASSING = [
    Fault(500),
    Fault(503, headers={"Retry-After": "0"}),
    Fault(429),
    Fault(429, headers={"Retry-After": "nonsense"}),
    Fault(drops=True),
    Fault(200, body=b'{"id": 1}', cut=True),
    Fault(200, body=b'{"id": 1, "title'),
    Fault(200, body=b"<html>Bad gateway</html>"),
    Fault(200, body=b"[1, 2]"),
]


@pytest.mark.parametrize("fault", PASSING)
def test_what_passes_is_waited_out(tmdb: TmdbStandIn, connect: Connect, fault: Fault) -> None:
    tmdb.fail("/movie/1", fault, fault)
    assert connect().fetch_movie(1)["title"] == "Film 1"
    assert tmdb.details() == [1, 1, 1]


@pytest.mark.parametrize("fault", PASSING)
def test_what_does_not_pass_ends_as_an_error(tmdb: TmdbStandIn, connect: Connect, fault: Fault) -> None:
    tmdb.fail("/movie/1", fault, forever=True)
    with pytest.raises(TmdbError, match="TMDB"):
        connect(tries=3).fetch_movie(1)
    assert tmdb.details() == [1, 1, 1]


def test_nobody_there_is_said_with_the_address(connect: Connect) -> None:
    address = nobody()
    with pytest.raises(TmdbUnreachableError, match=address):
        connect(base_url=address).fetch_movie(1)


def test_the_pause_that_tmdb_asks_for_is_kept_by_every_thread(tmdb: TmdbStandIn, connect: Connect) -> None:
    tmdb.fail("/movie/1", Fault(429, headers={"Retry-After": "1"}))
    client = connect()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(client.fetch_movie, 1)
        while client._bucket.take() < 0.5:  # until the pause has begun; the pace alone is a thousandth
            time.sleep(0.001)
        list(pool.map(client.fetch_movie, range(2, 6)))
        assert first.result()["id"] == 1
    refused, *later = sorted(request.at for request in tmdb.requests)
    assert len(later) == 5
    assert min(later) - refused >= 0.95


def test_a_pause_too_long_to_be_waited_out_is_said(tmdb: TmdbStandIn, connect: Connect) -> None:
    tmdb.fail("/movie/1", Fault(429, headers={"Retry-After": "3600"}), forever=True)
    with pytest.raises(TmdbUnreachableError, match="3,600 s"):
        connect().fetch_movie(1)
    assert tmdb.details() == [1]


def test_threads_and_retries_together_keep_the_pace(tmdb: TmdbStandIn, connect: Connect) -> None:
    tmdb.fail("/movie/", Fault(500), Fault(500))
    client = connect(rate=40)
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client.fetch_movie, range(1, 19)))
    assert len(tmdb.requests) == 20
    assert time.monotonic() - start >= 18 / 40  # a lower bound: a slow machine only takes longer


def test_connections_are_used_again(tmdb: TmdbStandIn, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "urllib3")
    client = connect()
    for number in range(1, 11):
        client.fetch_movie(number)
    assert caplog.text.count("Starting new HTTP connection") == 1


def test_a_closed_client_asks_nothing(tmdb: TmdbStandIn, connect: Connect) -> None:
    client = connect()
    client.close()
    with pytest.raises(TmdbUnreachableError, match="closed"):
        client.fetch_movie(1)
    assert not tmdb.requests


@pytest.mark.parametrize("secret", ["0123456789abcdef0123456789abcdef", TOKEN])
def test_the_key_is_never_told(
    tmdb: TmdbStandIn, connect: Connect, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    caplog.set_level(logging.DEBUG)
    tmdb.keys = {"api_key": secret, "bearer": secret}
    told = [repr(TmdbConfig(key=secret)), repr(connect(key=secret))]
    connect(key=secret).fetch_movie(1)
    broken = [(tmdb.url, fault) for fault in [*PASSING, Fault(401), Fault(404), Fault(418)]]
    for address, fault in [*broken, (nobody(), PASSING[0]), ("http://[", PASSING[0])]:
        tmdb.heal()
        tmdb.fail("/movie/1", fault, forever=True)
        with pytest.raises(TmdbError) as caught:
            connect(key=secret, base_url=address, tries=2).fetch_movie(1)
        told += [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    assert "/3/movie/1?append_to_response" in caplog.text
    assert secret not in caplog.text + "".join(told)
