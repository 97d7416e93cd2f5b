"""A stand-in for TMDB: the part of its v3 API that Marquee uses, over real HTTP, with faults on demand.

By hand: `python -m tests.tmdb_stand_in --port 9999 [--films films.jsonl]`, and then
`TMDB_BASE_URL=http://127.0.0.1:9999/3 TMDB_API_KEY=stand-in-key python movie_pipeline.py`.
"""

import argparse
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from backend.catalog.records import GENRE_IDS, parse_record
from backend.catalog.sources import read_json_lines, read_starter

KEY = "stand-in-key"
TOKEN = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJzdGFuZC1pbiJ9.signature"
PAGE_SIZE = 20
LISTED = (
    *("id", "title", "original_title", "original_language", "overview", "genre_ids", "release_date"),
    *("popularity", "vote_average", "vote_count", "adult", "video", "poster_path", "backdrop_path"),
)
"""What a film shows in a list."""

Film = dict[str, Any]
Query = dict[str, str]


@dataclass(frozen=True)
class Fault:
    """An answer other than the right one."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """None: an error as TMDB words it."""
    drops: bool = False
    """Close the connection without an answer."""
    cut: bool = False
    """Promise more bytes than come."""


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    query: Query
    authorization: str | None
    at: float
    """Seconds on the monotonic clock."""


class TmdbStandIn:
    """A local TMDB with the films given; use it in a `with`."""

    def __init__(
        self, films: Iterable[Film] | None = None, *, port: int = 0, key: str = KEY, page_limit: int = 500
    ) -> None:
        self.films = {film["id"]: film for film in (starter_films() if films is None else films)}
        self.keys = {"api_key": key, "bearer": TOKEN}
        self.page_limit = page_limit
        self.ignored: set[str] = set()
        """Parameters that it takes no notice of."""
        self.requests: list[Asked] = []
        self._faults: list[tuple[str, list[Fault], bool]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What TMDB_BASE_URL is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/3"

    def fail(self, path: str, *faults: Fault, forever: bool = False) -> None:
        """Answer the next requests to paths that begin so with these; the last one again and again, if forever."""
        with self._lock:
            self._faults.append((path, list(faults), forever))

    def heal(self) -> None:
        """Answer rightly from now on."""
        with self._lock:
            self._faults.clear()

    def asked(self, path: str) -> list[Asked]:
        """The requests to paths that begin so."""
        with self._lock:
            return [request for request in self.requests if request.path.startswith(path)]

    def details(self) -> list[int]:
        """The films whose details were asked for, in order."""
        last = [request.path.rpartition("/")[2] for request in self.asked("/movie/")]
        return [int(word) for word in last if word.isdigit()]

    def note(self, request: Asked) -> Fault | None:
        """Record a request; the fault that is its due."""
        with self._lock:
            self.requests.append(request)
            for path, faults, forever in self._faults:
                if faults and request.path.startswith(path):
                    return faults[0] if forever and len(faults) == 1 else faults.pop(0)
        return None

    def answer(self, request: Asked) -> tuple[int, Any]:
        """Status and body, as TMDB would have it."""
        bearer = f"Bearer {self.keys['bearer']}"
        if request.query.get("api_key") != self.keys["api_key"] and request.authorization != bearer:
            return error(401, 7, "Invalid API key: You must be granted a valid key.")
        query = {name: value for name, value in request.query.items() if name not in self.ignored}
        if request.path == "/discover/movie":
            return self._page(discovered(list(self.films.values()), query), query)
        name = request.path.removeprefix("/movie/")
        if name in CURATED:
            return self._page(CURATED[name](list(self.films.values())), query)
        if name.isdigit() and int(name) in self.films:
            return 200, detail(self.films[int(name)], query)
        return error(404, 34, "The resource you requested could not be found.")

    def _page(self, films: list[Film], query: Query) -> tuple[int, Any]:
        number = query.get("page", "1")
        if not number.isdecimal() or not 1 <= int(number) <= self.page_limit:
            said = (
                f"Invalid page: Pages start at 1 and max at {self.page_limit}. They are expected to be an integer."
            )
            return error(400, 22, said)
        first = (int(number) - 1) * PAGE_SIZE
        return 200, {
            "page": int(number),
            "results": [{name: film[name] for name in LISTED} for film in films[first : first + PAGE_SIZE]],
            "total_pages": min(-(-len(films) // PAGE_SIZE), self.page_limit),
            "total_results": len(films),
        }


def error(status: int, code: int, message: str) -> tuple[int, Any]:
    """An error as TMDB words it."""
    return status, {"success": False, "status_code": code, "status_message": message}


def discovered(films: list[Film], query: Query) -> list[Film]:
    """The films that a query of /discover/movie names, sorted as it says."""
    least, most = int(query.get("vote_count.gte", 0)), int(query.get("vote_count.lte", 10**9))
    adult = query.get("include_adult") == "true"
    found = [film for film in films if least <= film["vote_count"] <= most and (adult or not film["adult"])]
    what, _, direction = query.get("sort_by", "popularity.desc").rpartition(".")
    return sorted(found, key=lambda film: (film[what], film["id"]), reverse=direction == "desc")


def _sorted_by(*names: str) -> Callable[[list[Film]], list[Film]]:
    return lambda films: sorted(films, key=lambda film: tuple(film[name] for name in names), reverse=True)


CURATED: dict[str, Callable[[list[Film]], list[Film]]] = {
    "popular": _sorted_by("popularity", "id"),
    "top_rated": _sorted_by("vote_average", "id"),
    "now_playing": _sorted_by("release_date", "popularity", "id"),
    "upcoming": _sorted_by("release_date", "id"),
}


def detail(film: Film, query: Query) -> Film:
    """A film's details, with the parts that were asked for."""
    appended = query.get("append_to_response", "").split(",")
    parts = {"credits", "keywords"} - set(appended)
    return {name: value for name, value in film.items() if name not in parts and name != "genre_ids"}


