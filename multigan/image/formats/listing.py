"""The files of a folder or zip archive, without those of operating systems and of samples."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from multigan.storage.folders import files_below, visible

GRID = "grid of samples by multigan"
REPEATED = "earlier member of the archive with the name of a later one"
UTF8_FLAG, UNICODE_PATH = 0x800, 0x7075  # of a member of an archive
MIN_HANGUL = 6  # different letters that tell Korean from Chinese, which has the same bytes
CYRILLIC, HANGUL, KANA = (0x0400, 0x045F), (0xAC00, 0xD7A3), (0x3040, 0x30FF)


@dataclass
class Listing:
    """The files of a folder or archive, and what was ignored, by reason."""

    files: list[str]  # relative, sorted, as the file system or archive names them
    names: dict[str, str] = field(default_factory=dict)  # real names of those that differ
    ignored: dict[str, list[str]] = field(default_factory=dict)  # reason -> files
    notes: list[str] = field(default_factory=list)

    def name(self, file: str) -> str:
        """Return the real name of a file."""
        return self.names.get(file, file)


def list_files(source: str) -> Listing:
    """List the files of a folder or archive. Raises ValueError for a damaged archive."""
    listing = Listing([])
    if Path(source).is_dir():
        files = set(files_below(Path(source), listing.ignored))
    else:
        files = set(visible(_in_zip(source, listing), listing.ignored))
    for file in sorted(files):
        path = PurePosixPath(file)
        if path.name == "grid.png" and str(path.with_name("000000.png")) in files:
            files.remove(file)
            listing.ignored.setdefault(GRID, []).append(file)
    listing.files = sorted(files)
    return listing


def _in_zip(source: str, listing: Listing) -> list[str]:
    """Return the names of the members of an archive; real ones of other encodings are noted."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = [item for item in archive.infolist() if not item.is_dir()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{source} must be a readable zip archive; got: {error}") from None
    unknown: dict[str, bytes] = {}
    for item in members:
        real = _unicode_path(item.extra)
        if real is not None and real != item.filename:
            listing.names[item.filename] = real
        elif not item.flag_bits & UTF8_FLAG and not item.filename.isascii():
            unknown[item.filename] = item.filename.encode("cp437")
    if unknown:
        encoding = encoding_of(list(unknown.values()))
        if encoding != "cp437":
            listing.names |= {name: raw.decode(encoding) for name, raw in unknown.items()}
        if encoding != "utf-8":
            listing.notes.append(
                f"{len(unknown):,} names in the archive declare no encoding and are read as "
                f"{encoding}; if they look wrong, unpack it and give the folder"
            )
    if not any("/" in item.filename for item in members):  # written by programs of Windows
        for item in members:
            if "\\" in (name := listing.name(item.filename)):
                listing.names[item.filename] = name.replace("\\", "/")
    repeated = [name for name, count in Counter(m.filename for m in members).items() if count > 1]
    if repeated:
        listing.ignored[REPEATED] = repeated
    return [item.filename for item in members]


def _unicode_path(extra: bytes) -> str | None:
    """Return the name in the Unicode Path field of a member, if it has one."""
    while len(extra) >= 4:
        kind, length = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        if kind == UNICODE_PATH and length > 5:
            try:
                return extra[9 : 4 + length].decode()
            except UnicodeDecodeError:
                return None
        extra = extra[4 + length :]
    return None


def encoding_of(names: list[bytes]) -> str:
    """Return the most likely encoding of names: UTF-8, one of several scripts, or cp437.

    Names in Chinese and Korean encodings have two bytes of 0xA1 or more for a letter; in European
    ones single letters stand between ASCII. Cyrillic and Hangul encodings give their own letters
    only, Japanese has kana.
    """
    if _decoded(names, "utf-8") is not None:
        return "utf-8"
    if _share(_decoded(names, "cp932"), KANA) > 0:
        return "cp932"
    for encoding in ("cp866", "cp1251"):
        text = _decoded(names, encoding)
        if _share(text, CYRILLIC) == 1 and _has_plain_words(text or ""):
            return encoding
    hangul = _decoded(names, "euc_kr")
    if _share(hangul, HANGUL) == 1 and len({c for c in hangul or "" if ord(c) > 127}) >= MIN_HANGUL:
        return "euc_kr"
    if _decoded(names, "gb2312") is not None:
        return "gbk"
    return "cp437"


def _share(text: str | None, script: tuple[int, int]) -> float:
    """Return the share of a script among the letters that are not ASCII."""
    letters = [c for c in text or "" if not c.isascii()]
    return sum(script[0] <= ord(c) <= script[1] for c in letters) / max(1, len(letters))


def _has_plain_words(text: str) -> bool:
    """Return True if every word is of one script, in one case or capitalized."""
    words = re.findall(r"[^\W\d_]+", text)
    cased = all(word in (word.lower(), word.upper(), word.title()) for word in words)
    return cased and all(word.isascii() or len(re.findall("[a-zA-Z]", word)) == 0 for word in words)


def _decoded(names: list[bytes], encoding: str) -> str | None:
    try:
        return "/".join(name.decode(encoding) for name in names)
    except UnicodeDecodeError:
        return None
