"""TMDB's API over HTTP: the key kept secret, the pace kept, what may pass tried again, the rest a typed error.

urllib3's own `Retry` is not enough here: its retries pass the rate limit by, its sleep neither stops the other
threads nor ends with them, it does not repeat an answer cut off in the middle, and it logs the address, in which
a v3 key stands.
"""

import logging
import random
import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from backend.catalog.token_bucket import TokenBucket
from backend.config import Settings
from backend.errors import TmdbError, TmdbKeyError, TmdbNotFoundError, TmdbUnreachableError

JsonObject = dict[str, Any]
DETAIL_PARTS = "credits,keywords"
"""What comes with a film's details in the same request."""
LOGGERS_OF_ADDRESSES = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry")


@dataclass(frozen=True, kw_only=True)
class TmdbConfig:
    """Where TMDB is, who asks, and how patiently."""

    key: str = field(repr=False)
    """A key (v3) or a read access token (v4)."""
    base_url: str = "https://api.themoviedb.org/3"
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
        return cls(key=key, base_url=settings.tmdb_base_url.rstrip("/"), rate=settings.tmdb_rate)


class TmdbClient:
    """Asks TMDB; any number of threads may share it. Close it, or use it in a `with`."""

    def __init__(self, config: TmdbConfig, *, rng: random.Random | None = None) -> None:
        self.config = config
        self._rng = rng or random.Random()
        self._bucket = TokenBucket(config.rate)
        self._auth = _Key(config.key)
        self._adapter = HTTPAdapter(pool_connections=1, pool_maxsize=config.threads + 1)
        self._sessions = threading.local()
        self._closed = threading.Event()
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

    def fetch_page(self, path: str, number: int, **parameters: str | int) -> JsonObject:
        """A page of a list. Raises TmdbError."""
        return self._fetch(path, {**parameters, "page": number})

    def fetch_movie(self, movie_id: int) -> JsonObject:
        """A film with its credits and keywords. Raises TmdbError; TmdbNotFoundError where it is gone."""
        return self._fetch(f"/movie/{movie_id}", {"append_to_response": DETAIL_PARTS})

    def _fetch(self, path: str, parameters: dict[str, str | int]) -> JsonObject:
        error = TmdbError()
        for attempt in range(self.config.tries):
            self._wait(self._rng.uniform(0, self.config.backoff * 2 ** (attempt - 1)) if attempt else 0)
            while seconds := self._bucket.take():
                self._wait(seconds)
            answer = self._ask(path, parameters)
            if not isinstance(answer, TmdbError):
                return answer
            error = answer
        raise error

    def _wait(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise TmdbUnreachableError("The connection to TMDB has been closed.")

    def _ask(self, path: str, parameters: dict[str, str | int]) -> JsonObject | TmdbError:
        """The answer, or an error that may pass; an error that will not is raised."""
        try:
            response = self._session().get(
                self.config.base_url + path, params=parameters, timeout=self.config.timeout
            )
        except requests.RequestException as error:
            # Its text holds the address, and so perhaps the key: only its kind is told.
            kind = type(error).__name__
            return TmdbUnreachableError(f"TMDB can't be reached at {self.config.base_url} ({kind}).")
        if response.ok:
            return _json_object(response) or TmdbError(f"TMDB's answer to {path} is not a JSON object.")
        self._heed_retry_after(response)
        return _passing_error(response, path)

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
        seconds = 0.0
        with suppress(InvalidHeader, OverflowError):
            seconds = Retry().parse_retry_after(response.headers.get("Retry-After", "0"))
        if seconds > self.config.longest_wait:
            raise TmdbUnreachableError(f"TMDB asks to be left alone for {seconds:,.0f} s; run this again later.")
        self._bucket.hold(seconds)


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


def _passing_error(response: requests.Response, path: str) -> TmdbError:
    """What an answer without success means, where it may pass; raises what will not."""
    status, said = response.status_code, _message(response)
    if status == 401:
        raise TmdbKeyError(f"TMDB refuses the key{said}: see TMDB_API_KEY.")
    if status == 404:
        raise TmdbNotFoundError(f"TMDB has no {path}{said}.")
    error = TmdbError(f"TMDB answered {status} to {path}{said}.")
    if status != 429 and status < 500:
        raise error
    return error


def _message(response: requests.Response) -> str:
    """What TMDB says of an error, in brackets."""
    said = (_json_object(response) or {}).get("status_message")
    return f" ({said.strip().rstrip('.')[:200]})" if isinstance(said, str) else ""


def _json_object(response: requests.Response) -> JsonObject | None:
    with suppress(ValueError, RecursionError):
        body = response.json()
        return body if isinstance(body, dict) else None
    return None


def _without_key(record: logging.LogRecord) -> bool:
    """Takes a v3 key out of what a library logs; lets everything through."""
    record.msg, record.args = re.sub(r"(api_key=)[^&\s'\"]+", r"\1…", record.getMessage()), ()
    return True
