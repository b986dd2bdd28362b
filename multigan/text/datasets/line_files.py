"""Files with one sentence on each line, read in bounded memory."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from multigan.text.tokenization.words import collapse_line_breaks

MAX_LINE_BYTES = 64 * 1024
MAX_LINES = 1_000_000
HELD_OUT_FRACTION = 0.04  # of the different lines, in valid and in test each
MIN_HELD_OUT = 24  # of a small file, so that it can be evaluated
MAX_HELD_OUT_FRACTION = 0.2  # of a small file
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_lines(file: Path) -> list[str]:
    """Read the lines that are not blank, stripped, in order; line ends of any system.

    Lines longer than MAX_LINE_BYTES and those after MAX_LINES are left out with a warning. Raises
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
                if len(lines) >= MAX_LINES:
                    warnings.warn(f"{file}: only its first {MAX_LINES:,} lines", stacklevel=2)
                    break
    except OSError as error:
        raise ValueError(f"{file} must be a readable text file: {error.strerror}") from error
    if too_long:
        kib = MAX_LINE_BYTES // 1024
        warnings.warn(
            f"{file}: {too_long} lines of more than {kib} KiB are left out; a file must have one "
            "sentence on each line",
            stacklevel=2,
        )
    if not lines:
        raise ValueError(f"{file} must have one sentence on each line; got no line with text")
    return lines[:MAX_LINES]


def split_lines(lines: list[str]) -> dict[str, list[str]]:
    """Split the different lines in three, by the hash of a line: their order does not matter.

    Each split has at least one line. Raises ValueError for fewer than three different lines.
    """
    different = sorted(set(lines), key=_hash)
    if len(different) < 3:
        raise ValueError(
            "the number of different lines must be 3 or more, to train, validate and test; "
            f"got {len(different)}"
        )
    minimum = min(MIN_HELD_OUT, int(MAX_HELD_OUT_FRACTION * len(different)))
    held_out = max(1, minimum, int(HELD_OUT_FRACTION * len(different)))
    splits = {
        "test": set(different[:held_out]),
        "valid": set(different[held_out : 2 * held_out]),
        "train": set(different[2 * held_out :]),
    }
    in_order = list(dict.fromkeys(lines))
    return {name: [line for line in in_order if line in split] for name, split in splits.items()}


def _raw_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Iterate over line numbers and contents; None for a line that is too long."""
    number = 0
    while content := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(content) > MAX_LINE_BYTES and not content.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        else:
            yield number, content.removeprefix(BYTE_ORDER_MARK) if number == 1 else content


def _texts(content: bytes, file: Path, number: int) -> list[str]:
    """The texts in a line: one or none; several if the file ends its lines with CR alone."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        encoding = "UTF-16" if number == 1 and content.startswith(UTF_16_MARKS) else "LATIN1"
        raise ValueError(
            f"{file}, line {number}: must be UTF-8; convert the file: "
            f"iconv -f {encoding} -t UTF-8 {file.name}"
        ) from None
    lines = text.replace("\r", "\n").split("\n")
    stripped = (collapse_line_breaks(line).strip() for line in lines)
    return [line for line in stripped if line]


def _hash(line: str) -> bytes:
    return hashlib.blake2b(line.encode(), digest_size=16).digest()