def make_film(raw: Film) -> Film:
    """A film as TMDB knows it, from TMDB-shaped facts; an overview is made up where there is none."""
    record = parse_record(raw)
    date = record.release_date.isoformat() if record.release_date else ""
    return {
        "adult": record.adult,
        "backdrop_path": record.backdrop_path,
        "belongs_to_collection": {"name": record.collection} if record.collection else None,
        "budget": record.budget or 0,
        "credits": {
            "cast": [{"name": name, "order": order} for order, name in enumerate(record.actors)],
            "crew": [{"name": name, "job": "Director"} for name in record.directors],
        },
        "genre_ids": [GENRE_IDS[name] for name in record.genres if name in GENRE_IDS],
        "genres": [{"id": GENRE_IDS.get(name, 0), "name": name} for name in record.genres],
        "id": record.id,
        "imdb_id": record.imdb_id,
        "keywords": {"keywords": [{"id": len(word), "name": word} for word in record.keywords]},
        "original_language": record.original_language or "en",
        "original_title": record.original_title or record.title,
        "overview": record.overview or made_up_overview(record.title, record.genres, record.actors),
        "popularity": record.popularity,
        "poster_path": record.poster_path,
        "release_date": date,
        "revenue": record.revenue or 0,
        "runtime": record.runtime or 0,
        "status": record.status or "Released",
        "tagline": record.tagline or "",
        "title": record.title,
        "video": False,
        "vote_average": record.vote_average,
        "vote_count": record.vote_count,
    }


def made_up_overview(title: str, genres: list[str], actors: list[str]) -> str:
    """Some words about a film."""
    kind = " and ".join(genres[:2]).lower() or "unusual"
    who = " and ".join(actors[:2]) or "strangers"
    return f"{title} is a {kind} story of {who}, told by the stand-in, in which nothing ends as it began."


def starter_films() -> Iterator[Film]:
    """The films of the starter catalogue, as TMDB would have them."""
    return (make_film(raw | {"overview": None, "keywords": None}) for _, raw in read_starter())


def numbered_films(total: int) -> list[Film]:
    """Film 1, the best-known, to film `total`, each with a vote less, the last with 50."""
    films = ({"id": n, "title": f"Film {n}", "vote_count": 50 + total - n, "genres": ["Drama"]} for n in count(1))
    return [make_film(film) for film, _ in zip(films, range(total), strict=False)]


def _handler(stand_in: TmdbStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            path = url.path.removeprefix("/3")
            bearer = self.headers.get("Authorization")
            request = Asked(path, dict(parse_qsl(url.query)), bearer, time.monotonic())
            fault = stand_in.note(request)
            if fault is None:
                status, body = stand_in.answer(request)
                self.send(Fault(status, body=json.dumps(body).encode()))
            elif fault.drops:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                self.send(fault)

        def send(self, answer: Fault) -> None:
            body = answer.body
            if body is None:
                body = json.dumps(error(answer.status, 11, "Internal error: Something went wrong.")[1]).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json;charset=utf-8")
            self.send_header("Content-Length", str(len(body) + 100 * answer.cut))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or answer.cut

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.tmdb_stand_in", description=__doc__)
    parser.add_argument("--port", type=int, default=9999)
    parser.add_argument("--films", type=Path, help="TMDB-shaped JSON lines; without, the starter catalogue")
    arguments = parser.parse_args()
    films = map(make_film, (raw for _, raw in read_json_lines(arguments.films))) if arguments.films else None
    with TmdbStandIn(films, port=arguments.port) as stand_in:
        print(f"{len(stand_in.films):,} films at {stand_in.url}; the key is {KEY}, the token {TOKEN}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
