"""Lists of names as older databases wrote them: JSON, Python's literals, or separated text (pure)."""

import ast
import json
import re

NOTHING = {"", "null", "none", "nan"}
OPENERS = "[{(\"'"


def read_names(raw: str) -> list[str] | None:
    """The names in a text such as `["Drama"]`, `[{'id': 18, 'name': 'Drama'}]`, `Drama, War` or `Drama|War`.

    None where it begins as a list or an object and can't be read as one.
    """
    raw = raw.strip()
    if raw.lower() in NOTHING:
        return []
    if raw[0] in OPENERS:
        try:
            return _names_in(_parse(raw))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            if raw[0] in "[{":
                return None
    return _tidy(re.split(r"\|" if "|" in raw else ",", raw))


def _parse(raw: str) -> object:
    try:
        return json.loads(raw)
    except ValueError:
        return ast.literal_eval(raw)


def _names_in(value: object) -> list[str] | None:
    if isinstance(value, str):
        return read_names(value)
    items = value if isinstance(value, list | tuple | set) else [value]
    return _tidy([_name(item) for item in items])


def _name(item: object) -> str:
    if isinstance(item, dict) and item:
        item = item["name"] if "name" in item else _refuse(item)
    if item is None or item == {}:
        return ""
    return str(item) if isinstance(item, str | int) else _refuse(item)


def _refuse(item: object) -> str:
    raise ValueError(f"no name in {item!r}")


def _tidy(names: list[str]) -> list[str]:
    # PostgreSQL's text can't hold a NUL, which JSON may write as \u0000.
    stripped = (name.replace("\0", "").strip() for name in names)
    return list(dict.fromkeys(name for name in stripped if name))
