"""A stand-in for TMDB: the part of its v3 API that Marquee uses, over real HTTP, with faults on demand.

By hand: `python -m tests.tmdb_stand_in --port 9999 [--films films.jsonl]`, and then
`TMDB_BASE_URL=http://127.0.0.1:9999/3 TMDB_EXPORT_URL=http://127.0.0.1:9999/p/exports TMDB_API_KEY=stand-in-key
python movie_pipeline.py`.
"""

import argparse
import datetime as dt
import gzip
import random
import signal
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import orjson

from backend.catalog.sources import read_json_lines
from tests.tmdb_faults import KINDS, Chance, Fault, Kind
from tests.tmdb_films import (
    CURATED,
    Film,
    Query,
    detail,
    discovered,
    exported,
    listed,
    make_film,
    numbered_films,
    starter_films,
)
from tests.tmdb_http import Answer, Asked, Server, error

__all__ = [
    *("KEY", "KINDS", "TOKEN", "Asked", "Chance", "Fault", "Film", "TmdbStandIn", "make_film", "numbered_films"),
    *("starter_films",),
]

KEY = "stand-in-key"
TOKEN = "eyJhbGciOiJub25lIn0.eyJhdWQiOiJzdGFuZC1pbiJ9.signature"
PAGE_SIZE = 20
CHANGES_SIZE = 100
"""Films on a page of changes."""
CHANGES_DAYS = 14


