"""Files are known by their first bytes; kinds that are not read are named with a way out."""

import io
import struct

import pytest
from PIL import Image, features

from multigan.image.datasets import sources
from multigan.image.datasets.images import ImageDataset
from multigan.image.formats.decode import Size, decode_one
from multigan.image.formats.folder import scan_folder
from multigan.image.formats.values import ReadOptions
from tests.image.image_factory import content, random_image
from tests.run_helpers import python

SIZE = Size(16, 16)
FTYP = b"\0\0\0\x18ftyp"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()


def result_of(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    return decode_one(str(tmp_path), None, name, SIZE)[0]


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("a", "JPEG", {}),  # without a suffix
        ("a.jfif", "JPEG", {}),
        ("a.jpe", "JPEG", {}),
        ("a.JPG_original", "JPEG", {}),
        ("a.jpg", "PNG", {}),  # with the suffix of another kind
        ("a.png", "WEBP", {}),
        ("a.dat", "BMP", {}),
        ("a.tga", "TGA", {}),
        ("a.icb", "TGA", {}),
        ("a.dib", "DIB", {}),
        ("a.pnm", "PPM", {}),
        ("a.pcx", "PCX", {}),
        ("a.rgb", "SGI", {}),
        ("a.ico", "ICO", {"sizes": [(16, 16)]}),
        ("a.icns", "ICNS", {}),
        ("a.dds", "DDS", {}),
        ("a.apng", "PNG", {}),
        ("a.avif", "AVIF", {}),
        ("b.jpg", "AVIF", {}),
        ("a.jp2", "JPEG2000", {}),
        ("a.j2k", "JPEG2000", {"no_jp2": True}),
    ],
)
def test_every_kind_that_pillow_decodes_is_read_whatever_its_suffix(name, kind, options, tmp_path):
    if kind in ("AVIF", "JPEG2000") and not features.check(
        {"JPEG2000": "jpg_2000"}.get(kind, "avif")
    ):
        pytest.skip(f"this Pillow has no decoder of {kind}")
    image = random_image(1) if kind != "ICNS" else random_image(1).resize((32, 32))
    result = result_of(tmp_path, name, content(image, kind, **options))
    assert (result.reason, result.kind, result.images) == ("", kind, 1), result.message


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.heic", FTYP + b"heic\0\0\0\0mif1heic", "HEIC is not read: convert it"),
        ("a.jpg", FTYP + b"mif1\0\0\0\0mif1heic", "HEIC is not read: convert it"),
        ("a.svg", b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "SVG is not read: render it"),
        ("a", b"\xef\xbb\xbf <svg/>", "SVG is not read"),
        ("a.pdf", b"%PDF-1.7\n", "PDF is not read: extract its images"),
        ("a.eps", b"%!PS-Adobe-3.0", "PostScript is not read"),
        ("a.jxl", b"\xff\x0a\0\0", "JPEG XL is not read"),
        ("a.cr2", b"II*\0\x10\0\0\0CR", "camera raw is not read"),
        ("a.NEF", b"MM\0*\0\0\0\x08", "camera raw is not read"),
        ("a.cr3", FTYP + b"crx \0\0\0\0", "camera raw is not read"),
        ("a.raf", b"FUJIFILMCCD-RAW 0201", "camera raw is not read"),
        ("a.exr", b"v/1\x01\2\0\0\0", "OpenEXR is not read"),
        ("a.xcf", b"gimp xcf v011", "GIMP's XCF is not read"),
        ("a.dcm", b"\0" * 128 + b"DICM", "DICOM is not read"),
        ("a.mp4", FTYP + b"isom\0\0\0\0isom", "a video is not read: extract its frames"),
        ("a.jpg", b"<!DOCTYPE html><html>", "a web page is not read: its download failed"),
        ("a.png", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer is not read"),
        ("notes.txt", b"mine", "no image file"),
        ("index.html", b"<html>", "no image file"),
        ("a.txt", b"", "no image file"),
    ],
)
def test_a_kind_that_is_not_read_is_named_with_a_way_out(name, data, told, tmp_path):
    result = result_of(tmp_path, name, data)
    assert result.message.startswith(f"{name}: {told}") and "\n" not in result.message
    assert result.reason and result.images == 0


