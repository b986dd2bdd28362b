"""A file is decoded to upright 8-bit pixels of one size, gray or RGB; damage is reported."""

import numpy as np
import pytest
from PIL import Image

from multigan.image.formats import decode as formats_decode
from multigan.image.formats.decode import Size, SkippedFile, decode, decode_one
from tests.image.image_factory import content, random_image

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def decoded(image, size=None, kind="PNG", **options):
    return decode(content(image, kind, **options), size or Size(image.height, image.width))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RAMP), RAMP[None]),
        (Image.fromarray((RAMP > 99).astype(np.uint8) * 255).convert("1"), [(RAMP > 99) * 255]),
        (Image.fromarray(RAMP.astype(np.uint16) * 257), RAMP[None]),  # 16 bits
        (Image.fromarray(np.stack([RAMP] * 3, 2)), RAMP[None]),  # gray, stored as RGB
        (Image.fromarray(np.stack([RAMP, RAMP.T, RAMP], 2)), [RAMP, RAMP.T, RAMP]),
    ],
    ids=["gray", "one bit", "16 bits", "gray RGB", "color"],
)
def test_pixels_come_in_eight_bits_of_a_fixed_range(image, expected):
    assert np.array_equal(decoded(image), expected)


def test_what_is_transparent_shows_white():
    alpha = np.where(RAMP < 128, 0, 255).astype(np.uint8)
    wanted = np.where(RAMP < 128, 255, RAMP)[None]
    see_through = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(alpha)])
    assert np.array_equal(decoded(see_through), wanted)
    assert np.array_equal(decoded(see_through.convert("RGBA")), wanted)
    assert (decoded(Image.new("L", (4, 4), 30), transparency=30) == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    assert decoded(palette)[:, 0, 0].tolist() == [200, 0, 0]
    assert (decoded(palette, transparency=1) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_upright_whatever_its_exif_says(orientation):
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[orientation]
    upright = np.zeros((16, 16), np.uint8)  # stored corner top left shows in this corner
    upright[0 if corner[0] == "t" else 15, 0 if corner[1] == "l" else 15] = 255
    stored = Image.new("L", (16, 16))
    stored.putpixel((0, 0), 255)
    exif = stored.getexif()
    exif[0x0112] = orientation
    assert np.array_equal(decoded(stored, exif=exif)[0], upright)


def test_another_shape_is_cut_around_the_centre_and_then_scaled():
    wide = Image.new("RGB", (60, 20), (255, 0, 0))
    wide.paste((0, 255, 0), (20, 0, 40, 20))
    assert decoded(wide, Size(10, 10))[:, 5, 5].tolist() == [0, 255, 0]
    assert (decoded(wide, Size(10, 10))[0] < 40).all(), "the red sides are cut away"
    assert decoded(wide, Size(10, 30)).shape == (3, 10, 30)
    assert decoded(random_image(0), Size(24, 40)).shape == (3, 24, 40)


def test_formats_agree():
    image = random_image(1, side=32)
    plain = decoded(image, kind="PNG").astype(int)
    for kind, options in {"BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True}}.items():
        assert np.array_equal(decoded(image, kind=kind, **options), plain), kind
    assert abs(decoded(image, kind="JPEG", quality=95) - plain).max() < 30
    assert abs(decoded(image.convert("CMYK"), kind="TIFF") - plain).max() <= 1
    first = decoded(image, kind="GIF", save_all=True, append_images=[random_image(2, side=32)])
    assert abs(first - plain).mean() < 20


def test_a_giant_is_refused_before_it_is_decoded(monkeypatch):
    def never(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "convert", never)
    for side in (8_001, 12_000, 20_000):  # below, between and above Pillow's own two limits
        bomb = content(Image.new("1", (side, side)))
        assert len(bomb) < 1_000_000
        with pytest.raises(SkippedFile, match="too large"):
            decode(bomb, Size(8, 8))


def test_damage_of_every_kind_is_an_outcome_with_the_name_of_the_file(tmp_path, monkeypatch):
    whole = content(random_image(0), "PNG")
    files = {
        "cut.png": (whole[:80], "cannot be read"),
        "text.png": (b"no image", "cannot be read"),
        "empty.png": (b"", "cannot be read"),
        "flipped.png": (whole[:50] + b"\xff" * 20 + whole[70:], "cannot be read"),
        "float.tif": (content(Image.new("F", (4, 4), np.nan), "TIFF"), "cannot be read"),
        "script.eps": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "PostScript is not read",
        ),
    }
    for name, (data, reason) in files.items():
        (tmp_path / name).write_bytes(data)
        outcome, pixels = decode_one(str(tmp_path), None, name, Size(8, 8))
        assert (outcome.reason, pixels) == (reason, b""), name
        assert outcome.message.startswith(f"{name}: {reason}") and "\n" not in outcome.message
    outcome, _ = decode_one(str(tmp_path), None, "gone.png", Size(8, 8))
    assert outcome.reason == "cannot be read"
    monkeypatch.setattr(formats_decode, "MAX_FILE_BYTES", 3)
    outcome, _ = decode_one(str(tmp_path), None, "cut.png", Size(8, 8))
    assert outcome.message == "cut.png: too large: must have 3 bytes or fewer; got 80"
