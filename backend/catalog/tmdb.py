"""TMDB's API over HTTP: the key kept secret, the pace kept, what may pass tried again, the rest a typed error.

urllib3's own `Retry` is not enough here: its retries pass the rate limit by, its sleep neither stops the other
threads nor ends with them, it does not repeat an answer cut off in the middle, and it logs the address, in which
a v3 key stands.
"""

import logging
import random
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Self

import requests
from requests.auth import AuthBase

from backend.catalog.paced_http import PacedAdapter
from backend.catalog.tmdb_answers import JsonObject, broke_off, json_object, passing_error, pause
from backend.catalog.token_bucket import TokenBucket
from backend.config import Settings
from backend.errors import TmdbError, TmdbKeyError, TmdbUnreachableError

DETAIL_PARTS = "credits,keywords,release_dates"
"""What comes with a film's details in the same request."""
TRANSLATED_PARTS = f"{DETAIL_PARTS},translations"
"""The same in a language, with the film's own for what is not translated."""
Parameters = dict[str, str | int]
LOGGERS_OF_ADDRESSES = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")


@dataclass(frozen=True, kw_only=True)
class TmdbConfig:
    """Where TMDB is, who asks, and how patiently."""

    key: str = field(repr=False)
    """A key (v3) or a read access token (v4)."""
    base_url: str = "https://api.themoviedb.org/3"
    language: str | None = None
    """Of titles and overviews; None: English."""
    rate: float = 40
    """Requests a second, all threads together."""
    threads: int = 12
    """Films fetched at a time: 40 a second, if an answer takes up to 300 ms."""
    page_limit: int = 500
    """Pages that TMDB serves of one list."""
    timeout: float = 10
    """Seconds for a connection, and for each part of an answer."""
    tries: int = 6
    """Times that a request is made before it counts as failed."""
    backoff: float = 0.5
    """Seconds that the first wait lasts at most; each further one at most twice as long."""
    longest_wait: float = 120
    """Seconds of `Retry-After` that are waited out; beyond, the run ends."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\x21-\x7e]+", self.key):
            raise TmdbKeyError("TMDB_API_KEY holds characters that no key of TMDB has.")

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """As the operator set it. Raises TmdbKeyError where there is no key."""
        if settings.tmdb_api_key is None:
            raise TmdbKeyError
        key = settings.tmdb_api_key.get_secret_value().strip()
        base_url, language = settings.tmdb_base_url.rstrip("/"), settings.tmdb_language
        return cls(key=key, base_url=base_url, language=language, rate=settings.tmdb_rate)


class TmdbClient:
    """Asks TMDB; any number of threads may share it. Close it, or use it in a `with`."""

    def __init__(self, config: TmdbConfig, *, rng: random.Random | None = None) -> None:
        self.config = config
        self.faults: Counter[str] = Counter()
        """What went wrong so far, by its kind, whether or not it passed."""
        self._rng = rng or random.Random()
        self._bucket = TokenBucket(config.rate)
        self._auth = _Key(config.key)
        self._adapter = PacedAdapter(self._wait_for_turn, connections=config.threads + 1)
        self._sessions = threading.local()
        self._closed = threading.Event()
        self._counting = threading.Lock()
        for name in LOGGERS_OF_ADDRESSES:
            logging.getLogger(name).addFilter(_without_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a thread that waits for its turn gives up."""
        self._closed.set()
        self._adapter.close()

    def fetch_page(
        self, path: str, number: int, *, unlike: list[Any] | None = None, **parameters: str | int
    ) -> JsonObject:
        """A page of a list, whose results are not those of the page before over again. Raises TmdbError."""
        parameters |= {**self._language(), "page": number}
        return self._fetch(path, parameters, _Right(page=number, unlike=(unlike or None) if number > 1 else None))

    def fetch_movie(self, movie_id: int) -> JsonObject:
        """A film with all that is used of it, in one request.

        Raises TmdbError; TmdbNotFoundError where it is gone.
        """
        parts = TRANSLATED_PARTS if self.config.language else DETAIL_PARTS
        return self._fetch(f"/movie/{movie_id}", {**self._language(), "append_to_response": parts}, _Right())

    def _language(self) -> dict[str, str | int]:
        """Asked of lists too: what these say of a known film is stored with its title."""
        return {"language": self.config.language} if self.config.language else {}

    def _fetch(self, path: str, parameters: Parameters, right: "_Right") -> JsonObject:
        error = TmdbError()
        for attempt in range(self.config.tries):
            self._wait(self._rng.uniform(0, self.config.backoff * 2 ** (attempt - 1)) if attempt else 0)
            answer = self._ask(path, parameters, right)
            if not isinstance(answer, TmdbError):
                return answer
            error = answer
        raise error

    def _wait_for_turn(self) -> None:
        self._wait(0)
        while seconds := self._bucket.take():
            self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise TmdbUnreachableError("The connection to TMDB has been closed.")

    def _ask(self, path: str, parameters: Parameters, right: "_Right") -> JsonObject | TmdbError:
        """The answer, or an error that may pass; an error that will not is raised."""
        try:
            response = self._session().get(
                self.config.base_url + path, params=parameters, timeout=self.config.timeout
            )
        except requests.RequestException as error:
            # Its text holds the address, and so perhaps the key: only its kind is told.
            kind = type(error).__name__
            self._count(kind)
            if broke_off(error):
                return TmdbError(f"TMDB's answer to {path} broke off ({kind}).")
            return TmdbUnreachableError(f"TMDB can't be reached at {self.config.base_url} ({kind}).")
        if response.ok:
            return self._checked(response, path, right)
        self._heed_retry_after(response)
        failure = passing_error(response, path)
        self._count(f"HTTP {response.status_code}")
        return failure

    def _checked(self, response: requests.Response, path: str, right: "_Right") -> JsonObject | TmdbError:
        """What an answer says, if it is what was asked for."""
        answer = json_object(response)
        if not answer or answer.get("success") is False:
            self._count("no JSON object")
            return TmdbError(f"TMDB's answer to {path} is not a JSON object.")
        if not right.holds(answer):
            self._count("another page")
            return TmdbError(f"TMDB answered with another page of {path}.")
        if "json" not in response.headers.get("Content-Type", "json"):
            # It is what it should be, whatever it is called on the way.
            self._count("another content type")
        return answer

    def _count(self, fault: str) -> None:
        with self._counting:
            self.faults[fault] += 1

    def _session(self) -> requests.Session:
        """The session of this thread; connections are shared by all."""
        if not hasattr(self._sessions, "own"):
            session = requests.Session()
            session.auth = self._auth
            session.headers["User-Agent"] = "marquee"
            for scheme in ("https://", "http://"):
                session.mount(scheme, self._adapter)
            self._sessions.own = session
        own: requests.Session = self._sessions.own
        return own

    def _heed_retry_after(self, response: requests.Response) -> None:
        """Where TMDB asks for a pause, no thread asks it anything."""
        seconds = pause(response.headers)
        if seconds > self.config.longest_wait:
            raise TmdbUnreachableError(f"TMDB asks to be left alone for {seconds:,.0f} s; run this again later.")
        self._bucket.hold(seconds)


@dataclass(frozen=True, kw_only=True)
class _Right:
    """By what an answer is known to be the one that was asked for."""

    page: int | None = None
    unlike: list[Any] | None = None
    """The results of the page before."""

    def holds(self, answer: JsonObject) -> bool:
        """Whether it is."""
        return answer.get("page", self.page) == self.page and (
            self.unlike is None or answer.get("results") != self.unlike
        )


class _Key(AuthBase):
    """Puts the key where its kind belongs: a v4 token into the header, a v3 key into the address."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._is_token = "." in key or key.startswith("eyJ")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._is_token:
            request.headers["Authorization"] = f"Bearer {self._key}"
        else:
            request.prepare_url(request.url, {"api_key": self._key})
        return request


def _without_key(record: logging.LogRecord) -> bool:
    """Takes a v3 key out of what a library logs; lets everything through."""
    record.msg, record.args = re.sub(r"(api_key=)[^&\s'\"]+", r"\1…", record.getMessage()), ()
    return True