def test_a_format_that_starts_another_program_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "open", None)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    assert result_of(tmp_path, "a.png", eps).reason == "PostScript is not read"


def test_a_photoshop_file_is_read_as_its_flat_image(tmp_path):
    """Pillow reads no layers; a header, no color table, no resources, no layers, raw pixels."""
    head = b"8BPS\0\1" + b"\0" * 6 + b"\0\3" + (16).to_bytes(4, "big") * 2 + b"\0\x08\0\3"
    pixels = b"".join(band.tobytes() for band in random_image(1).split())
    result = result_of(tmp_path, "a.psd", head + b"\0" * 12 + b"\0\0" + pixels)
    assert (result.kind, result.channels) == ("PSD", 3), result.message


def animation(kind, frames=4, **options):
    file = io.BytesIO()
    first, *rest = [random_image(k) for k in range(frames)]
    first.save(file, kind, save_all=True, append_images=rest, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_frames_and_pages_are_counted_and_read_on_request(kind, tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for k in range(10):
        (root / f"{k}.png").write_bytes(content(random_image(100 + k)))
    (root / "x").write_bytes(animation(kind))
    first = scan_folder(str(root), SIZE)
    assert len(first.images.pixels) == 11
    assert any("1 files have 3 more frames or pages" in note for note in first.notes)
    assert any("frames or pages after the first: x" in line for line in first.counts.lines())
    every = scan_folder(str(root), SIZE, ReadOptions(all_frames=True))
    assert len(every.images.pixels) == 14 and not every.notes
    assert every.images.groups.tolist() == [*range(10), 10, 10, 10, 10]
    assert len({image.numpy().tobytes() for image in every.images.pixels}) == 14


def test_frames_of_one_file_are_in_one_split(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    for k in range(20):
        image, other = random_image(2 * k), random_image(2 * k + 1)
        data = io.BytesIO()
        image.save(data, "PNG", save_all=True, append_images=[other])
        (root / f"{k:02d}.png").write_bytes(data.getvalue())
    data = ImageDataset(str(root), 16, all_frames=True)
    sizes = [len(data.split(name)) for name in ("train", "valid", "test")]
    assert sum(sizes) == 40 and all(size % 2 == 0 for size in sizes)


@pytest.mark.parametrize("kind", ["GIF", "PPM", "BMP", "TIFF"])
@pytest.mark.parametrize("suffix", ["tga", "im", "xbm"])
def test_the_first_bytes_win_over_a_suffix_of_kinds_without_a_signature(kind, suffix, tmp_path):
    result = result_of(tmp_path, f"a.{suffix}", content(random_image(1), kind))
    assert (result.kind, result.changes[-1]) == (kind, "known by its content, not its suffix")


@pytest.mark.parametrize(
    ("data", "told"),
    [(b"<html>404", "a web page"), (FTYP + b"heic", "HEIC"), (b"\xff\x0a", "JPEG XL")],
)
def test_kinds_that_are_not_read_are_named_whatever_the_suffix(data, told, tmp_path):
    assert result_of(tmp_path, "a.tga", data + bytes(40)).reason == f"{told} is not read"


def test_nothing_but_the_reason_is_printed_of_a_damaged_file(tmp_path):
    stream = io.BytesIO()
    Image.new("RGB", (6, 6)).save(stream, "TIFF")
    head = struct.pack("<HHL", 277, 3, 1)  # samples per pixel
    assert head in stream.getvalue()
    damaged = stream.getvalue().replace(head + b"\3", head + b"\xff")
    (tmp_path / "a.tif").write_bytes(damaged)
    script = (
        "from multigan.image.formats.decode import DEFAULT, Size, decode_files\n"
        "((found, _),) = decode_files('.', ['a.tif'], Size(6, 6), DEFAULT)\n"
        "print(found.reason)"
    )
    done = python("-c", script, cwd=tmp_path)
    assert done.stderr == "" and len(done.stdout.split("\n")) == 2 and done.stdout != "\n"


def test_a_tar_archive_is_named(tmp_path):
    tar = bytes(257) + b"ustar\0" + bytes(300)
    assert result_of(tmp_path, "0001.tar", tar).reason == "a tar archive is not read"
