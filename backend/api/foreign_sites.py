"""Where no key is asked for, the browser is the way in: pages of other sites that the same person has open.

Such a page may send a form here, and its site's name may be made to lead to this machine (DNS rebinding), so that
the browser lets it read what comes back. With keys neither helps it: it has none, and the page's cookie goes with
no request of another site.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.api.problems import app_problem
from backend.errors import ForeignSiteError

READING = {"GET", "HEAD", "OPTIONS"}
NOBODY_CAN_OWN = (
    *("localhost", "local", "internal", "home.arpa", "test", "invalid"),
    *("example", "example.com", "example.net", "example.org"),
)
"""Domains that are never given to anyone (RFC 6761, RFC 6762, RFC 8375, and ICANN's `internal`)."""


class RefuseForeignSites:
    """Answers where the name that was asked for is one of this network's, and changes nothing for another site."""

    def __init__(self, app: ASGIApp, *, allowed_origins: list[str]) -> None:
        self.app = app
        self._allowed = set(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        refusal = self._refusal(scope["method"], Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await app_problem(refusal)(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> ForeignSiteError | None:
        host = headers.get("host", "")
        if not is_of_this_network(host):
            return ForeignSiteError(
                f"Asked for as {host}, Marquee needs a key: set API_KEYS, or ask for it as localhost."
            )
        if method not in READING and self._is_foreign(headers, host):
            return ForeignSiteError("Pages of other sites change nothing here: name theirs in CORS_ORIGINS.")
        return None

    def _is_foreign(self, headers: Headers, host: str) -> bool:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if origin is None or site in ("same-origin", "none"):
            # Programs send neither.
            return site == "cross-site"
        return origin not in self._allowed and urlsplit(origin).netloc != host


def is_of_this_network(host: str) -> bool:
    """Whether a Host header is an address, a name without a dot, or one in a domain that nobody can own."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    return "." not in name or _is_address(name) or any(f".{name}".endswith(f".{one}") for one in NOBODY_CAN_OWN)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
