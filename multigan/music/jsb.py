"""The JSB chorales: 382 pieces by J. S. Bach in four voices on a grid of sixteenths.

The file is `Jsb16thSeparated.json` of github.com/czhuang/JSB-Chorales-dataset: a dict of the splits
"train", "valid" and "test", each a list of pieces, each a list of steps [soprano, alto, tenor,
bass] of MIDI pitches, -1 for a rest. Held and struck-again notes look alike in it, and bar lines
are not marked: bars of 16 steps start on beats, not always on a musical bar. No test piece repeats
a training piece, but 14 of the 77 test sopranos, and 15 of the 76 valid ones, are the tune of one.
Source: Boulanger-Lewandowski et al. 2012, arXiv:1206.6392 (the pieces and splits); the sixteenths:
Huang et al. 2017, "Counterpoint by convolution", arXiv:1903.07227.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.music.theory import OCTAVE, REST

VOICES = ("soprano", "alto", "tenor", "bass")
WINDOW_STEPS, WINDOW_HOP = 32, 16  # two bars of 4/4, and one
LENGTHS = (100, 640)  # steps of the shortest and the longest piece
PITCHES = (36, 81)  # the lowest and the highest note


class Counted(NamedTuple):
    """How much one split holds."""

    pieces: int
    steps: int


STANDARD = {
    "train": Counted(pieces=229, steps=55_228),
    "valid": Counted(pieces=76, steps=18_408),
    "test": Counted(pieces=77, steps=18_900),
}


def read_jsb(path: str | Path) -> dict[str, list[Tensor]]:
    """The pieces (T, 4), int8, of each split of the standard file, REST where a voice is silent.

    Raises ValueError in one line if the file is missing, is no such JSON, or is not the standard
    one: other numbers of pieces or steps, lengths or pitches.
    """
    splits = read_pieces(path)
    for name, pieces in splits.items():
        _check_standard(f"{path}, {name}", pieces, STANDARD[name])
    return splits


def read_pieces(path: str | Path) -> dict[str, list[Tensor]]:
    """The pieces (T, 4), int8, of the three splits of any file in this format.

    Raises ValueError in one line if the file is missing or is no such JSON.
    """
    try:
        read = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}; wanted Jsb16thSeparated.json of "
            "github.com/czhuang/JSB-Chorales-dataset"
        ) from error
    except ValueError as error:  # no JSON, or no text at all
        raise ValueError(f"{path}: no JSON ({error}); download it again") from error
    if not isinstance(read, Mapping) or not all(isinstance(read.get(s), list) for s in STANDARD):
        raise ValueError(f"{path}: wanted a dict of lists of pieces: {', '.join(STANDARD)}")
    return {
        split: [_piece(f"{path}, {split} piece {i}", piece) for i, piece in enumerate(read[split])]
        for split in STANDARD
    }


def cut(pieces: Sequence[Tensor], steps: int = WINDOW_STEPS, hop: int = WINDOW_HOP) -> Tensor:
    """All complete windows (N, steps, 4) that start at 0, hop, 2 hop ... of each piece (T, 4).

    Raises ValueError if `steps` or `hop` is not positive, or if no piece is that long.
    """
    if min(steps, hop) < 1:
        raise ValueError(f"windows of {steps} steps every {hop}; wanted 1 or more of both")
    runs = [piece.unfold(0, steps, hop) for piece in pieces if len(piece) >= steps]
    if not runs:
        raise ValueError(f"no piece is {steps} steps long; wanted shorter windows")
    return torch.cat(runs).transpose(1, 2).contiguous()  # (N, steps, 4)


def _piece(place: str, steps: Any) -> Tensor:
    """One piece as (T, 4), int8; `place` names it in the ValueError."""
    try:
        piece = torch.tensor(steps)
    except (TypeError, ValueError, RuntimeError, OverflowError):  # ragged, text, nested dicts
        piece = torch.empty(0)
    if piece.ndim != 2 or piece.shape[1] != len(VOICES) or piece.dtype != torch.int64:
        raise ValueError(f"{place}: wanted steps of {len(VOICES)} whole numbers, one per voice")
    if piece.amin() < REST or piece.amax() > torch.iinfo(torch.int8).max:
        raise ValueError(f"{place}: wanted MIDI pitches 0 to 127, or {REST} for a rest")
    return piece.to(torch.int8)


def _check_standard(place: str, pieces: Sequence[Tensor], standard: Counted) -> None:
    """ValueError, beginning with `place`, unless the pieces count as those of the standard file."""
    found = Counted(len(pieces), sum(map(len, pieces)))
    if found != standard:
        raise ValueError(
            f"{place}: {found.pieces} pieces of {found.steps} steps; the standard "
            f"Jsb16thSeparated.json has {standard.pieces} of {standard.steps}: download it again"
        )
    lengths = sorted(map(len, pieces))
    if lengths[0] < LENGTHS[0] or lengths[-1] > LENGTHS[1]:
        raise ValueError(
            f"{place}: pieces of {lengths[0]} to {lengths[-1]} steps; the standard file has "
            f"{LENGTHS[0]} to {LENGTHS[1]}"
        )
    notes = torch.cat(list(pieces)).unique()
    notes = notes[notes > REST]
    if notes[0] < PITCHES[0] or notes[-1] > PITCHES[1]:
        raise ValueError(
            f"{place}: pitches {notes[0]} to {notes[-1]}; the standard file has {PITCHES[0]} to "
            f"{PITCHES[1]} (one octave is {OCTAVE})"
        )
