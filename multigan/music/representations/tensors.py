"""Piano-rolls as network tensors: every voice a block of channels, every cell 0 or 1.

`x` is (B, T, C), C the sum of `num_channels(voice)`. The block of a monophonic voice is one-hot:
its pitches, then rest, then hold; of a polyphonic one the blocks of its lines; of drums the 9
onsets. A window never begins with a hold: what sounds there gets an onset. In a canonical tensor no
rest is followed by a hold. All functions take any dtype and leading axes (..., T, C) in place of
(B, T, C), except where they say otherwise.

Codes (..., T, L) hold the same music in a byte for each line and drum: a token, 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.music.representations.line_assignment import split_lines
from multigan.music.representations.pianoroll import Roll, active_pitches
from multigan.music.representations.voices import DRUM_CLASSES, Voice, single_lines
from multigan.music.theory import REST

THRESHOLD = 0.5  # above it a cell of drums is on


def num_channels(voice: Voice) -> int:
    """Return the number of channels of a voice."""
    return _KINDS[voice.kind].width(voice)


def total_channels(voices: Sequence[Voice]) -> int:
    """Return C, the number of channels of all voices."""
    return sum(num_channels(voice) for voice in voices)


def slices(voices: Sequence[Voice]) -> tuple[slice, ...]:
    """Return the slice of the C channels that belongs to each voice."""
    ends = list(accumulate(num_channels(voice) for voice in voices))
    return tuple(slice(a, b) for a, b in zip([0, *ends], ends, strict=False))


def encode(roll: Roll, voices: Sequence[Voice]) -> Tensor:
    """Encode a piano-roll as a canonical tensor (T, C), float32."""
    blocks = [_KINDS[v.kind].write(a, v) for a, v in zip(roll, voices, strict=True)]
    return binarize(torch.cat(blocks, dim=-1).float(), voices)


def decode(x: Tensor, voices: Sequence[Voice]) -> list[Roll]:
    """Decode (B, T, C) to piano-rolls, one array per voice; inverts `encode`.

    Raises ValueError for another number of channels, or values that are not finite.
    """
    if x.ndim != 3 or x.shape[2] != total_channels(voices):
        raise ValueError(f"music must be (B, T, {total_channels(voices)}); got {tuple(x.shape)}")
    if not x.isfinite().all():
        raise ValueError("samples must be finite; the training of this generator diverged")
    blocks = zip(voices, _blocks(binarize(x.detach().cpu(), voices), voices), strict=True)
    arrays = [_KINDS[v.kind].read(block, v) for v, block in blocks]  # K of (B, ...)
    return [tuple(array[b] for array in arrays) for b in range(len(x))]


def binarize(x: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Round x to canonical cells: the largest channel of every line, a threshold for drums.

    A hold after a rest becomes a rest. No gradient passes.
    """
    cells = [_KINDS[v.kind].binarize(block, v) for v, block in _zip(x, voices)]
    return torch.cat(cells, dim=-1).to(x.dtype)


