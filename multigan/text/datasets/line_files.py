"""Files with one sentence on each line, read in bounded memory."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from multigan.text.tokenization.words import collapse_line_breaks

LONGEST_BYTES = 64 * 1024  # of a line that is read
MOST_LINES = 1_000_000
SHARE_HELD_OUT = 0.04  # of the different lines, in valid and in test each
FEW_HELD_OUT = 24  # of a small file, so that there is something to measure with
MOST_HELD_OUT = 0.2  # but no more than this share of it
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_lines(file: Path) -> list[str]:
    """The lines that hold more than blanks, stripped, in order; line ends of any system.

    Longer lines than LONGEST_BYTES and more than MOST_LINES are left out with a warning. Raises
    ValueError, in one line, for a file that cannot be read, is not UTF-8 or has no line.
    """
    lines: list[str] = []
    too_long = 0
    try:
        with file.open("rb") as stream:
            for number, content in _raw_lines(stream):
                if content is None:
                    too_long += 1
                    continue
                lines += _texts(content, file, number)
                if len(lines) >= MOST_LINES:
                    warnings.warn(f"{file}: only its first {MOST_LINES:,} lines", stacklevel=2)
                    break
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror}; wanted a text file") from error
    if too_long:
        kib = LONGEST_BYTES // 1024
        warnings.warn(
            f"{file}: {too_long} lines of more than {kib} KiB are left out; wanted one sentence "
            "on each line",
            stacklevel=2,
        )
    if not lines:
        raise ValueError(f"{file}: no line with text; wanted one sentence on each line")
    return lines[:MOST_LINES]


def split_lines(lines: list[str]) -> dict[str, list[str]]:
    """The different lines in three splits: by the hash of a line, so that order does not matter.

    Each split has a line at least. Raises ValueError for fewer than three different lines.
    """
    different = sorted(set(lines), key=_hash)
    if len(different) < 3:
        raise ValueError(
            f"{len(different)} different lines; wanted 3 or more: one each to train, validate, test"
        )
    few = min(FEW_HELD_OUT, int(MOST_HELD_OUT * len(different)))
    held = max(1, few, int(SHARE_HELD_OUT * len(different)))
    parts = (different[:held], different[held : 2 * held], different[2 * held :])
    chosen = {name: set(part) for name, part in zip(("test", "valid", "train"), parts, strict=True)}
    in_order = list(dict.fromkeys(lines))
    return {name: [line for line in in_order if line in part] for name, part in chosen.items()}


def _raw_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Line number and content without its end; None for a line that is too long."""
    number = 0
    while content := stream.readline(LONGEST_BYTES + 1):
        number += 1
        if len(content) > LONGEST_BYTES and not content.endswith(b"\n"):
            while (rest := stream.readline(LONGEST_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        else:
            yield number, content.removeprefix(BYTE_ORDER_MARK) if number == 1 else content


def _texts(content: bytes, file: Path, number: int) -> list[str]:
    """The texts in a line: one or none; several if the file ends its lines with CR alone."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        coded = "UTF-16" if number == 1 and content.startswith(UTF_16_MARKS) else "LATIN1"
        raise ValueError(
            f"{file}, line {number}: not UTF-8; convert it: iconv -f {coded} -t UTF-8 {file.name}"
        ) from None
    parts = (collapse_line_breaks(part).strip() for part in text.replace("\r", "\n").split("\n"))
    return [part for part in parts if part]


def _hash(line: str) -> bytes:
    return hashlib.blake2b(line.encode(), digest_size=16).digest()
