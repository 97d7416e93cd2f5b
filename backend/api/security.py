"""Headers that every answer carries: it is what it says, loads nothing, stands in no frame, and is not kept."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of these an answer may have its own: the page loads its style."""

RawHeaders = list[tuple[bytes, bytes]]

_RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


def with_security(given: RawHeaders) -> RawHeaders:
    """The headers of an answer, and of ours those that it has not set itself."""
    names = {name for name, _ in given}
    return [*given, *(header for header in _RAW if header[0] not in names)]
