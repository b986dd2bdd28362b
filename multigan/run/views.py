"""How a page shows a medium: a table of MIME types. A page never asks which domain it shows."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence

from multigan.contract import Medium
from multigan.run.markup import Safe, data_block, data_url, joined, tag

ENLARGED_BELOW = 65  # pixels a side: such a picture is shown larger, without smoothing


def show_all(media: Sequence[Medium]) -> Safe:
    """Media side by side, or one below the other, as their type asks for."""
    if not media:
        return tag("p", "nothing to show", class_="quiet")
    kind = media[0].type.partition("/")[0]
    alone = " alone" if len(media) == 1 else ""
    items = [tag("li", show(m, f"sample {k + 1}")) for k, m in enumerate(media)]
    return tag("ol", *items, class_=f"media {kind}{alone}")


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
        return tag("p", f"{name}: a picture that cannot be read", class_="quiet")
    small = max(size.values()) < ENLARGED_BELOW
    source = data_url(medium.type, medium.content)
    named = f"{name}, {label}" if label else name
    image = tag("img", alt=named, title=named, src=source, class_="pixels" if small else "", **size)
    return joined(image, tag("small", label)) if label else image


def _line(medium: Medium, name: str) -> Safe:
    return tag("p", medium.content.decode(errors="replace"), class_="line")


def _song(medium: Medium, name: str) -> Safe:
    song = json.loads(medium.content)
    without = tag("noscript", tag("p", "A song; a browser with scripts plays it.", class_="quiet"))
    return tag("div", data_block(song, "song"), without, class_="song", data_name=name)


def _unknown(medium: Medium, name: str) -> Safe:
    return tag("p", f"{name}: {medium.type}, of which this page has no view", class_="quiet")


VIEWS: dict[str, Callable[[Medium, str], Safe]] = {
    "image/png": _picture,
    "image/webp": _picture,
    "text/plain": _line,
    "application/json;profile=piano-roll": _song,
}
