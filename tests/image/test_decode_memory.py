"""Decoding takes the memory that was estimated, for every mode and format."""

import io
import json
import os
import subprocess
import sys

import pytest
from PIL import Image

from multigan.image.formats import decode as formats_decode
from multigan.image.formats.decode import (
    MAX_DECODE_BYTES,
    MAX_PIXELS,
    STRIP_THRESHOLD_PIXELS,
    Size,
    SkippedFile,
    decode,
)
from multigan.image.formats.large_images import decode_memory
from tests.image.image_factory import content

SIDE = 2_100  # an image that is converted in strips
MIB = 2**20
STRIPS = 12 * MIB  # what the conversion of a strip and the reading of a file may take
TURNED = {0x0112: 6}

# KiB that the process of each file has held at most; the first of them is the least there is
PEAKS = """
import json, os, sys
from pathlib import Path
from multigan.image.formats.decode import Size, decode
def peak(file):
    if not (child := os.fork()):
        decode(Path(file).read_bytes(), Size(16, 16))
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    assert status == 0, file
    return used.ru_maxrss
print(json.dumps([peak(file) for file in sys.argv[1:]]))
"""


def exif_of(tags):
    exif = Image.Exif()
    exif.update(tags)
    return exif


def files():
    """Name -> the bytes of a large file of one color: it is small, its pixels are not."""
    flat = Image.new("RGB", (SIDE, SIDE), (90, 40, 200))
    gray, alpha = flat.convert("L"), flat.convert("RGBA")
    palette = flat.quantize(16)
    yield "1.png", content(gray.convert("1"))
    yield "L.png", content(gray)
    yield "L transparent.png", content(gray, transparency=3)
    yield "LA.png", content(alpha.convert("LA"))
    yield "P.png", content(palette)
    yield "P transparent.png", content(palette, transparency=3)
    yield "P.gif", content(palette, "GIF")
    yield "16.png", content(Image.new("I;16", (SIDE, SIDE), 999))
    yield "RGB.png", content(flat)
    yield "turned.png", content(flat, exif=exif_of(TURNED))
    yield "RGBA.png", content(alpha)
    yield "RGB.bmp", content(flat, "BMP")
    yield "deep.pgm", b"P5 2100 2100 65535\n" + bytes(2 * SIDE * SIDE)
    yield "odd.pgm", b"P5 2100 2100 100\n" + bytes(SIDE * SIDE)
    yield "RGB.webp", content(flat, "WEBP", method=0)
    yield "RGBA.webp", content(alpha, "WEBP", method=0)
    yield "strips.tif", content(alpha, "TIFF", compression="tiff_lzw")
    yield "one strip.tif", content(flat, "TIFF", compression="tiff_lzw", tiffinfo={278: SIDE})
    yield "turned.tif", content(flat, "TIFF", compression="tiff_lzw", exif=exif_of(TURNED))
    yield "RGB.jpg", content(flat, "JPEG")
    for sampling in (0, 2):
        options = {"progressive": True, "subsampling": sampling}
        yield f"progressive {sampling}.jpg", content(flat, "JPEG", **options)


def told(data):
    with Image.open(io.BytesIO(data)) as image:
        area = image.width * image.height
        image.draft("RGB", (32, 32))
        return decode_memory(image, data, area)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_no_file_takes_more_memory_than_estimated(tmp_path):
    (tmp_path / "small.png").write_bytes(content(Image.new("RGBA", (8, 8))))
    wanted = {"small.png": 0}
    for name, data in files():
        (tmp_path / name).write_bytes(data)
        wanted[name] = told(data)
    done = subprocess.run(
        [sys.executable, "-c", PEAKS, *(str(tmp_path / name) for name in wanted)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    peaks = json.loads(done.stdout)
    taken = {name: (peak - peaks[0]) * 1024 for name, peak in zip(wanted, peaks, strict=True)}
    over = {name: (taken[name] - wanted[name]) // MIB for name in wanted}
    assert not {name: more for name, more in over.items() if more > STRIPS // MIB}, over


def test_four_bytes_for_each_of_the_most_pixels_are_there():
    assert 4 * MAX_PIXELS < MAX_DECODE_BYTES < 300 * MIB
    assert SIDE**2 > STRIP_THRESHOLD_PIXELS


def test_what_would_take_too_much_is_refused_before_it_is_decoded(monkeypatch):
    data = content(Image.new("RGB", (100, 80)), "WEBP")
    needed = len(data) + 16 * 8_000
    monkeypatch.setattr(formats_decode, "MAX_DECODE_BYTES", needed)
    decode(data, Size(8, 8))
    monkeypatch.setattr(formats_decode, "MAX_DECODE_BYTES", needed - 1)
    monkeypatch.setattr(Image.Image, "load", None)
    limit = f"must need {needed - 1:,} bytes or fewer to decode"
    message = f"^too large: {limit}; got {needed:,} for 100 x 80"
    with pytest.raises(SkippedFile, match=message):
        decode(data, Size(8, 8))
