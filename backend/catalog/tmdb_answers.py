"""What an answer of TMDB's means: its JSON, the pause that it asks for, which failure may pass and which won't."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.exceptions import ChunkedEncodingError, ContentDecodingError
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from backend.errors import TmdbError, TmdbKeyError, TmdbNotFoundError

JsonObject = dict[str, Any]


def broke_off(error: requests.RequestException) -> bool:
    """Whether TMDB was there, and did not come to the end of its answer."""
    if isinstance(error, requests.ReadTimeout | ChunkedEncodingError | ContentDecodingError):
        return True
    return bool(error.args) and isinstance(error.args[0], ProtocolError | ReadTimeoutError)


def pause(headers: Mapping[str, str]) -> float:
    """Seconds that an answer asks for; a moment that it names is one of the clock there, not of ours."""
    wanted = headers.get("Retry-After", "0").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?", wanted):
        return float(wanted)
    with suppress(ValueError, TypeError, OverflowError):
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else dt.datetime.now(dt.UTC)
        return max(0.0, (parsedate_to_datetime(wanted) - now).total_seconds())
    return 0.0


def passing_error(response: requests.Response, path: str) -> TmdbError:
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
    said = (json_object(response) or {}).get("status_message")
    return f" ({said.strip().rstrip('.')[:200]})" if isinstance(said, str) else ""


def json_object(response: requests.Response) -> JsonObject | None:
    """The object that an answer holds; None where it holds anything else."""
    with suppress(ValueError, RecursionError):
        # Of its bytes: under a wrong content type its text would be decoded wrongly.
        body = json.loads(response.content)
        return body if isinstance(body, dict) else None
    return None


def total_pages(page: JsonObject) -> int:
    """How many pages a list says it has; one that does not say has no more."""
    total = page.get("total_pages")
    return total if isinstance(total, int) else 0