class TmdbStandIn:
    """A local TMDB with the films given; use it in a `with`.

    What is done to `films`, or to one of them, counts from the next request on.
    """

    def __init__(
        self, films: Iterable[Film] | None = None, *, port: int = 0, key: str = KEY, page_limit: int = 500
    ) -> None:
        self.films = {film["id"]: film for film in (starter_films() if films is None else films)}
        self.keys = {"api_key": key, "bearer": TOKEN}
        self.page_limit = page_limit
        self.rate: float | None = None
        """Requests a second, above which it answers 429."""
        self.chance = Chance(0)
        """Faults for a share of all requests."""
        self.slow = 0.5
        """Seconds that a slow answer takes."""
        self.skew = dt.timedelta()
        """So much is its clock ahead."""
        self.gone: set[int] = set()
        """Films that its lists and exports still have, and that are not there."""
        self.changed: dict[dt.date, list[int]] = defaultdict(list)
        """By day the films that changed."""
        self.lasting = False
        """Nothing is done to the films any more, so that lists need not be sorted for each request."""
        self.ignored: set[str] = set()
        """Parameters that it takes no notice of."""
        self.requests: list[Asked] = []
        self.refused = 0
        """Requests above the rate."""
        self._faults: list[tuple[str, list[Fault], bool]] = []
        self._lists: dict[str, list[Film]] = {}
        self._recent: deque[float] = deque()
        self._lock = threading.Lock()
        self._server = Server(self, port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Be gone: nobody listens any more, and open connections end."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What TMDB_BASE_URL is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/3"

    @property
    def export_url(self) -> str:
        """What TMDB_EXPORT_URL is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/p/exports"

    def change(self, film: int, day: dt.date, **fields: Any) -> None:
        """Something of a film changes on a day."""
        self.films[film] |= fields
        self.changed[day].append(film)

    def fail(self, path: str, *faults: Fault, forever: bool = False) -> None:
        """Answer the next requests to paths that begin so with these; the last one again and again, if forever."""
        with self._lock:
            self._faults.append((path, list(faults), forever))

    def heal(self) -> None:
        """Answer rightly from now on."""
        with self._lock:
            self._faults.clear()
            self.chance = Chance(0)

    def asked(self, path: str) -> list[Asked]:
        """The requests to paths that begin so."""
        with self._lock:
            return [request for request in self.requests if request.path.startswith(path)]

    def details(self) -> list[int]:
        """The films whose details were asked for, in order."""
        last = [request.path.rpartition("/")[2] for request in self.asked("/movie/")]
        return [int(word) for word in last if word.isdigit()]

    def note(self, request: Asked) -> Fault | Kind | None:
        """Record a request; the fault that is its due."""
        with self._lock:
            self.requests.append(request)
            if self._above_the_rate(request.at):
                self.refused += 1
                return "limit"
            for path, faults, forever in self._faults:
                if faults and request.path.startswith(path):
                    return faults[0] if forever and len(faults) == 1 else faults.pop(0)
            return self.chance.draw(paged=request.query.get("page", "1") != "1")

    def _above_the_rate(self, at: float) -> bool:
        """Whether the last second has seen as many requests as are allowed."""
        if self.rate is None or self.rate == float("inf"):
            return False
        while self._recent and self._recent[0] <= at - 1:
            self._recent.popleft()
        if len(self._recent) >= self.rate:
            return True
        self._recent.append(at)
        return False

    def answer(self, request: Asked) -> Answer:
        """Status and body, as TMDB would have it; a body of bytes is a file."""
        if request.path.startswith("/p/exports/"):
            return self._export(request.path.rpartition("/")[2])
        bearer = f"Bearer {self.keys['bearer']}"
        if request.query.get("api_key") != self.keys["api_key"] and request.authorization != bearer:
            return error(401, 7, "Invalid API key: You must be granted a valid key.")
        query = {name: value for name, value in request.query.items() if name not in self.ignored}
        name = request.path.removeprefix("/movie/")
        if name == "changes":
            return self._changes(query)
        if name in CURATED:
            return self._page(self._list(name, CURATED[name]), query)
        if name == "/discover/movie":
            asked = {word: value for word, value in query.items() if word != "page"}
            return self._page(self._list(str(asked), lambda films: discovered(films, query)), query)
        film = self.films.get(int(name)) if name.isdecimal() else None
        if film is None or film["id"] in self.gone:
            return error(404, 34, "The resource you requested could not be found.")
        return 200, detail(film, query)

    def _list(self, name: str, sort: Callable[[list[Film]], list[Film]]) -> list[Film]:
        if not self.lasting:
            return sort(list(self.films.values()))
        if name not in self._lists:
            self._lists[name] = sort(list(self.films.values()))
        return self._lists[name]

    def _page(self, films: list[Film], query: Query, *, size: int = PAGE_SIZE, show: Any = listed) -> Answer:
        number = query.get("page", "1")
        if not number.isdecimal() or not 1 <= int(number) <= self.page_limit:
            said = (
                f"Invalid page: Pages start at 1 and max at {self.page_limit}. They are expected to be an integer."
            )
            return error(400, 22, said)
        first = (int(number) - 1) * size
        return 200, {
            "page": int(number),
            "results": [show(film) for film in films[first : first + size]],
            "total_pages": min(-(-len(films) // size), self.page_limit),
            "total_results": len(films),
        }

    def _changes(self, query: Query) -> Answer:
        """What changed on the days from `start_date` to `end_date`, each film once."""
        today = self.now().date()
        try:
            begin = dt.date.fromisoformat(query.get("start_date", str(today - dt.timedelta(days=1))))
            end = dt.date.fromisoformat(query.get("end_date", str(today)))
        except ValueError:
            return error(400, 23, "Invalid date: Format needs to be YYYY-MM-DD.")
        if (end - begin).days > CHANGES_DAYS:
            return error(422, 20, "Invalid date range: Should be a range no longer than 14 days.")
        days = [ids for day, ids in sorted(self.changed.items()) if begin <= day <= end]
        found = [{"id": film, "adult": False} for film in dict.fromkeys(film for ids in days for film in ids)]
        return self._page(found, query, size=CHANGES_SIZE, show=dict)

    def _export(self, name: str) -> Answer:
        """The ids as of a day that has been, one film a line."""
        today = self.now().date()
        published = {f"movie_ids_{today - dt.timedelta(days=back):%m_%d_%Y}.json.gz" for back in range(90)}
        if name not in published:
            return 403, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"
        films = self._list("export", lambda films: sorted(films, key=lambda film: film["id"]))
        return 200, gzip.compress(b"".join(orjson.dumps(exported(film)) + b"\n" for film in films), 1)

    def now(self) -> dt.datetime:
        """What its clock says."""
        return dt.datetime.now(dt.UTC) + self.skew


def main() -> None:
    """Serve until Ctrl-C; what was asked for, and dealt, is said at the end."""
    parser = argparse.ArgumentParser(prog="python -m tests.tmdb_stand_in", description=__doc__)
    parser.add_argument("--port", type=int, default=9999)
    parser.add_argument("--films", type=Path, help="TMDB-shaped JSON lines; without, the starter catalogue")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N films")
    parser.add_argument("--numbered", type=int, metavar="N", help="films 1 to N, made up")
    parser.add_argument("--rate", type=float, metavar="R", help="answer 429 above R requests a second")
    parser.add_argument("--faults", type=float, default=0, metavar="P", help="share of all requests that fail")
    parser.add_argument("--kinds", default=",".join(KINDS), help="in which of these ways (all)")
    parser.add_argument("--seed", type=int, default=0, help="of what chance draws")
    parser.add_argument("--slow", type=float, default=12, metavar="S", help="seconds that a slow answer takes")
    parser.add_argument("--skew", type=float, default=0, metavar="S", help="seconds that its clock is ahead")
    parser.add_argument("--gone", type=float, default=0, metavar="P", help="share of the films that are not there")
    parser.add_argument("--changes", type=int, default=0, metavar="N", help="films that changed today")
    arguments = parser.parse_args()
    stand_in = _stand_in(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with stand_in:
        print(f"{len(stand_in.films):,} films at {stand_in.url}, ids at {stand_in.export_url}")
        print(f"The key is {KEY}, the token {TOKEN}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            seconds = stand_in.requests[-1].at - stand_in.requests[0].at if stand_in.requests else 0.0
            asked = f"{len(stand_in.requests):,} requests ({len(stand_in.details()):,} of details)"
            told = f"{asked} in {seconds:.1f} s, {stand_in.refused:,} above the rate"
            print(f"{told}; faults: {dict(stand_in.chance.dealt)}")


def _stand_in(arguments: argparse.Namespace) -> TmdbStandIn:
    films: Iterable[Film] | None = None
    if arguments.films:
        films = map(make_film, (raw for _, raw in read_json_lines(arguments.films)))
    elif arguments.numbered:
        films = numbered_films(arguments.numbered)
    stand_in = TmdbStandIn(films, port=arguments.port)
    stand_in.films = dict(list(stand_in.films.items())[: arguments.first])
    rng = random.Random(arguments.seed)
    stand_in.gone = {film for film in stand_in.films if rng.random() < arguments.gone}
    kinds = tuple(kind for kind in KINDS if kind in arguments.kinds.split(","))
    stand_in.chance = Chance(arguments.faults, seed=arguments.seed, kinds=kinds)
    stand_in.rate, stand_in.slow, stand_in.lasting = arguments.rate, arguments.slow, True
    stand_in.skew = dt.timedelta(seconds=arguments.skew)
    for film in list(stand_in.films)[: arguments.changes]:
        overview = f"{stand_in.films[film]['overview']} Told anew."
        stand_in.change(film, stand_in.now().date(), overview=overview)
    return stand_in


if __name__ == "__main__":
    main()
