"""Why a film stands in a list: what it shares with the film that was asked about."""

from collections.abc import Mapping
from typing import Any

SHARED = {
    "collection": "collection",
    "director": "directors",
    "actor": "actors",
    "keyword": "keywords",
    "genre": "genres",
}
"""Kinds of reasons, the telling ones first, with the field that each compares."""


def shared_facts(seed: Mapping[str, Any], film: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The facts that two films have in common, as reasons with the names that are shared."""
    reasons = []
    for kind, field in SHARED.items():
        names = [name for name in _as_list(film[field]) if name in _as_list(seed[field])]
        if names:
            reasons.append({"kind": kind, "names": names})
    return reasons


def _as_list(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)
