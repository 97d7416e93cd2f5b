"""HTML in prose to plain text; what only looks like it (`<3`, `a < b`, `AT&T`) stays."""

import html
import re
from html.entities import html5

_BLOCKS = "address|article|blockquote|br|center|dd|div|dl|dt|h[1-6]|hr|li|ol|p|pre|section|table|tbody|td|th|tr|ul"
_INLINE = "a|abbr|b|big|cite|code|del|em|font|i|img|ins|mark|q|s|small|span|strike|strong|sub|sup|tt|u"
# Only elements that there are, and only attributes with a value: `<b and c>` is no element.
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*\s*/?"""
_BLOCK = re.compile(rf"</?(?:{_BLOCKS}){_ATTRIBUTES}>", re.IGNORECASE)
_NOTHING = re.compile(rf"<!--.*?-->|</?(?:{_INLINE}){_ATTRIBUTES}>", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_AROUND_A_BREAK = re.compile(r"[^\S\n]*\n\s*")


def plain_text(text: str) -> str:
    """Text without tags and entities, even where these were escaped more than once; a block begins a line."""
    while (plain := _unescaped_once(text)) != text:
        text = plain
    return text


def _unescaped_once(text: str) -> str:
    """The same text where there is nothing to be done; else a shorter one."""
    if "<" in text and (plain := _NOTHING.sub("", _BLOCK.sub("\n", text))) != text:
        text = _AROUND_A_BREAK.sub("\n", plain).strip()
    return _ENTITY.sub(_character, text) if "&" in text else text


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    return html.unescape(entity[0]) if name[0] == "#" else html5.get(f"{name};", entity[0])
