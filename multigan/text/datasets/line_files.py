"""Files with one sentence on each line, read in bounded memory."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from multigan.core.data_counts import IGNORED, LEFT_OUT, DataCounts
from multigan.text.formats.encodings import check_plain, encoding_error
from multigan.text.tokenization.words import collapse_line_breaks

MAX_LINE_BYTES = 64 * 1024
MAX_LINES = 1_000_000
HELD_OUT_FRACTION = 0.04  # of the different lines, in valid and in test each
MIN_HELD_OUT = 24  # of a small file, so that it can be evaluated
MAX_HELD_OUT_FRACTION = 0.2  # of a small file
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
TOO_LONG = f"longer than {MAX_LINE_BYTES // 1024} KiB"


def read_lines(file: Path, unit: str = "line", counts: DataCounts | None = None) -> list[str]:
    """Read the texts of a file that are not blank, stripped, in order; line ends of any system.

    `unit` is a key of UNITS: the lines of a paragraph or of a file are joined by spaces. What is
    left out is added to `counts`: blank lines, and texts longer than MAX_LINE_BYTES. Lines after
    MAX_LINES are left out with a warning. Raises ValueError, in one line, for a file that cannot be
    read, is not UTF-8 or has no text.
    """
    counts = DataCounts("lines") if counts is None else counts
    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}; got {unit!r}")
    try:
        check_plain(file)
        with file.open("rb") as stream:
            lines = [line for part in _lines(stream, file, counts) for line in part]
    except OSError as error:
        raise ValueError(f"{file} must be a readable text file: {error.strerror}") from error
    texts = UNITS[unit](lines)
    fitting = [text for text in texts if len(text) <= MAX_LINE_BYTES]
    if len(fitting) < len(texts):
        counts.add(LEFT_OUT, TOO_LONG, [file.name], len(texts) - len(fitting))
    if not fitting:
        too_long = any(row.reason == TOO_LONG for row in counts.rows)
        got = f"lines {TOO_LONG}" if too_long else "no line with text"
        raise ValueError(f"{file} must have one sentence on each line; got {got}")
    return fitting


def _lines(stream: BinaryIO, file: Path, counts: DataCounts) -> Iterator[list[str]]:
    """Iterate over the lines, a few at a time; blank ones are empty."""
    num_texts = 0
    for number, content in _raw_lines(stream):
        if content is None:
            counts.add(LEFT_OUT, TOO_LONG, [f"{file.name}, line {number}"])
            continue
        lines = _texts(content, file, number)
        num_blank = lines.count("")
        num_texts += len(lines) - num_blank
        if num_blank:
            counts.add(IGNORED, "blank", [f"{file.name}, line {number}"], num_blank)
        if num_texts > MAX_LINES:
            warnings.warn(f"{file}: only its first {MAX_LINES:,} lines", stacklevel=4)
            return
        yield lines


def _paragraphs(lines: list[str]) -> list[str]:
    """Lines between blank ones, joined by spaces."""
    groups = groupby(lines, key=bool)
    return [" ".join(group) for has_text, group in groups if has_text]


UNITS: dict[str, Callable[[list[str]], list[str]]] = {
    "line": lambda lines: [line for line in lines if line],
    "paragraph": _paragraphs,
    "file": lambda lines: [" ".join(line for line in lines if line)] if any(lines) else [],
}
"""Unit of a text -> the texts of the lines of a file, of which blank ones are empty."""


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
    """The stripped texts in a line: one; several if the file ends its lines with CR alone."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise encoding_error(file, f", line {number}") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    return [collapse_line_breaks(line).strip() for line in lines]


def _hash(line: str) -> bytes:
    return hashlib.blake2b(line.encode(), digest_size=16).digest()
