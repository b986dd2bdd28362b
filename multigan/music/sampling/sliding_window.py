"""Sample songs longer than a generator's window, each window conditioned on the one before."""

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
    conditioning: Conditioning,
    voices: Sequence[Voice],
    *,
    window_steps: int,
    hop_steps: int,
    retrigger: bool = False,
) -> Tensor:
    """Sample `n` canonical songs (n, T, C) given observed cells, (1, T, C) and (1, T, K).

    T is at least `window_steps`. Each window begins `hop_steps` after the one before and is
    conditioned on what that one generated; the last window ends with the song. Fully observed
    windows are skipped. Observed cells come back exactly. With `retrigger` so do the ends of
    observed notes: what would extend one gets an onset.
    """
    x = conditioning.values.expand(n, -1, -1).clone()  # (n, T, C)
    observed = conditioning.mask.expand(n, -1, -1).clone()  # (n, T, K)
    for start in _starts(x.shape[1], window_steps, hop_steps):
        window = slice(start, start + window_steps)
        if observed[:, window].all():
            continue
        context = Conditioning(
            _context(x, observed, window, voices),
            observed[:, window].clone(),
            *_asked(conditioning, n, window),
        )
        sampled = binarize(
            apply_conditioning(sample_batch(generator, n, rng, context), context, voices), voices
        )
        if retrigger:
            sampled = _retriggered(sampled, conditioning.mask[:, window], voices)
        is_observed = expand_mask(observed[:, window], voices) > 0
        x[:, window] = torch.where(is_observed, x[:, window], sampled)
        observed[:, window] = 1
    return x


def _asked(conditioning: Conditioning, n: int, window: slice) -> tuple[Tensor | None, ...]:
    """Return the ending, the key and the chords that are asked for in a window."""
    ending, key, chords = conditioning[2:]
    if ending is not None and window.stop < conditioning.mask.shape[1]:
        ending = torch.zeros_like(ending)
    if chords is not None:
        chords = chords[:, window]
    return tuple(None if x is None else x.expand(n, -1) for x in (ending, key, chords))


def _retriggered(x: Tensor, mask: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Return canonical x (n, T, C) in which no observed note (1, T, K) extends into a free step.

    The extended pitch gets an onset there: the harmony is that of the generator. At the start of a
    window nothing is ever held.
    """
    first_free = torch.zeros_like(mask)
    first_free[:, 1:] = mask[:, :-1] * (1 - mask[:, 1:])
    return torch.where(expand_mask(first_free, voices) > 0, restrike(x, voices), x)


def _starts(steps: int, window: int, hop: int) -> list[int]:
    """Start steps of windows: every `hop` steps, and one so that the last ends with the song."""
    assert steps >= window, "a song shorter than a window must be padded"
    return [*range(0, steps - window, hop), steps - window]


def _context(x: Tensor, observed: Tensor, window: slice, voices: Sequence[Voice]) -> Tensor:
    """Observed cells (n, window, C) of a window; notes held into it get an onset at its start."""
    cells = slice_window(x, window.start, window.stop, voices)
    return cells * expand_mask(observed[:, window], voices)
