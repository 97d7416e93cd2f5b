"""Who may ask: keys are compared in constant time, kept as digests, and never logged."""

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from backend.config import Settings
from backend.errors import NotAllowedError, NotAuthenticatedError, SetupError

COOKIE = "marquee_key"
KEY_FILE = "api_key"
"""Under DATA_DIR: the key that is made where the operator gave none."""
SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
"""How a key travels, as OpenAPI has it; either will do. The page's cookie is not for programs."""


@dataclass(frozen=True)
class Keys:
    """The digests of the keys in force; none at all means an open service."""

    client: tuple[bytes, ...]
    admin: bytes | None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Keys":
        """The operator's keys; beyond loopback there is always one, made and stored if need be."""
        keys = settings.client_keys
        if not keys and not settings.listens_on_loopback:
            keys = [stored_secret(settings.data_dir / KEY_FILE)]
        admin = settings.admin_key.get_secret_value() if settings.admin_key else None
        return cls(tuple(_digest(key) for key in keys), _digest(admin) if admin else None)

    @property
    def known(self) -> tuple[bytes, ...]:
        """All of them: the admin key opens what a client's does."""
        return (*self.client, *((self.admin,) if self.admin else ()))

    def open_to_clients(self, given: str) -> bool:
        """Whether this key lets a client in; the admin key does as well."""
        return not self.client or _is_any(given, self.known)

    def open_to_admin(self, given: str) -> bool:
        """Whether this key lets an admin in."""
        return self.open_to_clients(given) if self.admin is None else _is_any(given, (self.admin,))

    def find(self, given: str) -> str | None:
        """What a key is called where something is counted by key; None where it is none of ours."""
        return _digest(given).hex() if _is_any(given, self.known) else None


def stored_secret(path: Path) -> str:
    """A secret that is made once and readable by its owner only. Raises SetupError where it was emptied."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make_secret(path)
    secret = path.read_text(encoding="ascii").strip()
    if not secret:
        # An empty key would let in everyone who gives none.
        raise SetupError(f"{path} is empty: delete it, and a new secret is made at the next start.")
    return secret


def _make_secret(path: Path) -> None:
    """Whole or not at all, whoever interrupts; of several processes that come at once, one wins."""
    with NamedTemporaryFile("w", encoding="ascii", dir=path.parent) as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        with suppress(FileExistsError):
            os.link(file.name, path)


def given_key(request: Request) -> str:
    """The key that came along, by header or by the page's cookie; empty without."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return request.headers.get("x-api-key") or bearer or request.cookies.get(COOKIE, "")


async def require_client(request: Request) -> None:
    """Let in whoever has a key, or anyone where there is none."""
    keys: Keys = request.app.state.keys
    if not keys.open_to_clients(given_key(request)):
        raise NotAuthenticatedError()


async def require_admin(request: Request, _: Annotated[None, Depends(require_client)]) -> None:
    """Let in the admin; where no admin key is set, any client."""
    keys: Keys = request.app.state.keys
    if not keys.open_to_admin(given_key(request)):
        raise NotAllowedError()


def document_keys(app: FastAPI) -> None:
    """Say in the OpenAPI document which routes ask for a key, and how it travels."""
    generate = app.openapi
    keys: Keys = app.state.keys

    def with_keys() -> dict[str, Any]:
        document = generate()
        document["components"]["securitySchemes"] = SCHEMES
        for operation in chain.from_iterable(path.values() for path in document["paths"].values()):
            if (keys.client and "401" in operation["responses"]) or (
                keys.admin and "403" in operation["responses"]
            ):
                operation["security"] = [{name: []} for name in SCHEMES]
        return document

    app.openapi = with_keys  # type: ignore[method-assign] # as FastAPI's own documentation has it


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _is_any(given: str, known: tuple[bytes, ...]) -> bool:
    digest = _digest(given)
    # All are compared, so that the time tells nothing of which.
    matches = [hmac.compare_digest(digest, one) for one in known]
    return True in matches
