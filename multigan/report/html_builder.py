"""Build escaped HTML, and render sample media as HTML."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from multigan.core.protocols import Medium

VOID = {"img", "input", "meta"}  # elements without an end


class Safe(str):
    """HTML that needs no escaping any more."""


def element(name: str, /, *children: str, **attributes: str | int | bool) -> Safe:
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


ENLARGED_BELOW = 65  # pixels a side: such a picture is shown larger, without smoothing


def render_media(media: Sequence[Medium]) -> Safe:
    """Media side by side, or one below the other, as their type asks for."""
    if not media:
        return element("p", "nothing to show", class_="quiet")
    kind = media[0].type.partition("/")[0]
    alone = " alone" if len(media) == 1 else ""
    items = [element("li", show(m, f"sample {k + 1}")) for k, m in enumerate(media)]
    return element("ol", *items, class_=f"media {kind}{alone}")


def show(medium: Medium, name: str) -> Safe:
    """One medium; `name` is what it is called for someone who does not see it."""
    return VIEWS.get(medium.type, _unknown)(medium, name)


def _picture(medium: Medium, name: str) -> Safe:
    from PIL import Image

    label, size = "", {}
    try:
        with Image.open(io.BytesIO(medium.content), formats=["PNG", "WEBP"]) as picture:
            label = str(picture.info.get("label", ""))
            size = {"width": picture.width, "height": picture.height}
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return element("p", f"{name}: a picture that cannot be read", class_="quiet")
    small = max(size.values()) < ENLARGED_BELOW
    source = data_url(medium.type, medium.content)
    named = f"{name}, {label}" if label else name
    image = element(
        "img", alt=named, title=named, src=source, class_="pixels" if small else "", **size
    )
    return joined(image, element("small", label)) if label else image


def _line(medium: Medium, name: str) -> Safe:
    return element("p", medium.content.decode(errors="replace"), class_="line")


def _song(medium: Medium, name: str) -> Safe:
    song = json.loads(medium.content)
    without = element(
        "noscript", element("p", "A song; a browser with scripts plays it.", class_="quiet")
    )
    return element("div", data_block(song, "song"), without, class_="song", data_name=name)


def _unknown(medium: Medium, name: str) -> Safe:
    return element("p", f"{name}: {medium.type}, of which this page has no view", class_="quiet")


VIEWS: dict[str, Callable[[Medium, str], Safe]] = {
    "image/png": _picture,
    "image/webp": _picture,
    "text/plain": _line,
    "application/json;profile=piano-roll": _song,
}
