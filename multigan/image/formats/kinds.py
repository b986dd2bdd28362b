"""Kinds of files by their first bytes: image formats of Pillow, and kinds that are not read."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath

from PIL import Image, features

HEAD_BYTES = 4096  # that a kind is recognized by
# Formats of Pillow by their first bytes. None of them starts another program or opens other files.
SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "CUR"),
    (b"icns", "ICNS"),
    (b"8BPS", "PSD"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"SIMPLE", "FITS"),
    (b"\x01\xda", "SGI"),
    (b"\x59\xa6\x6a\x95", "SUN"),
    (b"\xb1\x68\xde\x3a", "DCX"),
    (b"\x80\xe8\0\0", "PIXAR"),
    (b"DanM", "MSP"),
    (b"LinS", "MSP"),
    (b"BLP1", "BLP"),
    (b"BLP2", "BLP"),
    (b"/* XPM */", "XPM"),
    *((b"\x0a" + version, "PCX") for version in (b"\0", b"\2", b"\3", b"\5")),
    *((b"P" + digit, "PPM") for digit in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"y")),
)
# Formats without a signature of their own, recognized by the suffix.
BY_SUFFIX = {
    **dict.fromkeys((".tga", ".icb", ".vda", ".vst"), "TGA"),
    ".dib": "DIB",
    ".im": "IM",
    ".xbm": "XBM",
    ".pcd": "PCD",
    **dict.fromkeys((".fli", ".flc"), "FLI"),
    **dict.fromkeys((".ftc", ".ftu"), "FTEX"),
    ".gbr": "GBR",
    ".spi": "SPIDER",
}
SUFFIXES: tuple[str, ...] = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".gif", ".bmp", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".jp2", ".j2k", ".jpx"),
    *(".ico", ".cur", ".icns", ".psd", ".qoi", ".dds", ".sgi", ".rgb", ".ras", ".pcx", ".xpm"),
    ".fits",
    *BY_SUFFIX,
)  # of files that should be images
TGA_HEADER_BYTES = 18
TGA_TYPES = (1, 2, 3, 9, 10, 11)  # with or without a color map, gray; the same compressed
CONVERT = "convert it to PNG or JPEG"
# Kinds that are not read: first bytes -> name and the way out.
NOT_READ: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF", "PDF", "extract its images: pdfimages -png FILE NAME"),
    (b"%!PS", "PostScript", CONVERT),
    (b"\xc5\xd0\xd3\xc6", "PostScript", CONVERT),
    (b"\xff\x0a", "JPEG XL", f"{CONVERT}: djxl FILE.jxl FILE.png"),
    (b"\0\0\0\x0cJXL ", "JPEG XL", f"{CONVERT}: djxl FILE.jxl FILE.png"),
    (b"v/1\x01", "OpenEXR", "convert it to 16-bit PNG or to an .npy array"),
    (b"#?RADIANCE", "Radiance HDR", "convert it to 16-bit PNG or to an .npy array"),
    (b"#?RGBE", "Radiance HDR", "convert it to 16-bit PNG or to an .npy array"),
    (b"FUJIFILMCCD-RAW", "camera raw", f"{CONVERT}: darktable-cli or dcraw -T"),
    (b"IIRO", "camera raw", f"{CONVERT}: darktable-cli or dcraw -T"),
    (b"IIRS", "camera raw", f"{CONVERT}: darktable-cli or dcraw -T"),
    (b"IIU\0", "camera raw", f"{CONVERT}: darktable-cli or dcraw -T"),
    (b"FOVb", "camera raw", f"{CONVERT}: darktable-cli or dcraw -T"),
    (b"gimp xcf", "GIMP's XCF", f"export it from GIMP: {CONVERT}"),
    (b"AT&TFORM", "DjVu", f"{CONVERT}: ddjvu -format=tiff"),
    (b"P7\n", "PAM", f"{CONVERT}: pamtopng"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (b"\x1aE\xdf\xa3", "a video", "extract its frames: ffmpeg -i FILE frames/%06d.png"),
    (b"\x1f\x8b", "a gzip archive", "unpack it"),
    (b"PK\x03\x04", "a zip archive", "unpack it, or give its path as the data"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
)
RAW_SUFFIXES: tuple[str, ...] = (".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".pef", ".srw")
RAW_SUFFIXES += (".rw2", ".orf", ".raf", ".3fr", ".iiq", ".erf", ".kdc")  # some with a preview
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF_BRANDS = (b"avif", b"avis")
RAW = ("camera raw", f"{CONVERT}: darktable-cli or dcraw -T")
HEIC = ("HEIC", f"{CONVERT}: heif-convert FILE.heic FILE.jpg")
VIDEO = ("a video", "extract its frames: ffmpeg -i FILE frames/%06d.png")
SVG = ("SVG", f"render it: rsvg-convert -h 512 FILE.svg -o FILE.png; or {CONVERT}")
HTML = ("a web page", "its download failed; fetch the image itself")


@lru_cache(maxsize=16)
def suffix_of(name: str) -> str:
    """Return the suffix of a file's name, ".jpg"; kept, as several steps ask for that of a file."""
    return PurePosixPath(name).suffix.lower()


def pillow_format(head: bytes, name: str) -> str | None:
    """Return the format of Pillow for a file with these first bytes; None for other kinds.

    A suffix decides only where a format has no signature of its own.
    """
    suffix = suffix_of(name)
    if suffix in RAW_SUFFIXES:
        return None
    if BY_SUFFIX.get(suffix) == "TGA" and _is_tga(head):  # may begin as a CUR or PCX file does
        return "TGA"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP" if features.check("webp") else None
    if AVIF_BRANDS[0] in _brands(head) or AVIF_BRANDS[1] in _brands(head):
        return "AVIF" if "AVIF" in Image.OPEN or features.check("avif") else None
    if head.startswith(b"P7"):
        return None
    known = next((kind for start, kind in SIGNATURES if head.startswith(start)), None)
    if known is None and suffix in BY_SUFFIX and kind_not_read(head, name) is None:
        return BY_SUFFIX[suffix]
    return known


def _is_tga(head: bytes) -> bool:
    """Return whether the type of the color map and of the image are ones of TGA."""
    has_header = len(head) >= TGA_HEADER_BYTES and not head.startswith(b"\xff\xd8\xff")
    return has_header and head[1] in (0, 1) and head[2] in TGA_TYPES


def kind_not_read(head: bytes, name: str) -> tuple[str, str] | None:
    """Return the kind of a file that is not read, and a way out; None for an unknown kind."""
    brands = _brands(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    suffix = suffix_of(name)
    if suffix in RAW_SUFFIXES or (brands and brands[0] == b"crx "):
        return RAW
    if any(brand in AVIF_BRANDS for brand in brands):
        return "AVIF without a decoder", "install Pillow 11.3 or later"
    if brands:
        return HEIC if any(brand in HEIC_BRANDS for brand in brands) else VIDEO
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return VIDEO
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it"
    if b"<svg" in text or suffix == ".svgz":
        return SVG
    if text.startswith((b"<!doctype html", b"<html")):
        return HTML
    if head[128:132] == b"DICM":
        return "DICOM", "convert it to 16-bit PNG: dcmj2pnm +on2 FILE FILE.png"
    return next(((kind, out) for start, kind, out in NOT_READ if head.startswith(start)), None)


def _brands(head: bytes) -> list[bytes]:
    """Return the brands of an ISO media file, the major one first; [] for other files."""
    if head[4:8] != b"ftyp":
        return []
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return [head[8:12], *(head[k : k + 4] for k in range(16, end - 3, 4))]
