"""The twelve example images of data/examples/shapes: drawn by rule, nobody else's.

python -m tests.image.example_shapes
"""

from pathlib import Path

from PIL import Image, ImageDraw

from tests.image.image_factory import content

EXAMPLES = Path(__file__).parents[2] / "data" / "examples" / "shapes"
SIDE = 32  # pixels
COLOR_OPS = ("#c0392b", "#2980b9", "#27ae60", "#8e44ad", "#d35400", "#16a085")


def shape(kind: str, number: int) -> Image.Image:
    """A disc or a square, another place, size and color for each number."""
    image = Image.new("RGB", (SIDE, SIDE), "#f4f1ea")
    radius, left, top = 7 + number % 4, 13 + number % 5, 18 - number % 3
    box = (left - radius, top - radius, left + radius, top + radius)
    draw = ImageDraw.Draw(image)
    (draw.ellipse if kind == "disc" else draw.rectangle)(box, fill=COLOR_OPS[number])
    return image


def files() -> dict[Path, bytes]:
    """Every example file and its bytes."""
    return {
        EXAMPLES / kind / f"{number}.png": content(shape(kind, number))
        for kind in ("disc", "square")
        for number in range(len(COLOR_OPS))
    }


if __name__ == "__main__":
    for path, data in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
