"""Escaped HTML: Jinja2 templates, single elements, and samples as HTML."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from multigan.core.media import PIANO_ROLL, PLOT, SCORED_TEXT
from multigan.core.protocols import Medium

VOID = {"img", "input", "meta"}  # elements without an end tag
IMAGE_DESCRIPTION = 270  # the EXIF tag
# Lower ends of the probabilities that have a color of their own: LEVELS + 1 colors.
LEVELS = (0.5, 0.1, 0.01, 0.001)
LEAST_SHOWN = 1e-5  # probability
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
        "is_plot": described == PLOT,
        "width": width,
        "height": height,
    }


def _text(medium: Medium, name: str) -> dict[str, Any]:
    return {"template": "text", "text": medium.content.decode(errors="replace")}


def _scored_text(medium: Medium, name: str) -> dict[str, Any]:
    content = json.loads(medium.content)
    scored = [(text, math.exp(min(nats, 0.0))) for text, nats in content["pieces"] if text]
    pieces = [(text, level_of(value), percent(value)) for text, value in scored]
    least = min(scored, key=lambda piece: piece[1], default=("", 0.0))
    return {
        "template": "scored_text",
        "given": content["given"],
        "pieces": pieces,
        "nats": -math.fsum(value for _, value in content["pieces"]),
        "least": (least[0].strip(), percent(least[1])),
    }


def level_of(probability: float) -> int:
    """The color of a probability: 0 for the likeliest ones, len(LEVELS) for the least likely."""
    return sum(probability < end for end in LEVELS)


def percent(probability: float) -> str:
    """A probability in percent, with two digits."""
    is_tiny = probability < LEAST_SHOWN
    text = f"<\N{NO-BREAK SPACE}{100 * LEAST_SHOWN:.2g}" if is_tiny else f"{100 * probability:.2g}"
    return f"{text}\N{NO-BREAK SPACE}%"


def _song(medium: Medium, name: str) -> dict[str, Any]:
    song = json.loads(medium.content)
    return {"template": "song", "audio": song.pop("audio", ""), "song": song}


VIEWS: dict[str, Callable[[Medium, str], dict[str, Any]]] = {
    "image/png": _image,
    "image/webp": _image,
    "text/plain": _text,
    SCORED_TEXT: _scored_text,
    PIANO_ROLL: _song,
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
TEMPLATES.globals["scored_type"], TEMPLATES.globals["levels"] = SCORED_TEXT, LEVELS