def restrike(x: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Rewrite canonical music (..., T, C) as if every sounding note began at every step."""
    return torch.cat([_KINDS[v.kind].join(s, s, v) for v, s in _active(x, voices)], dim=-1)


def slice_window(x: Tensor, start: int, stop: int, voices: Sequence[Voice]) -> Tensor:
    """Slice the steps `start` to `stop` of canonical music (..., T, C): (..., stop - start, C).

    Notes held into `start` get an onset there, so that the window is complete by itself.
    """
    first = restrike(x[..., : start + 1, :], voices)[..., start : start + 1, :]
    return torch.cat([first, x[..., start + 1 : stop, :]], dim=-2)


def active_cells(x: Tensor, voices: Sequence[Voice]) -> tuple[Tensor, ...]:
    """Return the sounding pitches: K of (..., T, num_pitches), from `min_pitch` on; differentiable.

    Drums give their 9 onsets.
    """
    return tuple(_merged(v, s) for v, s in _active(x, voices))


def onset_cells(x: Tensor, voices: Sequence[Voice]) -> tuple[Tensor, ...]:
    """Return the onsets, in the form of `active_cells`."""
    return tuple(_merged(v, _KINDS[v.kind].split(b, v)[0]) for v, b in _zip(x, voices))


def to_codes(x: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Return the codes (..., T, L) uint8 of canonical music (..., T, C)."""
    blocks = zip(single_lines(voices), _blocks(x, single_lines(voices)), strict=True)
    codes = [b if v.kind == "drums" else b.argmax(-1, keepdim=True) for v, b in blocks]
    return torch.cat([code.to(torch.uint8) for code in codes], dim=-1)


def restrike_codes(codes: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Return codes (T, L) with an onset at every step of every note."""
    found = []
    for voice, code in zip(single_lines(voices), _code_blocks(codes, voices), strict=True):
        if voice.kind != "drums":
            sounds = active_pitches(code.squeeze(-1).numpy().astype(np.int16), voice)
            code = torch.from_numpy(np.where(sounds == REST, voice.rest, sounds - voice.min_pitch))
        found.append(code.reshape(len(codes), -1).to(torch.uint8))
    return torch.cat(found, dim=-1)


def lines_of_codes(voices: Sequence[Voice]) -> list[int]:
    """Return the index of the voice that each code belongs to."""
    return [k for k, voice in enumerate(voices) for _ in range(_num_codes(voice))]


def from_codes(codes: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Return the music (..., T, C) float32 of codes (..., T, L)."""
    blocks = [
        part.float()
        if voice.kind == "drums"
        else F.one_hot(part.squeeze(-1).long(), voice.num_pitches + 2).float()
        for voice, part in zip(single_lines(voices), _code_blocks(codes, voices), strict=True)
    ]
    return torch.cat(blocks, dim=-1)


def _code_blocks(codes: Tensor, voices: Sequence[Voice]) -> tuple[Tensor, ...]:
    """Split codes (..., L) by `single_lines`."""
    return codes.split([_num_codes(voice) for voice in single_lines(voices)], dim=-1)


def _num_codes(voice: Voice) -> int:
    return {"polyphonic": voice.lines, "drums": len(DRUM_CLASSES)}.get(voice.kind, 1)


def linear_recurrence(onsets: Tensor, holds: Tensor) -> Tensor:
    """Solve s[t] = onsets[t] + holds[t] s[t - 1] with s = 0 before.

    `onsets` and s are (..., T, P), `holds` (..., T, P) or (..., T, 1). Twice differentiable by
    recursive doubling, in log2 T products. Without a gradient it is a loop over steps in place.
    """
    if not (torch.is_grad_enabled() and (onsets.requires_grad or holds.requires_grad)):
        return _recurrence_in_place(onsets, holds)
    a, h, steps = onsets, holds, onsets.shape[-2]
    reach = 1
    while reach < steps:
        a, h = a + h * shift_time(a, reach), h * shift_time(h, reach)
        reach *= 2
    return a


def _recurrence_in_place(onsets: Tensor, holds: Tensor) -> Tensor:
    """Return s of `linear_recurrence` in one pass over the steps."""
    s = onsets.clone()
    for t in range(1, s.shape[-2]):
        s[..., t, :] += holds[..., t, :] * s[..., t - 1, :]
    return s


@lru_cache
def voice_of_channel(voices: tuple[Voice, ...]) -> Tensor:
    """Return the index of the voice that each channel belongs to, (C,)."""
    widths = torch.tensor([num_channels(voice) for voice in voices])
    return torch.arange(len(voices)).repeat_interleave(widths)


def _blocks(x: Tensor, voices: Sequence[Voice]) -> list[Tensor]:
    return [x[..., block] for block in slices(voices)]


def _zip(x: Tensor, voices: Sequence[Voice]) -> list[tuple[Voice, Tensor]]:
    return list(zip(voices, _blocks(x, voices), strict=True))


def _active(x: Tensor, voices: Sequence[Voice]) -> list[tuple[Voice, Tensor]]:
    return [(v, linear_recurrence(*_KINDS[v.kind].split(block, v))) for v, block in _zip(x, voices)]


def _merged(voice: Voice, cells: Tensor) -> Tensor:
    """Sum the lines of a polyphonic voice, at most 1: (..., T, L P) -> (..., T, P)."""
    if voice.kind != "polyphonic":
        return cells
    return cells.unflatten(-1, (voice.lines, -1)).sum(-2).clamp(max=1)


def shift_time(x: Tensor, steps: int = 1) -> Tensor:
    """Delay x (..., T, C) by `steps`; 0 at the start."""
    return F.pad(x[..., :-steps, :], (0, 0, steps, 0))


def _write_monophonic(tokens: np.ndarray, voice: Voice) -> Tensor:
    """Tokens (...) -> (..., pitches + 2)."""
    return F.one_hot(torch.as_tensor(np.asarray(tokens)).long(), voice.num_pitches + 2)


def _read_monophonic(block: Tensor, voice: Voice) -> np.ndarray:
    """(B, T, pitches + 2) -> tokens (B, T) int16."""
    return block.argmax(-1).to(torch.int16).numpy()


def _binarize_monophonic(block: Tensor, voice: Voice) -> Tensor:
    """Numbers (..., T, P + 2) -> canonical cells: the largest of each step; silent holds rest."""
    tokens = block.argmax(-1)  # (..., T)
    steps = torch.arange(tokens.shape[-1], device=tokens.device)
    latest = torch.where(tokens != voice.hold, steps, -1).cummax(-1).values
    event = tokens.gather(-1, latest.clamp(min=0))
    silent = (latest < 0) | (event == voice.rest)
    return F.one_hot(tokens.masked_fill(silent, voice.rest), voice.num_pitches + 2)


def _split_monophonic(block: Tensor, voice: Voice) -> tuple[Tensor, Tensor]:
    """(..., T, P + 2) -> onsets (..., T, P), holds (..., T, 1)."""
    return block[..., : voice.num_pitches], block[..., voice.hold :]


def _join_monophonic(onsets: Tensor, active: Tensor, voice: Voice) -> Tensor:
    """(..., T, P) twice -> (..., T, P + 2)."""
    begins, any_active = onsets.sum(-1, keepdim=True), active.sum(-1, keepdim=True)
    return torch.cat([onsets, 1 - any_active, any_active - begins], dim=-1).to(onsets.dtype)


def _write_polyphonic(planes: np.ndarray, voice: Voice) -> Tensor:
    """Onset and sustain (2, T, P) -> (T, lines (P + 2))."""
    return _write_monophonic(split_lines(planes, voice), voice).flatten(-2)


def _read_polyphonic(block: Tensor, voice: Voice) -> np.ndarray:
    """(B, T, lines (P + 2)) -> onset and sustain (B, 2, T, P) bool."""
    onsets, holds = _split_polyphonic(block, voice)
    onset = _merged(voice, onsets).bool()
    active = _merged(voice, linear_recurrence(onsets, holds)).bool()
    return torch.stack([onset, active & ~onset], dim=1).numpy()


def _binarize_polyphonic(block: Tensor, voice: Voice) -> Tensor:
    """Numbers (..., T, lines (P + 2)) -> canonical cells."""
    lines = block.unflatten(-1, (voice.lines, -1)).transpose(-2, -3)  # (..., lines, T, P + 2)
    return _binarize_monophonic(lines, voice).transpose(-2, -3).flatten(-2)


def _split_polyphonic(block: Tensor, voice: Voice) -> tuple[Tensor, Tensor]:
    """(..., T, lines (P + 2)) -> onsets, holds (..., T, lines P)."""
    lines = block.unflatten(-1, (voice.lines, -1))
    onsets, holds = _split_monophonic(lines, voice)
    return onsets.flatten(-2), holds.expand_as(onsets).flatten(-2)


def _join_polyphonic(onsets: Tensor, active: Tensor, voice: Voice) -> Tensor:
    """(..., T, lines P) twice -> (..., T, lines (P + 2))."""
    begun, active = (cells.unflatten(-1, (voice.lines, -1)) for cells in (onsets, active))
    return _join_monophonic(begun, active, voice).flatten(-2)


def _write_drums(onsets: np.ndarray, voice: Voice) -> Tensor:
    """Onsets (T, 9) -> (T, 9)."""
    return torch.as_tensor(np.asarray(onsets))


def _read_drums(block: Tensor, voice: Voice) -> np.ndarray:
    """(B, T, 9) -> (B, T, 9) bool."""
    return block.bool().numpy()


def _split_drums(block: Tensor, voice: Voice) -> tuple[Tensor, Tensor]:
    return block, torch.zeros_like(block[..., :1])


def _join_drums(onsets: Tensor, active: Tensor, voice: Voice) -> Tensor:
    return onsets


def _binarize_drums(block: Tensor, voice: Voice) -> Tensor:
    return (block > THRESHOLD).long()


class _Kind(NamedTuple):
    """Conversions of the block of one kind of voice."""

    width: Callable[[Voice], int]
    write: Callable[[Any, Voice], Tensor]  # array -> (T, width)
    read: Callable[[Tensor, Voice], np.ndarray]  # (B, T, width) -> arrays
    binarize: Callable[[Tensor, Voice], Tensor]  # numbers -> canonical cells
    split: Callable[[Tensor, Voice], tuple[Tensor, Tensor]]  # block -> onsets, holds
    join: Callable[[Tensor, Tensor, Voice], Tensor]  # onsets, active -> canonical block


_KINDS = {
    "monophonic": _Kind(
        lambda voice: voice.num_pitches + 2,
        _write_monophonic,
        _read_monophonic,
        _binarize_monophonic,
        _split_monophonic,
        _join_monophonic,
    ),
    "polyphonic": _Kind(
        lambda voice: voice.lines * (voice.num_pitches + 2),
        _write_polyphonic,
        _read_polyphonic,
        _binarize_polyphonic,
        _split_polyphonic,
        _join_polyphonic,
    ),
    "drums": _Kind(
        lambda voice: len(DRUM_CLASSES),
        _write_drums,
        _read_drums,
        _binarize_drums,
        _split_drums,
        _join_drums,
    ),
}
