"""The daily export of every id that TMDB has: a gzip file of lines of JSON, fetched whole before it counts."""

import datetime as dt
import gzip
import json
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any

import orjson
import requests
from urllib3.exceptions import HTTPError

from backend.catalog.records import MOST_POPULAR
from backend.catalog.values import number, whole
from backend.errors import TmdbError

PUBLISHED_AT = dt.time(9)
"""UTC; TMDB says eight o'clock."""
DAYS_BACK = 3
"""So many earlier exports are tried where the newest is not there."""
NOT_THERE = (403, 404)
TRIES = 5
WAIT = 1.0
"""Seconds before the second try; before each further one twice as long."""
TIMEOUT = 30.0
CHUNK = 2**16


@contextmanager
def fetch_export(
    url: str, *, now: dt.datetime, include_adult: bool, faults: Counter[str]
) -> Iterator[Iterator[tuple[int, float]]]:
    """Films by id with their popularity, from the newest export; for the block.

    What goes wrong is counted among the faults, by its kind. Raises TmdbError where there is no whole export,
    before a line of it is told.
    """
    with tempfile.TemporaryFile() as file:
        _download(url.rstrip("/"), now, file, faults)
        with gzip.open(file) as lines:
            yield _films(lines, include_adult=include_adult)


def _films(lines: Iterable[bytes], *, include_adult: bool) -> Iterator[tuple[int, float]]:
    for film in map(_film, lines):
        found = whole(film.get("id"), low=1)
        if found and (include_adult or not film.get("adult")):
            yield found, number(film.get("popularity"), high=MOST_POPULAR)


def _download(url: str, now: dt.datetime, file: IO[bytes], faults: Counter[str]) -> None:
    """The newest export that there is."""
    newest = (now.astimezone(dt.UTC) - dt.timedelta(hours=PUBLISHED_AT.hour)).date()
    for day in (newest - dt.timedelta(days=back) for back in range(DAYS_BACK + 1)):
        if _download_one(f"{url}/movie_ids_{day:%m_%d_%Y}.json.gz", file, faults):
            return
    raise TmdbError(f"There is no export of ids at {url} since {day}.")


def _download_one(address: str, file: IO[bytes], faults: Counter[str]) -> bool:
    """Whether there is an export of that name; it is in the file then, and is whole. Raises TmdbError."""
    kind = ""
    for attempt in range(TRIES):
        time.sleep(WAIT * 2 ** (attempt - 1) if attempt else 0)
        try:
            with requests.get(address, stream=True, timeout=TIMEOUT) as response:
                if response.status_code in NOT_THERE:
                    return False
                response.raise_for_status()
                _save(response, file)
            return True
        except (requests.RequestException, HTTPError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            kind = type(error).__name__
            faults[kind] += 1
    raise TmdbError(f"{address} can't be fetched whole ({kind}).")


def _save(response: requests.Response, file: IO[bytes]) -> None:
    """As it is sent, and read once to its end: a file that was cut, is empty or is none raises then."""
    file.seek(0)
    file.truncate()
    for chunk in response.raw.stream(CHUNK, decode_content=False):
        file.write(chunk)
    file.seek(0)
    with gzip.open(file) as unpacked:
        if not unpacked.read(1):
            raise EOFError
        while unpacked.read(CHUNK):
            pass
    file.seek(0)


def _film(line: bytes) -> Mapping[str, Any]:
    """What a line says; nothing where it is no object."""
    # The second knows also half of a surrogate pair.
    for read in (orjson.loads, json.loads):
        with suppress(ValueError, RecursionError):
            film = read(line)
            return film if isinstance(film, Mapping) else {}
    return {}
