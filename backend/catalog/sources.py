"""Where films come from without a network: JSON lines, and the bundled starter catalogue."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from backend.errors import UsageError

Line = tuple[int, Any]
"""A line number and what stood there; an unreadable line is its text."""

STARTER = Path(__file__).parent / "starter"
FACTS, PROSE = STARTER / "facts.csv", STARTER / "prose.txt"


def read_json_lines(path: Path) -> Iterator[Line]:
    """The objects of a `.jsonl` or `.jsonl.gz` file, one at a time."""
    try:
        with closing(_open(path)) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, _parse(line)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UsageError(f"{path} is damaged: {error}") from error


def read_starter() -> Iterator[Line]:
    """The bundled films, in TMDB's shape; the best-known with an overview and keywords of our own."""
    prose = read_prose()
    with FACTS.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            split = {key: row[key].split("|") if row[key] else [] for key in ("genres", "directors", "cast")}
            yield number, {**row, **split, **prose.get(int(row["id"]), {})}


def read_prose() -> dict[int, dict[str, Any]]:
    """What we wrote about bundled films, by TMDB id: overview and keywords.

    Blocks of the file are parted by an empty line: `id title (year)`, the overview, `keywords: a, b`.
    """
    blocks = PROSE.read_text("utf-8").strip().split("\n\n")
    return dict(_parse_prose(block.splitlines()) for block in blocks)


def _open(path: Path) -> IO[bytes]:
    try:
        return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error


def _parse_prose(lines: list[str]) -> tuple[int, dict[str, Any]]:
    heading, *overview, last = lines
    keywords = last.removeprefix("keywords: ").split(", ")
    return int(heading.split()[0]), {"overview": " ".join(overview), "keywords": keywords}


def _parse(line: bytes) -> Any:
    """What a line says; the lenient parser knows NaN, half a surrogate pair and a byte order mark."""
    for parse in (orjson.loads, json.loads):
        with suppress(ValueError, RecursionError):
            return parse(line)
    return line.decode("utf-8", "replace")
