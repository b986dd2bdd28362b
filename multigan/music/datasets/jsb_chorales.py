"""The JSB chorales: 382 pieces by J. S. Bach in four voices on a grid of sixteenths.

The file is `Jsb16thSeparated.json` of github.com/czhuang/JSB-Chorales-dataset: a dict of the splits
"train", "valid" and "test", each a list of pieces, each a list of steps [soprano, alto, tenor,
bass] of MIDI pitches, -1 for a rest. Held and repeated notes look alike in it, and bar lines
are not marked: bars of 16 steps start on beats, not always on a musical bar. No test piece repeats
a training piece, but 14 of the 77 test sopranos, and 15 of the 76 valid ones, are the tune of one.
Source: Boulanger-Lewandowski et al. 2012, arXiv:1206.6392 (the pieces and splits); the sixteenths:
Huang et al. 2017, "Counterpoint by convolution", arXiv:1903.07227.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from multigan.music.theory import MIDI_PITCHES, REST
from multigan.storage.files import parse_json

MOST_BYTES = 64_000_000  # the standard file has 1.6 million
VOICES = ("soprano", "alto", "tenor", "bass")
WINDOW_STEPS, WINDOW_HOP = 32, 16  # two bars of 4/4, and one


class SplitStatistics(NamedTuple):
    """Counts and ranges that identify a split of the standard file."""

    pieces: int
    steps: int
    rests: int  # cells without a note
    shortest: int  # steps
    longest: int
    lowest: tuple[int, ...]  # MIDI pitch of each voice
    highest: tuple[int, ...]


STANDARD = {
    "train": SplitStatistics(229, 55_228, 411, 100, 516, (60, 52, 46, 36), (81, 74, 69, 66)),
    "valid": SplitStatistics(76, 18_408, 589, 128, 576, (60, 55, 47, 36), (81, 74, 69, 63)),
    "test": SplitStatistics(77, 18_900, 284, 128, 640, (60, 55, 48, 36), (81, 74, 69, 64)),
}


def read_jsb(path: str | Path) -> dict[str, list[Tensor]]:
    """The pieces (T, 4), int8, of each split of the standard file, REST where a voice is silent.

    Raises ValueError in one line if the file is missing, is no such JSON, or is not the standard
    one: its counts are not STANDARD.
    """
    splits = read_pieces(path)
    for split, pieces in splits.items():
        found, expected = count(pieces)._asdict(), STANDARD[split]._asdict()
        for what, value in found.items():
            if value != expected[what]:
                raise ValueError(
                    f"{path}: {what} of {split}: {value}; the standard Jsb16thSeparated.json has "
                    f"{expected[what]}: download it again"
                )
    return splits


def read_pieces(path: str | Path) -> dict[str, list[Tensor]]:
    """The pieces (T, 4), int8, of the three splits of any file in this format.

    Raises ValueError in one line if the file is missing or is no such JSON.
    """
    try:
        if (size := Path(path).stat().st_size) > MOST_BYTES:
            raise ValueError(f"it must have {MOST_BYTES:,} bytes or fewer; got {size:,}")
        read = parse_json(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}; download Jsb16thSeparated.json of "
            "github.com/czhuang/JSB-Chorales-dataset"
        ) from error
    except ValueError as error:  # no JSON, or no text at all
        raise ValueError(f"{path}: no JSON ({error}); download it again") from error
    if not isinstance(read, Mapping) or not all(_is_filled_list(read.get(s)) for s in STANDARD):
        raise ValueError(f"{path} must be a dict of lists of pieces: {', '.join(STANDARD)}")
    return {
        split: [_piece(f"{path}, {split} piece {i}", piece) for i, piece in enumerate(read[split])]
        for split in STANDARD
    }


def count(pieces: Sequence[Tensor]) -> SplitStatistics:
    """The counts and ranges of one or more pieces (T, 4); a voice without a note has -1 to -1."""
    lengths = [len(piece) for piece in pieces]
    steps = torch.cat(list(pieces))  # (all steps, 4)
    highest = steps.amax(0)
    lowest = torch.where(steps > REST, steps, highest).amin(0)
    return SplitStatistics(
        pieces=len(pieces),
        steps=len(steps),
        rests=int((steps == REST).sum()),
        shortest=min(lengths),
        longest=max(lengths),
        lowest=tuple(lowest.tolist()),
        highest=tuple(highest.tolist()),
    )


def sliding_windows(
    pieces: Sequence[Tensor], steps: int = WINDOW_STEPS, hop: int = WINDOW_HOP
) -> Tensor:
    """All complete windows (N, steps, 4) that start at 0, hop, 2 hop ... of each piece (T, 4).

    Raises ValueError if `steps` or `hop` is not positive, or if no piece is that long.
    """
    if min(steps, hop) < 1:
        raise ValueError(f"steps and hop must be 1 or more; got {steps} and {hop}")
    runs = [piece.unfold(0, steps, hop) for piece in pieces if len(piece) >= steps]
    if not runs:
        raise ValueError(f"no piece is {steps} steps long; use shorter windows")
    return torch.cat(runs).transpose(1, 2).contiguous()  # (N, steps, 4)


def _is_filled_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0


def _piece(place: str, steps: Any) -> Tensor:
    """One piece as (T, 4), int8; `place` names it in the ValueError."""
    try:
        piece = np.array(steps)
    except ValueError:  # ragged
        piece = np.empty(0)
    if piece.ndim != 2 or piece.shape[1] != len(VOICES) or piece.dtype.kind != "i":
        raise ValueError(f"{place} must have steps of {len(VOICES)} whole numbers, one per voice")
    if piece.min() < REST or piece.max() >= MIDI_PITCHES:
        raise ValueError(
            f"{place} must have MIDI pitches 0 to {MIDI_PITCHES - 1}, or {REST} for a rest"
        )
    return torch.from_numpy(piece.astype(np.int8))
