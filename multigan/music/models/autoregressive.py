"""Autoregressive voices: each is sampled given those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.models.interval_features import CLASSES
from multigan.music.models.voice_leading import (
    BEAT,
    STEP,
    MelodicIntervals,
    VoiceLeading,
    VoiceLeadingBias,
)
from multigan.music.representations.voices import Voice


class VoiceLeadingArrays(NamedTuple):
    """The tables of `counterpoint.Worths`, and what their rows and columns stand for."""

    notes: np.ndarray  # (2 K K (P + 1), 2 P + 1)
    kept: np.ndarray  # (2 K K 12)
    similar: np.ndarray  # (K, K)
    apart: np.ndarray  # (K, K)
    octaves: np.ndarray  # (12, P)
    side: np.ndarray  # (P + 1, P)


def to_numpy(x: Tensor) -> np.ndarray:
    """The values of a tensor; those of half precision in single precision, numpy's smallest."""
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return wide.detach().cpu().numpy()


def sample_voices(
    chances: np.ndarray,
    free: np.ndarray,
    tokens: np.ndarray,
    melodies: np.ndarray,
    beside: VoiceLeadingArrays | None,
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
            hear = _VoiceLeadingState(beside, sounds, last, not on_beat)
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


class _VoiceLeadingState:
    """What voices make of each other at one step, after all sang `before` (B, K).

    `last` (B, K) is what they sang on the beat before, None between beats and on the first.
    """

    def __init__(
        self,
        beside: VoiceLeadingArrays,
        before: np.ndarray,
        last: np.ndarray | None,
        between_beats: bool,
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


class SampledPitches(NamedTuple):
    """What sounds, by pitch from the lowest of each voice, `most` for silence: int64."""

    before: Tensor  # (B, T, K) a step before
    now: Tensor  # (B, T, K)


class AutoregressiveVoices(nn.Module):
    """The monophonic ones among `voices`; `together`: they hear each other.

    Args:
        voices: all of them, as in the domain.
        steps_per_beat: steps of a beat, on which other intervals are worth something.
        together: whether voices hear each other.
    """

    def __init__(self, voices: Sequence[Voice], steps_per_beat: int, together: bool) -> None:
        super().__init__()
        self.places = [k for k, voice in enumerate(voices) if voice.kind == "monophonic"]
        sung = [voices[k] for k in self.places]
        self.steps_per_beat = steps_per_beat
        self.most = max((voice.pitches for voice in sung), default=0)
        self.melodies = nn.ModuleList(MelodicIntervals(voice.pitches) for voice in sung)
        self.counterpoint = VoiceLeading(sung) if together and len(sung) > 1 else None
        self.order = outer_voices_first(sung)
        rank = torch.tensor(self.order).argsort()
        self.register_buffer("hears", rank < rank[:, None], persistent=False)

    hears: Tensor  # (K, K): whether the voice of a row is written after that of a column

    def forward(
        self, logits: Sequence[Tensor], noise: Sequence[Tensor], given: Sequence[Tensor]
    ) -> list[Tensor]:
        """Logits of each voice's cells (B, T, width) with what the notes around are worth.

        `noise` is what will be added before the choice, `given` the known cells, 0 where free.
        """
        if not self.places:
            return list(logits)
        mine = [[x[k] for k in self.places] for x in (logits, noise, given)]
        tables = torch.stack([self._melody(k) for k in range(len(self.places))])
        worths = None if self.counterpoint is None else self.counterpoint.worths()
        free, tokens = _tokens(mine[2], self.most)
        chances = [_widened(a + b, self.most) for a, b in zip(*mine[:2], strict=True)]
        sung = self._sing(chances, free, tokens, tables, worths)
        strike = torch.stack(
            [table[pitch] for table, pitch in zip(tables, sung.before.unbind(2), strict=True)], 2
        )  # (B, T, K, most)
        hold = None
        if self.counterpoint is not None and worths is not None:
            added, hold = self._hear(worths, free, sung)
            strike = strike + added
        written = list(logits)
        for i, k in enumerate(self.places):
            others = F.pad(hold[:, :, i, None], (1, 0)) if hold is not None else 0.0
            struck, other = logits[k][..., :-2], logits[k][..., -2:]
            sum_ = struck + strike[:, :, i, : struck.shape[-1]]
            written[k] = torch.cat([sum_, other + others], dim=-1)
        return written

    @torch.no_grad()
    def _sing(
        self,
        chances: Sequence[Tensor],
        free: Tensor,
        tokens: Tensor,
        tables: Tensor,
        worths: VoiceLeadingBias | None,
    ) -> SampledPitches:
        """What all voices sing, found step by step on the CPU."""
        beside = None
        if self.counterpoint is not None and worths is not None:
            fixed = (self.counterpoint.apart, self.counterpoint.octaves, self.counterpoint.side)
            beside = VoiceLeadingArrays(*map(to_numpy, (*worths, *fixed)))
        arrays = (
            to_numpy(torch.stack(list(chances))),
            to_numpy(free),
            to_numpy(tokens),
            to_numpy(tables),
        )
        now = torch.from_numpy(sample_voices(*arrays, beside, self.order, self.steps_per_beat))
        now = now.to(free.device)
        silence = torch.full_like(now[:, :1], self.most)
        return SampledPitches(torch.cat([silence, now[:, :-1]], dim=1), now)

    def _melody(self, k: int) -> Tensor:
        """The table of a melody for a voice of `most` pitches: (most + 1, most)."""
        table = cast(MelodicIntervals, self.melodies[k]).table()
        more = self.most - table.shape[1]
        return F.pad(table, (0, more, 0, more))

    def _hear(
        self, worths: VoiceLeadingBias, free: Tensor, sung: SampledPitches
    ) -> tuple[Tensor, Tensor]:
        """What counterpoint adds to all steps: to strikes (B, T, K, most), to holds (B, T, K)."""
        (steps, count), at = sung.now.shape[1:], sung.now.device
        heard = self.hears | ~free[:, :, None]  # (B, T, K, K)
        heard = heard & ~torch.eye(count, dtype=torch.bool, device=at)
        now = torch.where(heard, sung.now[:, :, None], self.most)
        place = (torch.arange(steps, device=at) % self.steps_per_beat > 0).long()[:, None]
        counterpoint, voice = cast(VoiceLeading, self.counterpoint), torch.arange(count, device=at)
        first = counterpoint.first_rows(voice, place).expand_as(now).flatten(0, 2)
        own = sung.before.flatten()
        strike, hold = counterpoint.intervals(worths, first, own, now.flatten(0, 2))
        moves = self._moves(sung.before, now)
        strike = strike + counterpoint.parallels(worths, STEP, *moves)
        strike = strike + counterpoint.directions(worths, *moves)
        strike = strike.unflatten(0, sung.now.shape)
        beats = sung.now[:, :: self.steps_per_beat]
        last = F.pad(beats[:, :-1], (0, 0, 1, 0), value=self.most)
        moves = self._moves(last, now[:, :: self.steps_per_beat])
        kept = counterpoint.parallels(worths, BEAT, *moves).unflatten(0, beats.shape)
        strike[:, :: self.steps_per_beat] += kept
        return strike, hold.unflatten(0, sung.now.shape)

    def _moves(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Before (B, T, K), heard now (B, T, K, K) -> voice (N,), before (N, K), now (N, K)."""
        voice = torch.arange(now.shape[2], device=now.device).expand(now.shape[:3])
        return voice.flatten(), before[:, :, None].expand_as(now).flatten(0, 2), now.flatten(0, 2)


def outer_voices_first(voices: Sequence[Voice]) -> list[int]:
    """The places of voices: the highest, the lowest, the second highest, and so on."""
    left = sorted(range(len(voices)), key=lambda k: -(2 * voices[k].lowest + voices[k].pitches))
    order = []
    while left:
        order.append(left.pop(0))
        left.reverse()
    return order


def _widened(x: Tensor, most: int, value: float = -torch.inf) -> Tensor:
    """Cells (..., P + 2) of a voice as those of one with `most` pitches, `value` in new ones."""
    pitches = F.pad(x[..., :-2], (0, most + 2 - x.shape[-1]), value=value)
    return torch.cat([pitches, x[..., -2:]], dim=-1)


def _tokens(given: Sequence[Tensor], most: int) -> tuple[Tensor, Tensor]:
    """Which steps are free (B, T, K), and the known tokens there: `most` a rest, then a hold."""
    cells = torch.stack([_widened(x, most, 0.0) for x in given], dim=2)
    return cells.sum(-1) == 0, cells.argmax(-1)
