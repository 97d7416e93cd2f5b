"""A value of JSON, whatever it may be, to what a column holds; None where it says nothing that can be true."""

import datetime as dt
import json
import re
import sys
from typing import Any

from backend.catalog.plain_text import plain_text

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
LONGEST_LINE = 500
"""Of a title or a name so many characters are kept: an index holds no more than 2,704 bytes."""
LONGEST_PROSE = 10_000
"""TMDB's own limit is a thousand."""
FIRST_FILM, LAST_FILM = 1870, 2199
"""Any other year is a mistake. (A film of 2015, `100 Years`, is to be shown in 2115.)"""
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")


def line(value: Any) -> str | None:
    """A title or a name: as it is, but for what no index holds."""
    return _text(value, LONGEST_LINE)


def prose(value: Any) -> str | None:
    """What an overview says, without HTML."""
    text = _text(value, LONGEST_PROSE)
    return _text(plain_text(text), LONGEST_PROSE) if text and ("<" in text or "&" in text) else text


def whole(value: Any, *, low: int, high: int = MAX_INTEGER) -> int | None:
    """A whole number within bounds, else None: TMDB writes 0 for unknown."""
    if isinstance(value, bool):
        return None
    try:
        found = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if low <= found <= high else None


def number(value: Any, *, high: float = sys.float_info.max) -> float:
    """A finite number from 0 up; anything else counts as 0."""
    if isinstance(value, bool):
        return 0.0
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return found if 0 <= found <= high else 0.0


def flag(value: Any) -> bool:
    """Whether a flag is set, in any spelling."""
    return value.strip().lower() in ("true", "1") if isinstance(value, str) else value == 1


def date(value: Any) -> dt.date | None:
    """A day, with or without a time behind it."""
    written = DATE.match(value.strip()) if isinstance(value, str) else None
    if written is None:
        return None
    try:
        found = dt.date.fromisoformat(written[0])
    except ValueError:
        return None
    return found if FIRST_FILM <= found.year <= LAST_FILM else None


def as_text(value: Any) -> str:
    """A value as JSON has it, or what stood there instead of JSON; empty where it is nested too deep to write."""
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return ""


def _text(value: Any, longest: int) -> str | None:
    """Text without surrounding space; PostgreSQL can't store a NUL or a lone surrogate."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode("utf-8", "ignore").decode().strip()[:longest].strip() or None
