"""Pieces longer than a generator's window: window by window, with what is already there known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from multigan.core.modules import sample_batch
from multigan.core.protocols import Generator
from multigan.music.representations.conditioning import (
    Conditioning,
    apply_conditioning,
    expand_mask,
)
from multigan.music.representations.tensors import binarize, restrike, slice_window
from multigan.music.representations.voices import Voice


def sample_long(
    generator: Generator,
    n: int,
    rng: torch.Generator,
    given: Conditioning,
    voices: Sequence[Voice],
    *,
    window_steps: int,
    hop_steps: int,
    lock_ends: bool = False,
) -> Tensor:
    """Draw `n` canonical pieces (n, T, C) around the given cells of one, (1, T, C) and (1, T, K).

    T is at least `window_steps`. Each window begins `hop_steps` after the one before and takes
    over, as known, what that one wrote; the last window ends with the piece. Windows in which
    everything is given are left as they are. Given cells come back bit by bit. With `lock_ends` so
    do the ends of given notes: what would hold one on is struck anew.
    """
    x = given.known.expand(n, -1, -1).clone()  # (n, T, C)
    known = given.mask.expand(n, -1, -1).clone()  # (n, T, K)
    for start in _starts(x.shape[1], window_steps, hop_steps):
        part = slice(start, start + window_steps)
        if known[:, part].all():
            continue
        seen = Conditioning(_seen(x, known, part, voices), known[:, part].clone())
        drawn = binarize(
            apply_conditioning(sample_batch(generator, n, rng, seen), seen, voices), voices
        )
        if lock_ends:
            drawn = _locked(drawn, given.mask[:, part], voices)
        there = expand_mask(known[:, part], voices) > 0
        x[:, part] = torch.where(there, x[:, part], drawn)
        known[:, part] = 1
    return x


def _locked(x: Tensor, mask: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Canonical x (n, T, C) in which nothing given (1, T, K) is held into the free step after it.

    The pitch that was held is struck there: the harmony is that of the generator. At the start of a
    window nothing is ever held.
    """
    first_free = torch.zeros_like(mask)
    first_free[:, 1:] = mask[:, :-1] * (1 - mask[:, 1:])
    return torch.where(expand_mask(first_free, voices) > 0, restrike(x, voices), x)


def _starts(steps: int, window: int, hop: int) -> list[int]:
    """Where windows begin: every `hop` steps, and so that the last one ends with the piece."""
    assert steps >= window, "a piece shorter than a window must be padded"
    return [*range(0, steps - window, hop), steps - window]


def _seen(x: Tensor, known: Tensor, part: slice, voices: Sequence[Voice]) -> Tensor:
    """The known cells (n, window, C) as the generator sees them: struck where the window begins."""
    return slice_window(x, part.start, part.stop, voices) * expand_mask(known[:, part], voices)
