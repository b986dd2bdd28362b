"""Singing: hard choices made one after the other, each in the light of those before it.

In numpy, on the CPU: these are thousands of steps on arrays so small that starting an operation of
torch, or a kernel of a GPU, takes ten times as long as the operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multigan.music.counterpoint import BEAT, STEP
from multigan.music.streams import CLASSES


class Beside(NamedTuple):
    """The tables of `counterpoint.Worths`, and what their rows and columns stand for."""

    notes: np.ndarray  # (2 K K (P + 1), 2 P + 1)
    kept: np.ndarray  # (2 K K 12)
    similar: np.ndarray  # (K, K)
    apart: np.ndarray  # (K, K)
    octaves: np.ndarray  # (12, P)
    side: np.ndarray  # (P + 1, P)


def array(x: Tensor) -> np.ndarray:
    """The values of a tensor; those of half precision in single precision, numpy's smallest."""
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return wide.detach().cpu().numpy()


def sing(
    chances: np.ndarray,
    free: np.ndarray,
    tokens: np.ndarray,
    melodies: np.ndarray,
    beside: Beside | None,
    order: Sequence[int],
    steps_per_beat: int,
) -> np.ndarray:
    """What sounds of K voices at each step: (B, T, K) int64, P for silence.

    `chances` (K, B, T, P + 2): logits and noise of pitches, rest and hold, without what the notes
    around are worth. `free` (B, T, K) is False where a token of `tokens` is given. `melodies`
    (K, P + 1, P): what each pitch is worth after each.
    """
    silence = melodies.shape[2]
    sounds = np.full_like(tokens[:, 0], silence)
    sung = np.empty_like(tokens)
    for t in range(tokens.shape[1]):
        now = np.where(free[:, t], silence, _sounding(tokens[:, t], sounds, silence))
        hear = None
        if beside is not None:
            on_beat = t % steps_per_beat == 0
            last = sung[:, t - steps_per_beat] if on_beat and t > 0 else None
            hear = _Hearing(beside, sounds, last, not on_beat)
        for k in order:
            own = sounds[:, k]
            logits = chances[k, :, t].copy()
            logits[:, :silence] += melodies[k][own]
            if hear is not None:
                hear.add(logits, k, now)
            chosen = _sounding(logits.argmax(1), own, silence)
            now[:, k] = np.where(free[:, t, k], chosen, now[:, k])
        sung[:, t] = sounds = now
    return sung


def _sounding(token: np.ndarray, before: np.ndarray, silence: int) -> np.ndarray:
    """What sounds at a token after what sounded before: `silence` is a rest, one more a hold."""
    return np.where(token <= silence, token, before)


class _Hearing:
    """What voices make of each other at one step, after all sang `before` (B, K).

    `last` (B, K) is what they sang on the beat before, None between beats and on the first.
    """

    def __init__(
        self, beside: Beside, before: np.ndarray, last: np.ndarray | None, between_beats: bool
    ) -> None:
        self.beside, self.before, self.silence = beside, before, beside.octaves.shape[1]
        count = len(beside.apart)
        self.pair = np.arange(count * count).reshape(count, count)
        self.first = (between_beats * count**2 + self.pair) * (self.silence + 1)  # (K, K)
        self.pasts = [self._kept(STEP, before)]
        if last is not None:
            self.pasts.append(self._kept(BEAT, last))

    def _kept(self, since: int, before: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What was sung (B, K), and by voice and other: how far apart, and what that is worth."""
        shift = before[:, :, None] - before[:, None]  # (B, K, K)
        row = since * self.pair.size + self.pair
        worth = self.beside.kept[row * CLASSES + (self.beside.apart + shift) % CLASSES]
        sang = before < self.silence
        return before, shift, worth * (sang[:, :, None] & sang[:, None])

    def add(self, logits: np.ndarray, k: int, now: np.ndarray) -> None:
        """Add to the logits (B, P + 2) of voice k what others are worth that sing `now` (B, K)."""
        added = self.beside.notes[self.first[k] + now].sum(1)  # (B, 2 P + 1)
        strikes, sings = logits[:, : self.silence], now < self.silence
        strikes += added[:, : self.silence]
        logits[:, -1] += added[np.arange(len(now)), self.silence + self.before[:, k]]
        for before, shift, worth in self.pasts:
            moving = worth[:, k] * ((before != now) & sings)  # (B, K)
            octaves = self.beside.octaves[(shift[:, k] + now) % CLASSES]  # (B, K, P)
            strikes += np.einsum("bk,bkp->bp", moving, octaves)
        moved = np.sign(now - self.before) * (sings & (self.before < self.silence))
        strikes += (moved @ self.beside.similar[k])[:, None] * self.beside.side[self.before[:, k]]
