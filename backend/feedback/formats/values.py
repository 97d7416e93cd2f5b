"""What fields of such files may be; anything else is an UnusableRowError that says so."""

import datetime as dt
import re

from backend.feedback.reading import UnusableRowError
from backend.feedback.records import EARLIEST

IMDB_ID = re.compile(r"tt[0-9]{7,10}")
MAX_TMDB_ID = 2**31 - 1
MAX_TITLE = 500
"""Characters: more does not fit into an index."""
YEAR = re.compile(r"(18[7-9]|19[0-9]|20[0-9]|21[0-4])[0-9]")


def parse_rating(raw: object, *, best: int) -> float:
    """A rating of a scale up to `best`, 5 or 10, as one from 0.5 to 5."""
    try:
        value = float(str(raw))
    except ValueError:
        raise UnusableRowError(f"rating {_shown(raw)} is not a number") from None
    step = best / 5
    if not step / 2 <= value <= best:
        raise UnusableRowError(f"rating {_shown(raw)} is not between {step / 2:g} and {best}")
    return value / step


def parse_moment(raw: object) -> dt.datetime:
    """A day, or a day and a time; of UTC where nothing else is said."""
    try:
        moment = dt.datetime.fromisoformat(str(raw))
    except ValueError:
        raise UnusableRowError(f"date {_shown(raw)} is not written like 2026-01-31") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    now = dt.datetime.now(dt.UTC)
    if not EARLIEST <= moment <= now + dt.timedelta(days=1):
        raise UnusableRowError(f"date {_shown(raw)} is in the future, or before 1900")
    # Where it is tomorrow already: what the person does here later today should count as newer.
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return today if moment > now else moment.astimezone(dt.UTC)


def parse_title(raw: object) -> str:
    """The title of a film."""
    title = " ".join(raw.split()) if isinstance(raw, str) else ""
    if not title:
        raise UnusableRowError("no title")
    if len(title) > MAX_TITLE:
        raise UnusableRowError(f"a title of more than {MAX_TITLE} characters")
    if "\ufffd" in title:
        raise UnusableRowError(f"title {_shown(title)} is not in UTF-8")
    return title


def find_title(raw: object) -> str | None:
    """The same where it is only good to know."""
    try:
        return parse_title(raw)
    except UnusableRowError:
        return None


def find_year(raw: object) -> int | None:
    """A year that a film may be of."""
    return int(str(raw)) if YEAR.fullmatch(str(raw)) else None


def _shown(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 40 else f"{text[:40]}…"
