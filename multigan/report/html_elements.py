"""Escaped HTML: Jinja2 templates, single elements, and samples as HTML."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from multigan.core.media import PLOT_METADATA
from multigan.core.protocols import Medium

VOID = {"img", "input", "meta"}  # elements without an end tag
IMAGE_DESCRIPTION = 270  # the EXIF tag
PIXELATED_BELOW = 65  # pixels a side: smaller images are enlarged without smoothing


def element(name: str, /, *children: str, **attributes: str | int | bool) -> Markup:
    """Return an element; text is escaped. `class_` is the attribute class, `data_x` is data-x."""
    start = "".join(_attribute(key, value) for key, value in attributes.items())
    end = "" if name in VOID else f"{joined(*children)}</{name}>"
    return Markup(f"<{name}{start}>{end}")


def joined(*children: str) -> Markup:
    """Concatenate HTML and text; text is escaped."""
    return Markup("").join(children)


def _attribute(key: str, value: str | int | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}" if value else ""
    return f' {name}="{escape(str(value))}"'


def render_media(media: Sequence[Medium]) -> Markup:
    """Render samples as a list; their type decides whether they stand in a row."""
    return Markup(TEMPLATES.get_template("media.html").module.media_list(media))  # type: ignore[attr-defined]


def render_medium(medium: Medium, name: str) -> Markup:
    """Render one medium; `name` is its accessible name."""
    view = VIEWS.get(medium.type, lambda medium, name: {"template": "unknown"})(medium, name)
    macro = getattr(TEMPLATES.get_template("media.html").module, view["template"])
    return Markup(macro(medium, name, view))


def _image(medium: Medium, name: str) -> dict[str, Any]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(medium.content), formats=["PNG", "WEBP"]) as image:
            label, width, height = str(image.info.get("label", "")), image.width, image.height
            described = image.info.get("Description") or image.getexif().get(IMAGE_DESCRIPTION)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return {"template": "unreadable"}
    data = base64.b64encode(medium.content).decode()
    return {
        "template": "image",
        "label": label,
        "name": f"{name}, {label}" if label else name,
        "source": f"data:{medium.type};base64,{data}",
        "pixelated": max(width, height) < PIXELATED_BELOW,
        "is_plot": described == PLOT_METADATA["Description"],
        "width": width,
        "height": height,
    }


def _text(medium: Medium, name: str) -> dict[str, Any]:
    return {"template": "text", "text": medium.content.decode(errors="replace")}


def _song(medium: Medium, name: str) -> dict[str, Any]:
    song = json.loads(medium.content)
    return {"template": "song", "audio": song.pop("audio", ""), "song": song}


VIEWS: dict[str, Callable[[Medium, str], dict[str, Any]]] = {
    "image/png": _image,
    "image/webp": _image,
    "text/plain": _text,
    "application/json;profile=piano-roll": _song,
}
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
TEMPLATES.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
TEMPLATES.globals["render_medium"] = render_medium
