"""Conversion of pixel values to 8 bits, by one range for a whole set of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageColor

DEEP_MODES = {"I": "32-bit", "I;16": "16-bit", "I;16L": "16-bit", "I;16B": "16-bit"}
DEEP_MODES |= {"I;16N": "16-bit", "F": "floating-point"}  # modes of Pillow -> kind of values
BYTES = "8-bit"  # the kind of all other values
DEFAULT_RANGES = {BYTES: (0.0, 255.0), "16-bit": (0.0, 65_535.0), "32-bit": (0.0, 65_535.0)}
FLOAT_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (0.0, 65_535.0))  # the first that fits
# Shares of the range below which the largest value of a set is reported as low.
LOW_SHARES = {"16-bit": 0.5, "32-bit": 0.5}
LOW_SHARE = 0.25  # of other values
Range = tuple[float, float]


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading images: background, alpha, frames, and the ranges of their values.

    background: color below transparent pixels: white, black or #rrggbb
    alpha: keep transparency as a fourth channel
    all_frames: read every frame of animations and every page, not the first one only
    stretch: scale the values by one factor, so that the largest of the set becomes 255
    ranges: range of each kind of values that becomes 0 to 255, as found for the whole set

    Raises ValueError for an unknown background.
    """

    background: str = "white"
    alpha: bool = False
    all_frames: bool = False
    stretch: bool = False
    ranges: Mapping[str, Range] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        is_hex = self.background.startswith("#") and len(self.background) == 7
        try:
            self.color  # noqa: B018
            valid = is_hex or self.background in ("white", "black")
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(f"background must be white, black or #rrggbb; got {self.background!r}")

    @property
    def color(self) -> tuple[int, int, int, int]:
        """The background as red, green, blue and an alpha of 255."""
        return (*ImageColor.getrgb(self.background)[:3], 255)

    def range_of(self, kind: str) -> Range:
        """Return the range of one kind of values that becomes 0 to 255."""
        low, high = self.ranges.get(kind, DEFAULT_RANGES.get(kind, FLOAT_RANGES[0]))
        return low, high


def kind_of_values(mode: str) -> str:
    """Return the kind of values of a mode of Pillow."""
    return DEEP_MODES.get(mode, BYTES)


def deep_to_gray(image: Image.Image, limits: Range) -> tuple[Image.Image, Range]:
    """Convert an image of one channel with deep values to L, or to LA if a value is transparent.

    Returns the extremes of the visible values, too. Values outside of `limits` are cut off. Values
    that are not finite raise ValueError.
    """
    values = np.asarray(image)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("its values must be finite; got NaN or infinity")
    low, high = limits
    inside = values.astype(np.float64).clip(low, high)
    gray = Image.fromarray(((inside - low) / ((high - low) / 255)).round().astype(np.uint8))
    visible = values != image.info.get("transparency")
    if visible.all():
        return gray, extremes_of(values)
    gray.putalpha(Image.fromarray(visible.astype(np.uint8) * 255))
    return gray, extremes_of(values[visible])


def extremes_of(values: np.ndarray) -> Range:
    """Return the least and the largest of some values; (inf, -inf) for none."""
    if not values.size:
        return float("inf"), float("-inf")
    return float(values.min()), float(values.max())


def visible_extremes(image: Image.Image) -> Range:
    """Return the extremes of the bytes of L, RGB or RGBA; not of those below an alpha of 0."""
    values = np.asarray(image)
    if image.mode == "RGBA":
        values = values[values[..., 3] > 0, :3]
    return extremes_of(values)


def stretch_bytes(image: Image.Image, limits: Range) -> Image.Image:
    """Scale the bytes of L, RGB or RGBA from `limits` to 0 to 255; alpha stays."""
    if limits == DEFAULT_RANGES[BYTES]:
        return image
    low, high = limits
    table = [round(min(max((v - low) * 255 / (high - low), 0), 255)) for v in range(256)]
    bands = len(image.getbands())
    tables = table * min(bands, 3) + (list(range(256)) if bands == 4 else [])
    return image.point(tables)


def set_ranges(extremes: Iterable[tuple[str, Range]], stretch: bool) -> dict[str, Range]:
    """Return the range of each kind of values of a set, from the extremes of its images.

    With `stretch` it ends at the largest value, and begins at 0 or at the least negative one. Else
    floating-point values have the first fitting range of FLOAT_RANGES, if any fits, and others
    have their default.
    """
    found = {}
    for kind, (low, high) in _ends(extremes).items():
        if stretch and high > min(low, 0.0):
            found[kind] = (min(low, 0.0), high)
        elif kind not in DEFAULT_RANGES:
            fitting = _float_range(low, high)
            found |= {kind: fitting} if fitting else {}
    return found


STRETCH = "stretch (--stretch) scales all images by one factor"


def range_notes(extremes: Iterable[tuple[str, Range]], fix: str = STRETCH) -> list[str]:
    """Describe values of a set that end far below their range, or lie outside of it.

    `fix` is what to do about it.
    """
    notes = []
    for kind, (low, high) in _ends(extremes).items():
        bottom, top = DEFAULT_RANGES.get(kind) or _float_range(low, high) or FLOAT_RANGES[0]
        if high > top or low < bottom:
            notes.append(
                f"{kind} values from {low:,.6g} to {high:,.6g} are cut off at {bottom:,.6g} and "
                f"{top:,.6g}; {fix}"
            )
        elif high < bottom + LOW_SHARES.get(kind, LOW_SHARE) * (top - bottom):
            notes.append(
                f"{kind} values end at {high:,.6g} of {top:,.6g}, so the images are dark; {fix}"
            )
    return notes


def _float_range(low: float, high: float) -> Range | None:
    """Return the first of FLOAT_RANGES that holds some values; None if none does."""
    return next((r for r in FLOAT_RANGES if r[0] <= low and high <= r[1]), None)


def _ends(extremes: Iterable[tuple[str, Range]]) -> dict[str, Range]:
    """Return the extremes of each kind of values of a set; none of a kind that is never visible."""
    ends: dict[str, Range] = {}
    for kind, (low, high) in extremes:
        before = ends.get(kind, (low, high))
        if low <= high:
            ends[kind] = (min(low, before[0]), max(high, before[1]))
    return ends
