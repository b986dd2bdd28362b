"""The values of a whole set are looked at; transparency has a background or a channel."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from multigan.image.augmentation.pipelines import DiffAugment, ScheduledAugment
from multigan.image.datasets import sources
from multigan.image.datasets.images import load_images
from multigan.image.domain import ImageDomain
from multigan.image.formats.decode import Size, decode
from multigan.image.formats.folder import read_folder, scan_folder
from multigan.image.formats.values import ReadOptions
from tests.image.image_factory import content, random_image

SIZE = Size(8, 8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()


def set_of(root, arrays, kind="PNG"):
    root.mkdir(exist_ok=True)
    for k, array in enumerate(arrays):
        Image.fromarray(array).save(root / f"{k:02d}.{kind.lower()}", kind)
    return str(root)


def noise(k, high, dtype):
    values = np.random.default_rng(k).random((8, 8)) * high
    values[0, 0] = high * (k + 1) / 12  # the last image holds the largest value
    return values.astype(dtype)


def scans(high, dtype):
    return [noise(k, high, dtype) for k in range(12)]


@pytest.mark.parametrize(
    ("arrays", "kind", "told"),
    [
        (scans(4_095, np.uint16), "PNG", "16-bit values end at 4,095 of 65,535"),
        (scans(1_023, np.uint16), "TIFF", "16-bit values end at 1,023 of 65,535"),
        (scans(16_383, np.uint16), "PNG", "16-bit values end at 16,383 of 65,535"),
        (scans(15, np.uint8), "PNG", "8-bit values end at 15 of 255"),
        (scans(100_000, np.int32), "TIFF", "32-bit values from "),
    ],
)
def test_values_that_end_early_are_reported_and_stretched_by_one_factor(
    arrays, kind, told, tmp_path
):
    source = set_of(tmp_path / "set", arrays, kind)
    plain = scan_folder(source, SIZE)
    assert [note for note in plain.notes if note.startswith(told)], plain.notes
    stretched = scan_folder(source, SIZE, ReadOptions(stretch=True))
    assert not stretched.notes
    whole = np.stack(arrays).astype(float)
    expected = whole * 255 / whole.max()
    found = stretched.images.pixels[:, 0].numpy().astype(float)
    assert found.max() == 255 and abs(found - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("high", [1.0, 255.0, 65_535.0])
def test_floating_point_values_have_the_range_that_fits_the_whole_set(high, tmp_path):
    arrays = scans(high, np.float32)
    source = set_of(tmp_path / "set", arrays, "TIFF")
    found = scan_folder(source, SIZE).images.pixels[:, 0].numpy().astype(float)
    assert abs(found - np.stack(arrays) * 255 / high).max() <= 0.5 + 1e-4


def test_floating_point_values_of_no_known_range_are_left_out_unless_stretched(tmp_path):
    source = set_of(tmp_path / "set", scans(3e6, np.float32), "TIFF")
    scan = scan_folder(source, SIZE)
    assert len(scan.images.pixels) == 0
    assert "floating-point values beyond their range" in scan.results[0].message
    assert len(scan_folder(source, SIZE, ReadOptions(stretch=True)).images.pixels) == 12


def test_floating_point_values_that_end_early_are_reported(tmp_path):
    for k in range(4):
        values = np.full((8, 8), 900 + k, np.float32)
        Image.fromarray(values).save(tmp_path / f"{k}.tif")
    notes = scan_folder(str(tmp_path), Size(8, 8)).notes
    assert any("floating-point values end at 903 of 65,535" in note for note in notes)


def test_full_ranges_of_every_mode_give_no_note(tmp_path):
    images = {
        "1": random_image(1).convert("1"),
        "P": random_image(2).convert("P"),
        "CMYK": random_image(3).convert("CMYK"),
        "LAB": Image.merge("LAB", random_image(4).split()),
        "YCbCr": random_image(5).convert("YCbCr"),
        "RGB": Image.fromarray(np.random.default_rng(6).integers(0, 256, (8, 8, 3), np.uint8)),
    }
    for mode, image in images.items():
        kind = "PNG" if mode in ("1", "P", "RGB") else "TIFF"
        (tmp_path / f"{mode}.{kind.lower()}").write_bytes(content(image, kind))
    scan = scan_folder(str(tmp_path), SIZE)
    assert len(scan.images.pixels) == len(images) and not scan.notes
    changes = {row.reason for row in scan.counts.rows if row.use == "changed"}
    assert {"CMYK to RGB", "LAB to RGB", "YCbCr to RGB"} <= changes


def icon(k, color=(255, 255, 255)):
    """A drawing in one color on a transparent ground."""
    alpha = np.zeros((8, 8), np.uint8)
    alpha[k % 8, : 1 + k // 8 + k % 5] = 255
    rgba = np.dstack([np.full((8, 8), value, np.uint8) for value in color] + [alpha])
    return Image.fromarray(rgba)


def icons(root, **options):
    root.mkdir()
    for k in range(12):
        icon(k, **options).save(root / f"{k}.png")
    return str(root)


def test_white_icons_are_all_alike_on_white_and_both_commands_say_why(tmp_path, capsys):
    from multigan.image.commands import inspect_images

    source = icons(tmp_path / "set")
    told = (
        "12 images that are all alike: 100.0% of their values are 255; 12 have transparent pixels"
    )
    with pytest.raises(ValueError, match=f"must have images that differ; got {told}"):
        read_folder(source, SIZE)
    inspect_images(source, resolution=8)
    assert told in capsys.readouterr().out
    assert len(read_folder(source, SIZE, ReadOptions(background="black")).pixels) == 12


@pytest.mark.parametrize(
    ("background", "value"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#0080ff", (0, 128, 255))],
)
@pytest.mark.parametrize("form", ["RGBA", "LA", "PA", "transparency"])
def test_transparent_pixels_show_the_background(form, background, value):
    image = Image.new("RGBA", (8, 8), (9, 9, 9, 0))
    options = {}
    if form == "transparency":
        image, options = Image.new("L", (8, 8), 7), {"transparency": 7}
    elif form != "RGBA":
        image = image.convert("LA")
    pixels = decode(content(image, "PNG", **options), SIZE, ReadOptions(background=background))
    shown = np.broadcast_to(pixels, (3, 8, 8))[:, 0, 0]
    assert tuple(shown.tolist()) == value


@pytest.mark.parametrize("background", ["red", "#12", "#12345g", "", "rgb(1,2,3)"])
def test_another_background_is_refused(background):
    with pytest.raises(ValueError, match="background must be white, black or #rrggbb; got"):
        ReadOptions(background=background)


def test_alpha_is_a_fourth_channel_that_is_sampled_and_written(tmp_path):
    source = icons(tmp_path / "set", color=(255, 0, 0))
    data = load_images(source, resolution=8, alpha=True)
    assert data.domain.channels == 4
    x = data.batch(torch.arange(12)).x
    hidden = x[:, 3] == -1
    assert (x[:, 0][hidden] == -1).all() and (x[:, 0][~hidden] == 1).all()
    samples = data.domain.decode(x)
    data.domain.write(samples, tmp_path / "out")
    with Image.open(tmp_path / "out" / "000000.png") as image:
        assert image.mode == "RGBA" and np.array_equal(np.asarray(image), np.asarray(samples[0]))
    assert torch.equal(data.domain.images_to_tensor(samples), x)


def test_augmentation_in_color_leaves_alpha(tmp_path):
    x = torch.rand(6, 4, 8, 8) * 2 - 1
    rng = torch.Generator().manual_seed(0)
    found, _ = DiffAugment(("color",))(x, None, rng)
    assert torch.equal(found[:, 3], x[:, 3]) and not torch.equal(found[:, :3], x[:, :3])
    augment = ScheduledAugment(1.0, strengths={"hue": 1.0, "brightness": 1.0})
    augment.anneal(1.0)
    found, _ = augment(x, None, rng)
    assert torch.equal(found[:, 3], x[:, 3]) and not torch.equal(found[:, :3], x[:, :3])


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match="channels must be 1"):
        ImageDomain(2, 8, 8)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_orientation_of_exif_is_applied_in_every_kind(kind):
    image = Image.new("RGB", (16, 8))
    image.paste((255, 255, 255), (0, 0, 8, 8))  # left half
    exif = image.getexif()
    exif[0x0112] = 6  # display it turned by 90 degrees clockwise: the left becomes the top
    file = io.BytesIO()
    image.save(file, kind, exif=exif)
    pixels = decode(file.getvalue(), Size(16, 8))
    assert pixels[0, 1].min() > 200 and pixels[0, -2].max() < 60


def png_of(depth, color, rows, transparent):
    """The bytes of a PNG file of rows of samples, with a transparent value."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    channels = {0: 1, 2: 3}[color]
    head = struct.pack(">IIBBBBB", len(rows[0]) // channels, len(rows), depth, color, 0, 0, 0)
    packed = b""
    for row in rows:
        bits = "".join(f"{value:0{depth}b}" for value in row)
        packed += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    value = b"".join(v.to_bytes(2, "big") for v in transparent)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", head), chunk(b"tRNS", value), chunk(b"IDAT", zlib.compress(packed)),
         chunk(b"IEND", b""))
    )  # fmt: skip


