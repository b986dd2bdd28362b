"""An image that is converted in strips comes out as if it had been converted as a whole."""

import io

import numpy as np
import pytest
from PIL import Image

from multigan.image.formats import decode as formats_decode
from multigan.image.formats import large_images
from multigan.image.formats.decode import Size, decode
from tests.image.image_factory import content, random_image


def noise(wide: int, high: int) -> Image.Image:
    drawn = np.random.default_rng(wide).integers(0, 256, (high, wide, 4))
    return Image.fromarray(drawn.astype(np.uint8))


def deep(wide: int, high: int) -> Image.Image:
    drawn = np.random.default_rng(high).integers(0, 65_536, (high, wide))
    return Image.fromarray(drawn.astype(np.uint16))


def big_endian(image: Image.Image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(image).astype(">u2")).save(file, "TIFF")
    assert Image.open(file).mode == "I;16B"
    return file.getvalue()


FILES = {
    "1 bit": lambda image: content(image.convert("1")),
    "gray": lambda image: content(image.convert("L")),
    "gray, one transparent": lambda image: content(image.convert("L"), transparency=9),
    "gray, alpha": lambda image: content(image.convert("LA")),
    "palette": lambda image: content(image.quantize(64)),
    "palette, one transparent": lambda image: content(image.quantize(64), transparency=3),
    "palette, alpha": lambda image: content(
        image.quantize(64), transparency=bytes(range(0, 256, 4))
    ),
    "color": lambda image: content(image.convert("RGB")),
    "color, alpha": lambda image: content(image),
    "CMYK": lambda image: content(image.convert("RGB").convert("CMYK"), "TIFF"),
    "GIF": lambda image: content(image.convert("RGB"), "GIF"),
    "16 bits": lambda image: content(deep(*image.size)),
    "16 bits, the other order": lambda image: big_endian(deep(*image.size)),
    "32 bits": lambda image: content(deep(*image.size).convert("I"), "TIFF"),
}


def both(data: bytes, size: Size, monkeypatch) -> tuple[np.ndarray, np.ndarray]:
    """The pixels as a whole, and in strips."""
    whole = decode(data, size).astype(int)
    with monkeypatch.context() as patch:
        patch.setattr(formats_decode, "STRIP_THRESHOLD_PIXELS", 0)
        patch.setattr(large_images, "STRIP_PIXELS", 400)
        return whole, decode(data, size).astype(int)


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("size", [Size(8, 8), Size(31, 9), Size(60, 50)])
def test_every_mode_comes_out_the_same(kind, size, monkeypatch):
    for shape in ((61, 70), (97, 61), (200, 11)):
        data = FILES[kind](noise(*shape))
        whole, joined = both(data, size, monkeypatch)
        assert whole.shape == joined.shape
        assert abs(whole - joined).max() <= 1 and (whole != joined).mean() < 0.02


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_comes_out_the_same(orientation, kind, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = content(noise(70, 62).convert("RGB"), kind, exif=exif)
    whole, joined = both(data, Size(12, 15), monkeypatch)
    assert np.array_equal(whole, joined)


def test_a_tall_image_differs_by_rounding_at_most(monkeypatch):
    """Pillow 13 scales the columns first if the image is twice as tall as wanted."""
    for kind in ("PNG", "TIFF"):
        data = content(noise(60, 400).convert("RGB"), kind)
        whole, joined = both(data, Size(12, 12), monkeypatch)
        assert abs(whole - joined).max() <= 2 and abs(whole - joined).mean() < 0.5


def test_an_image_below_the_limit_is_converted_as_a_whole(monkeypatch):
    monkeypatch.setattr(formats_decode, "resize_in_strips", None)
    assert formats_decode.STRIP_THRESHOLD_PIXELS >= 2_000_000
    assert decode(content(random_image(0, side=1_400)), Size(8, 8)).shape == (3, 8, 8)
