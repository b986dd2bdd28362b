"""One plot of several arrays: a histogram, points, curves or a grid, by their shape."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from multigan.core.media import PLOT_METADATA

Array = np.ndarray[Any, Any]
SIDE_INCHES, DPI = 6.0, 100
AXES = (0.13, 0.1, 0.84, 0.87)  # left, bottom, width and height, of the figure
MAX_SHOWN = 64  # curves, or cells of a grid
BINS = 50  # of a histogram


def plot(samples: list[Array], columns: int | None = None) -> bytes:
    """Return a PNG of 600 x 600 pixels.

    Values: a histogram. Pairs: points. Longer vectors: a curve of each. Arrays with more axes: a
    grid of the last two, `columns` side by side; of three axes the first are channels.
    """
    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES))
    shape = samples[0].shape if samples else ()
    if len(shape) < 2:
        _plot_vectors(figure, np.stack(samples) if samples else np.zeros((0, 2)))
    else:
        _plot_grid(figure, samples[:MAX_SHOWN], columns)
    content = io.BytesIO()
    figure.savefig(content, dpi=DPI, metadata=PLOT_METADATA)  # the same bytes everywhere
    return content.getvalue()


def _plot_vectors(figure: Figure, rows: Array) -> None:
    axes = figure.add_axes(AXES)  # an automatic layout would draw everything twice
    width = rows.shape[1]
    if width == 1:
        axes.hist(rows[:, 0], bins=BINS, color="tab:blue")
        axes.set(xlabel="value", ylabel="samples")
    elif width == 2:
        axes.scatter(rows[:, 0], rows[:, 1], s=3, linewidths=0, color="tab:blue")
        axes.set(xlabel="x[0]", ylabel="x[1]")
    else:
        axes.plot(rows[:MAX_SHOWN].T, color="tab:blue", alpha=0.4, linewidth=1)
        axes.set(xlabel="index", ylabel="value")


def _plot_grid(figure: Figure, samples: list[Array], columns: int | None) -> None:
    columns = columns or math.ceil(math.sqrt(len(samples)))
    cells = [_cell(sample) for sample in samples]
    low, high = min(c.min() for c in cells), max(c.max() for c in cells)
    rows = math.ceil(len(cells) / columns)
    edges = {"left": 0.01, "right": 0.99, "bottom": 0.01, "top": 0.99}
    places = figure.add_gridspec(rows, columns, **edges, wspace=0.04, hspace=0.04)
    for number, cell in enumerate(cells):
        axes = figure.add_subplot(places[number])
        span = high - low if high > low else 1.0
        scaled = (cell - low) / span
        axes.imshow(scaled, cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
        axes.set_axis_off()


def _cell(sample: Array) -> Array:
    """Return (H, W), or (H, W, 3) of three channels; other leading axes lie side by side."""
    flat = sample.reshape(-1, *sample.shape[-2:])
    if len(flat) == 3:
        return np.moveaxis(flat, 0, -1)
    return np.concatenate(list(flat), axis=1)
