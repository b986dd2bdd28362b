"""HTML that is escaped by construction: text is text until an element is made of it."""

from __future__ import annotations

import base64
import html
import json
from typing import Any

VOID = {"img", "input", "meta"}  # elements without an end


class Safe(str):
    """HTML that needs no escaping any more."""


def tag(name: str, /, *children: str, **attributes: str | int | bool) -> Safe:
    """An element. Children that are not `Safe` are text; `class_` is class, `data_x` is data-x."""
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    end = "" if name in VOID else f"{joined(*children)}</{name}>"
    return Safe(f"<{name}{said}>{end}")


def joined(*children: str) -> Safe:
    """Children one after the other; those that are not `Safe` are text."""
    return Safe("".join(c if isinstance(c, Safe) else html.escape(c) for c in children))


def _attribute(key: str, value: str | int | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{html.escape(str(value))}"'


def data_block(content: Any, kind: str) -> Safe:
    """JSON for the page's script to read: an element that a browser never executes."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for character in "<>&":  # so that neither an end tag nor a comment can stand in it
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Safe(f'<script type="application/json" data-kind="{html.escape(kind)}">{text}</script>')


def data_url(kind: str, content: bytes) -> str:
    """The bytes as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