DEPTHS = {
    "1 bit": (1, 0, [1, 0], (1,)),
    "2 bits": (2, 0, [3, 0], (3,)),
    "4 bits": (4, 0, [15, 0], (15,)),
    "8 bits": (8, 0, [255, 0], (255,)),
    "16 bits": (16, 0, [65_535, 0], (65_535,)),
    "color": (8, 2, [200, 100, 0, 0, 0, 0], (200, 100, 0)),
    "deep color": (16, 2, [52_001, 300, 7, 0, 0, 0], (52_001, 300, 7)),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_the_transparent_value_of_a_png_is_seen_at_every_depth(name):
    depth, color, pair, transparent = DEPTHS[name]
    half = len(pair) // 2
    row = pair[:half] * 4 + pair[half:] * 4
    data = png_of(depth, color, [row] * 8, transparent)
    pixels = decode(data, SIZE, ReadOptions(background="#00ff00"))
    assert pixels.shape[0] == 3 and pixels[:, 0, 0].tolist() == [0, 255, 0]
    assert pixels[:, 0, -1].tolist() == [0, 0, 0]
    alpha = decode(data, SIZE, ReadOptions(alpha=True))[3]
    assert alpha[0, 0] == 0 and alpha[0, -1] == 255


def test_a_stretch_sees_the_values_and_not_the_background(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for k in range(12):
        array = np.random.default_rng(k).integers(0, 41, (8, 8, 4), np.uint8)
        array[..., 3] = 255
        array[0, 0], array[0, 1] = (255, 255, 255, 0), (40, 40, 40, 255)
        Image.fromarray(array).save(root / f"{k:02d}.png")
    scan = scan_folder(str(root), SIZE, ReadOptions(background="#808080", stretch=True))
    assert bool((scan.images.pixels[:, :, 0, 1] == 255).all())
    assert bool((scan.images.pixels[:, :, 0, 0] == 128).all())
    assert any("8-bit values end at 40 of 255" in n for n in scan_folder(str(root), SIZE).notes)
