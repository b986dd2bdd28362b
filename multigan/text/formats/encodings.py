"""Errors for files that are not UTF-8: their kind by the first bytes, encodings by the content."""

from __future__ import annotations

import importlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

SAMPLE_BYTES = 64 * 1024  # of a file, for guesses
MAX_CANDIDATES = 3  # encodings in a message
EXCERPT_CHARACTERS = 16
NUM_SAMPLE_TEXTS = 500  # in which broken letters are looked for
STRAY_NULS = 0.1  # of the NUL bytes of UTF-16, at most, in the other half of the letters
BROKEN_SHARE = 0.05  # of them, from which on a warning is due

# The first bytes of a file -> its kind, and the way to text.
KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip file", "unpack it: gunzip -k {name}"),
    (b"BZh", "a bzip2 file", "unpack it: bunzip2 -k {name}"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it: unxz -k {name}"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it: unzstd {name}"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it: 7z x {name}"),
    (b"Rar!", "a rar archive", "unpack it: unrar x {name}"),
    (b"%PDF", "a PDF document", "convert it: pdftotext {name}"),
    (b"{\\rtf", "an RTF document", "save it as plain text in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "save it as plain text in UTF-8"),
    (b"SQLite format 3\x00", "an SQLite database", "export the column of the texts as CSV"),
    (b"ARROW1", "an Arrow file", "save it as Parquet"),
    (b"\x89PNG", "an image", "text is needed"),
    (b"\xff\xd8\xff", "an image", "text is needed"),
    (b"GIF8", "an image", "text is needed"),
    (b"MThd", "a MIDI file", "train the music recipe on it"),
    *((start, "audio", "text is needed") for start in (b"ID3\3", b"ID3\4", b"OggS\0", b"fLaC\0")),
    *((bytes([0x80, k]), "a pickle", "save its texts, one a line") for k in range(2, 6)),
    (b"\x93NUMPY", "an array of NumPy", "save its texts, one a line"),
    (b"\x7fELF", "a program", "text is needed"),
    (b"MZ\x90", "a program", "text is needed"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
)
# The first letters of a file, in lower case and without spaces before them -> its kind.
MARKUP: tuple[tuple[bytes, str, str], ...] = (
    (b"<!doctype html", "a web page", "convert it: pandoc -f html -t plain {name}"),
    (b"<html", "a web page", "convert it: pandoc -f html -t plain {name}"),
    (b"<?xml", "an XML file", "export the texts in it, one a line"),
)
SUBTITLES = re.compile(rb"WEBVTT|\d+\s*\n\d+:\d\d:\d\d[.,]\d+ -->")
# Encodings of letters as ASCII: what every text in them holds, and Python's name.
SEVEN_BIT = ((b"\x1b$", "iso2022_jp"), (b"~{", "hz"))
ZIP = b"PK\x03\x04"
ZIP_MEMBERS = (  # a file that a zip archive of a kind holds
    ("word/document.xml", "a Word document (docx)", "save it as plain text in UTF-8"),
    ("xl/workbook.xml", "an Excel table (xlsx)", "save it as CSV in UTF-8"),
    (
        "META-INF/container.xml",
        "an e-book (epub)",
        "convert it: pandoc -t plain {name}",
    ),
    ("content.xml", "an OpenDocument file", "save it as plain text in UTF-8"),
)
WIDE = ("utf_16", "utf_32")  # beginnings of Python's names
MARKS = (  # byte order marks; those of UTF-32 begin as those of UTF-16
    (b"\xff\xfe\x00\x00", "UTF-32"), (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"),
)  # fmt: skip
# Python's names of the encodings that files have, the most frequent of equal ones first.
FREQUENT = (
    "cp1252", "gb18030", "cp1251", "cp932", "big5", "cp949", "euc_jp", "koi8_r", "cp1250",
    "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "mac_roman", "cp437",
    "cp850", "cp852", "cp866", "koi8_u", "iso8859_2", "iso8859_5", "iso8859_7", "iso8859_15",
)  # fmt: skip


def check_plain(file: Path) -> None:
    """Raise ValueError, in one line, for a file that is no text in UTF-8 by its first bytes."""
    with file.open("rb") as stream:
        sample = stream.read(SAMPLE_BYTES)
    for mark, encoding in MARKS:
        if sample.startswith(mark):
            raise ValueError(f"{file} must be UTF-8; it is {encoding}: {_convert(encoding, file)}")
    if sample.startswith(ZIP):
        kind, advice = _zip_kind(file)
        raise ValueError(f"{file} must be a text file; it is {kind}: {advice}")
    for start, kind, advice in KINDS:
        if sample.startswith(start):
            raise ValueError(
                f"{file} must be a text file; it is {kind}: {advice.format(name=file.name)}"
            )
    text = sample.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, kind, advice in MARKUP:
        if text.startswith(start):
            raise ValueError(
                f"{file} must be a text file; it is {kind}: {advice.format(name=file.name)}"
            )
    if SUBTITLES.match(text.upper()):
        raise ValueError(
            f"{file} must be a text file; it is a file of subtitles: "
            f"grep -Ev '^[0-9]*$|-->|^WEBVTT' {file.name} > texts.txt"
        )
    if seven_bit := _seven_bit_encoding(sample):
        raise ValueError(
            f"{file} must be UTF-8; by its escape sequences it is {seven_bit}: "
            f"{_convert(seven_bit, file)}"
        )
    if b"\x00" in sample:
        found = _wide_encoding(sample)
        if found is None:
            raise ValueError(f"{file} must be a text file; its NUL bytes say that it is binary")
        raise ValueError(
            f"{file} must be UTF-8; by its NUL bytes it is {found}: {_convert(found, file)}"
        )


def encoding_error(file: Path, place: str = "") -> ValueError:
    """The error for a file that is not UTF-8, with the encodings that its content suggests."""
    found = candidates(_bytes_around(file))
    if not found:
        return ValueError(
            f"{file}{place}: must be UTF-8; its encoding is not known: save it again as UTF-8"
        )
    named = ", ".join(f"{_iconv_name(encoding)} ({excerpt!r})" for encoding, excerpt in found)
    return ValueError(
        f"{file}{place}: must be UTF-8; by its content it may be {named}; if that reads well: "
        f"{_convert(_iconv_name(found[0][0]), file)}"
    )


def candidates(content: bytes) -> list[tuple[str, str]]:
    """The likeliest encodings of bytes, best first, and how each reads a part that is not ASCII.

    Empty where charset-normalizer is absent or knows none.
    """
    try:
        matches = importlib.import_module("charset_normalizer").from_bytes(content)
    except ImportError:
        return []
    found: dict[str, str] = {}
    for match in matches:
        if match.encoding.startswith(WIDE):  # those are known by their NUL bytes
            continue
        equal = [name for name in FREQUENT if name in match.could_be_from_charset]
        name = equal[0] if equal else match.encoding
        found.setdefault(name, _excerpt(content.decode(name, errors="replace")))
    ranked = sorted(found.items(), key=lambda item: item[0] not in FREQUENT)
    return ranked[:MAX_CANDIDATES]


def _bytes_around(file: Path) -> bytes:
    """A sample of a file: whole lines around its first byte that is not ASCII."""
    lines: list[bytes] = []
    size = 0
    with file.open("rb") as stream:
        while size < SAMPLE_BYTES and (line := stream.readline(SAMPLE_BYTES)):
            if size or not line.isascii():
                lines.append(line)
                size += len(line)
    return b"".join(lines)


def _seven_bit_encoding(sample: bytes) -> str:
    """The name of the encoding of ASCII that stands for other letters; "" for plain text."""
    if not sample.isascii():
        return ""
    whole = sample[: sample.rfind(b"\n") + 1] or sample
    for mark, encoding in SEVEN_BIT:
        try:
            if mark in whole and not whole.decode(encoding).isascii():
                return _iconv_name(encoding)
        except UnicodeDecodeError:
            continue
    return ""


def broken_text_note(texts: Sequence[str]) -> str:
    """The warning for texts that were decoded wrongly before they were saved; "" for others."""
    sample = texts[:NUM_SAMPLE_TEXTS]
    lost = sum("\ufffd" in text for text in sample)
    wrong = sum(map(_is_mojibake, sample))
    if max(lost, wrong) < BROKEN_SHARE * len(sample):
        return ""
    if lost > wrong:
        return f"{lost:,} of the first {len(sample):,} texts hold U+FFFD: letters were lost before"
    return (
        f"{wrong:,} of the first {len(sample):,} texts look like UTF-8 that was read as cp1252 "
        "(\u00c3\u00a9 for \u00e9); decode the source again as UTF-8"
    )


def _is_mojibake(text: str) -> bool:
    """Return whether a text in bytes of cp1252 is UTF-8, and other than ASCII."""
    if text.isascii():
        return False
    try:
        content = b"".join(
            c.encode("latin1") if "\x80" <= c <= "\x9f" else c.encode("cp1252") for c in text
        )
        found = content.decode("utf-8", errors="replace")
        return len(found) < len(text) and found.count("\ufffd") <= 1  # a space at its end is lost
    except UnicodeError:
        return False


def _excerpt(text: str) -> str:
    first = next((k for k, character in enumerate(text) if not character.isascii()), 0)
    shown = " ".join(text[max(0, first - 4) : first + EXCERPT_CHARACTERS].split())
    return "".join(character for character in shown if character.isprintable())


def _wide_encoding(sample: bytes) -> str | None:
    """UTF-16 or UTF-32 without a mark, by the places of NUL bytes; None for neither."""
    zeros = [sample[k::4].count(0) for k in range(4)]
    quarter = max(1, len(sample) // 4)
    if min(zeros[0], zeros[1]) > 0.9 * quarter or min(zeros[2], zeros[3]) > 0.9 * quarter:
        encoding = "UTF-32LE" if zeros[3] > zeros[0] else "UTF-32BE"
        found = sample[: len(sample) // 4 * 4].decode(encoding, errors="replace")
        return encoding if found.count("\ufffd") <= 1 else None
    even, odd = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if min(even, odd) > STRAY_NULS * max(even, odd):
        return None
    encoding = "UTF-16LE" if odd > even else "UTF-16BE"
    text = sample[: len(sample) // 2 * 2].decode(encoding, errors="replace")
    if max(even, odd) < len(sample) / 3 and sample.count(b"\n") > 1 and "\n" not in text:
        return None  # of letters with two bytes: the line ends would have them, too
    is_text = text.count("\ufffd") <= 1 and sum(c.isprintable() or c.isspace() for c in text)
    return encoding if is_text and is_text >= 0.95 * len(text) and "\x00" not in text else None


def _zip_kind(file: Path) -> tuple[str, str]:
    """The kind of a zip archive by its members, and the way to text."""
    try:
        members = set(zipfile.ZipFile(file).namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        members = set()
    for member, kind, advice in ZIP_MEMBERS:
        if member in members:
            return kind, advice.format(name=file.name)
    return "a zip archive", f"unpack it: unzip {file.name}"


def _convert(encoding: str, file: Path) -> str:
    return f"iconv -f {encoding} -t UTF-8 {file.name} > {file.stem}-utf8{file.suffix}"


def _iconv_name(encoding: str) -> str:
    if encoding == "mac_roman":
        return "MACINTOSH"
    if encoding == "iso2022_jp":
        return "ISO-2022-JP"
    return encoding.upper().replace("ISO8859", "ISO-8859").replace("_", "-")
