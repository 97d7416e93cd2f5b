"""The id of the request being answered: in its answer, in its errors, in its log lines."""

import re
from uuid import uuid4

import structlog

HEADER = "X-Request-ID"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def begin_request(given: str | None) -> str:
    """Take the caller's id where it is fit to be logged, else make one."""
    chosen = given if given and _GIVEN.fullmatch(given) else uuid4().hex
    structlog.contextvars.bind_contextvars(request_id=chosen)
    return chosen


def request_id() -> str:
    """The id of the request that this code runs for; empty outside of one."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))
