"""Plot docs/assets/domains.png from samples of the four domains, images in two panels.

    multigan sample image -n 36 --out strip/image
    multigan sample fashion -n 36 --out strip/fashion
    multigan sample music -n 1 --bars 4 --out strip/music
    multigan sample text -n 12 --refine --out strip/text
    multigan train points --out strip/run
    multigan sample strip/run -n 1000 --out strip/points
    python docs/make_strip.py strip docs/assets/domains.png

`multigan sample image`, `fashion`, `music` and `text` take the pretrained generators. Seed 0
throughout; the samples are the first ones, not a selection.
"""

import csv
import sys
import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

IMAGES_PER_SIDE = 6
IMAGE_TITLES = {"image": "digits by class", "fashion": "Fashion-MNIST by class"}
GAP = 3  # pixels between images
LINES = 16  # of the text panel
LINE_WIDTH = 44  # characters


def images_panel(axes: plt.Axes, folder: Path) -> None:
    """Show the first images of a folder as a square grid."""
    files = sorted(folder.glob("[0-9]*.png"))[: IMAGES_PER_SIDE**2]
    tiles = [np.pad(np.asarray(Image.open(file).convert("L")), GAP) for file in files]
    rows = [
        np.hstack(tiles[k : k + IMAGES_PER_SIDE]) for k in range(0, len(tiles), IMAGES_PER_SIDE)
    ]
    axes.imshow(np.vstack(rows), cmap="gray", interpolation="nearest")
    axes.set_title(f"image: {IMAGE_TITLES[folder.name]}")


def music_panel(axes: plt.Axes, folder: Path) -> None:
    """Show the piano-roll of the first song."""
    axes.imshow(np.asarray(Image.open(folder / "000000.png").convert("RGB")), aspect="auto")
    axes.set_title("music: four-part chorales")


def text_panel(axes: plt.Axes, folder: Path) -> None:
    """Show the first samples, as many as fit whole."""
    shown: list[str] = []
    for sample in (folder / "samples.txt").read_text(encoding="utf-8").splitlines():
        lines = textwrap.wrap(sample, LINE_WIDTH)
        if len(shown) + len(lines) > LINES:
            break
        shown += lines
    text = "\n".join(shown)
    axes.text(0.03, 0.96, text, va="top", fontsize=6, linespacing=1.35, transform=axes.transAxes)
    axes.set_title("text: lines of speeches")


def points_panel(axes: plt.Axes, folder: Path) -> None:
    """Show all points."""
    with (folder / "points.csv").open(newline="", encoding="utf-8") as stream:
        points = np.array([(float(row["x"]), float(row["y"])) for row in csv.DictReader(stream)])
    axes.scatter(points[:, 0], points[:, 1], s=1.0, color="#3b528b")
    axes.set_aspect("equal")
    axes.set_title("points: 25 Gaussians")


def main(strip: Path, out: Path) -> None:
    """Plot the panels and write the file."""
    panels = {
        "image": images_panel,
        "fashion": images_panel,
        "music": music_panel,
        "text": text_panel,
        "points": points_panel,
    }
    plt.rcParams.update({"font.size": 8, "axes.titlesize": 8})
    ratios = {"width_ratios": [1, 1, 1.35, 1.15, 1]}
    figure, axes = plt.subplots(1, len(panels), figsize=(12, 2.35), dpi=120, gridspec_kw=ratios)
    for (name, plot), panel in zip(panels.items(), axes, strict=True):
        plot(panel, strip / name)
        panel.set_xticks([])
        panel.set_yticks([])
    figure.tight_layout(pad=0.4)
    figure.savefig(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
