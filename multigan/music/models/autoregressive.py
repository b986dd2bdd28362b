"""Autoregressive voices: each is sampled conditioned on those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.models.voice_leading import (
    BEAT,
    STEP,
    MelodicIntervals,
    VoiceLeading,
    VoiceLeadingBias,
)
from multigan.music.representations.voices import Voice
from multigan.music.theory import OCTAVE


class VoiceLeadingArrays(NamedTuple):
    """The tables of `VoiceLeadingBias` and the constants that index them, in numpy."""

    note_bias: np.ndarray  # (2 K K (P + 1), 2 P + 1)
    parallel_bias: np.ndarray  # (2 K K 12)
    direction_bias: np.ndarray  # (K, K)
    range_offset: np.ndarray  # (K, K)
    pitch_class_mask: np.ndarray  # (12, P)
    direction: np.ndarray  # (P + 1, P)


def to_numpy(x: Tensor) -> np.ndarray:
    """Return the values of a tensor; half precision becomes single precision."""
    wide = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
    return wide.detach().cpu().numpy()


def sample_voices(
    noisy_logits: np.ndarray,
    free: np.ndarray,
    tokens: np.ndarray,
    melodies: np.ndarray,
    arrays: VoiceLeadingArrays | None,
    order: Sequence[int],
    steps_per_beat: int,
) -> np.ndarray:
    """Sample the sounding pitch of K voices step by step: (B, T, K) int64, P for silence.

    `noisy_logits` (K, B, T, P + 2): logits plus noise of pitches, rest and hold, without the biases
    of surrounding notes. `free` (B, T, K) is False where a token of `tokens` is observed.
    `melodies` (K, P + 1, P): the bias of each pitch after each pitch.
    """
    silence = melodies.shape[2]
    before = np.full_like(tokens[:, 0], silence)
    sampled = np.empty_like(tokens)
    for t in range(tokens.shape[1]):
        now = np.where(free[:, t], silence, _sounding(tokens[:, t], before, silence))
        state = None
        if arrays is not None:
            on_beat = t % steps_per_beat == 0
            last = sampled[:, t - steps_per_beat] if on_beat and t > 0 else None
            state = _VoiceLeadingState(arrays, before, last, not on_beat)
        for k in order:
            own = before[:, k]
            logits = noisy_logits[k, :, t].copy()
            logits[:, :silence] += melodies[k][own]
            if state is not None:
                state.add(logits, k, now)
            chosen = _sounding(logits.argmax(1), own, silence)
            now[:, k] = np.where(free[:, t, k], chosen, now[:, k])
        sampled[:, t] = before = now
    return sampled


def _sounding(token: np.ndarray, before: np.ndarray, silence: int) -> np.ndarray:
    """Return the pitch after a token: `silence` is a rest, one more holds the pitch `before`."""
    return np.where(token <= silence, token, before)


class _VoiceLeadingState:
    """Voice-leading biases at one step, after all voices had the pitches `before` (B, K).

    `last` (B, K) holds the pitches on the beat before; None between beats and on the first.
    """

    def __init__(
        self,
        arrays: VoiceLeadingArrays,
        before: np.ndarray,
        last: np.ndarray | None,
        between_beats: bool,
    ) -> None:
        self.arrays, self.before = arrays, before
        self.silence = arrays.pitch_class_mask.shape[1]
        count = len(arrays.range_offset)
        self.pair = np.arange(count * count).reshape(count, count)
        self.first = (between_beats * count**2 + self.pair) * (self.silence + 1)  # (K, K)
        self.pasts = [self._parallels(STEP, before)]
        if last is not None:
            self.pasts.append(self._parallels(BEAT, last))

    def _parallels(
        self, since: int, before: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return pitches (B, K) and, by voice and other, offset and bias of a kept interval."""
        shift = before[:, :, None] - before[:, None]  # (B, K, K)
        row = since * self.pair.size + self.pair
        interval = (self.arrays.range_offset + shift) % OCTAVE
        bias = self.arrays.parallel_bias[row * OCTAVE + interval]
        active = before < self.silence
        return before, shift, bias * (active[:, :, None] & active[:, None])

    def add(self, logits: np.ndarray, k: int, now: np.ndarray) -> None:
        """Add to the logits (B, P + 2) of voice k the biases of other voices `now` (B, K)."""
        added = self.arrays.note_bias[self.first[k] + now].sum(1)  # (B, 2 P + 1)
        onsets, active = logits[:, : self.silence], now < self.silence
        onsets += added[:, : self.silence]
        logits[:, -1] += added[np.arange(len(now)), self.silence + self.before[:, k]]
        for before, shift, bias in self.pasts:
            moving = bias[:, k] * ((before != now) & active)  # (B, K)
            classes = self.arrays.pitch_class_mask[(shift[:, k] + now) % OCTAVE]  # (B, K, P)
            onsets += np.einsum("bk,bkp->bp", moving, classes)
        moved = np.sign(now - self.before) * (active & (self.before < self.silence))
        direction = self.arrays.direction[self.before[:, k]]
        onsets += (moved @ self.arrays.direction_bias[k])[:, None] * direction


class SampledPitches(NamedTuple):
    """Sounding pitches, counted from the lowest of each voice, `max_pitches` for silence: int64."""

    before: Tensor  # (B, T, K) a step before
    now: Tensor  # (B, T, K)


class AutoregressiveVoices(nn.Module):
    """Add the biases of surrounding notes to the logits of monophonic voices.

    Args:
        voices: all voices, as in the domain.
        steps_per_beat: steps of a beat, on which other intervals are biased.
        coupled: whether a voice is conditioned on the voices before it, in `outer_voices_first`.
    """

    def __init__(self, voices: Sequence[Voice], steps_per_beat: int, coupled: bool) -> None:
        super().__init__()
        self.voice_indices = [k for k, voice in enumerate(voices) if voice.kind == "monophonic"]
        own = [voices[k] for k in self.voice_indices]
        self.steps_per_beat = steps_per_beat
        self.max_pitches = max((voice.num_pitches for voice in own), default=0)
        self.melodies = nn.ModuleList(MelodicIntervals(voice.num_pitches) for voice in own)
        self.voice_leading = VoiceLeading(own) if coupled and len(own) > 1 else None
        self.order = outer_voices_first(own)
        rank = torch.tensor(self.order).argsort()
        self.register_buffer("conditioned_on", rank < rank[:, None], persistent=False)

    conditioned_on: Tensor  # (K, K): whether the row's voice is sampled after the column's

    def forward(
        self, logits: Sequence[Tensor], noise: Sequence[Tensor], observed: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return the logits of each voice (B, T, channels) plus the biases of surrounding notes.

        `noise` is the noise of the choice that follows, `observed` the observed cells, 0 where
        free.
        """
        if not self.voice_indices:
            return list(logits)
        mine = [[x[k] for k in self.voice_indices] for x in (logits, noise, observed)]
        tables = torch.stack([self._melody(k) for k in range(len(self.voice_indices))])
        bias = None if self.voice_leading is None else self.voice_leading.bias_tables()
        free, tokens = _tokens(mine[2], self.max_pitches)
        noisy = [_widened(a + b, self.max_pitches) for a, b in zip(*mine[:2], strict=True)]
        sampled = self._sample(noisy, free, tokens, tables, bias)
        onset = torch.stack(
            [table[pitch] for table, pitch in zip(tables, sampled.before.unbind(2), strict=True)], 2
        )  # (B, T, K, max_pitches)
        hold = None
        if self.voice_leading is not None and bias is not None:
            added, hold = self._voice_leading_logits(bias, free, sampled)
            onset = onset + added
        out = list(logits)
        for i, k in enumerate(self.voice_indices):
            of_hold = F.pad(hold[:, :, i, None], (1, 0)) if hold is not None else 0.0
            pitches, others = logits[k][..., :-2], logits[k][..., -2:]
            biased = pitches + onset[:, :, i, : pitches.shape[-1]]
            out[k] = torch.cat([biased, others + of_hold], dim=-1)
        return out

    @torch.no_grad()
    def _sample(
        self,
        noisy_logits: Sequence[Tensor],
        free: Tensor,
        tokens: Tensor,
        tables: Tensor,
        bias: VoiceLeadingBias | None,
    ) -> SampledPitches:
        """Sample all voices step by step on the CPU."""
        leading = None
        if self.voice_leading is not None and bias is not None:
            fixed = (
                self.voice_leading.range_offset,
                self.voice_leading.pitch_class_mask,
                self.voice_leading.direction,
            )
            leading = VoiceLeadingArrays(*map(to_numpy, (*bias, *fixed)))
        pitches = sample_voices(
            to_numpy(torch.stack(list(noisy_logits))),
            to_numpy(free),
            to_numpy(tokens),
            to_numpy(tables),
            leading,
            self.order,
            self.steps_per_beat,
        )
        now = torch.from_numpy(pitches).to(free.device)
        silence = torch.full_like(now[:, :1], self.max_pitches)
        return SampledPitches(torch.cat([silence, now[:, :-1]], dim=1), now)

    def _melody(self, k: int) -> Tensor:
        """Return a voice's table of melodic intervals, padded: (max_pitches + 1, max_pitches)."""
        table = cast(MelodicIntervals, self.melodies[k]).table()
        more = self.max_pitches - table.shape[1]
        return F.pad(table, (0, more, 0, more))

    def _voice_leading_logits(
        self, bias: VoiceLeadingBias, free: Tensor, sampled: SampledPitches
    ) -> tuple[Tensor, Tensor]:
        """Return the biases of other voices: onsets (B, T, K, max_pitches), holds (B, T, K)."""
        (steps, count), at = sampled.now.shape[1:], sampled.now.device
        visible = self.conditioned_on | ~free[:, :, None]  # (B, T, K, K)
        visible = visible & ~torch.eye(count, dtype=torch.bool, device=at)
        now = torch.where(visible, sampled.now[:, :, None], self.max_pitches)
        position = (torch.arange(steps, device=at) % self.steps_per_beat > 0).long()[:, None]
        leading, voice = cast(VoiceLeading, self.voice_leading), torch.arange(count, device=at)
        first = leading.first_rows(voice, position).expand_as(now).flatten(0, 2)
        own = sampled.before.flatten()
        onset, hold = leading.intervals(bias, first, own, now.flatten(0, 2))
        moves = self._moves(sampled.before, now)
        onset = onset + leading.parallels(bias, STEP, *moves)
        onset = onset + leading.directions(bias, *moves)
        onset = onset.unflatten(0, sampled.now.shape)
        beats = sampled.now[:, :: self.steps_per_beat]
        last = F.pad(beats[:, :-1], (0, 0, 1, 0), value=self.max_pitches)
        moves = self._moves(last, now[:, :: self.steps_per_beat])
        parallels = leading.parallels(bias, BEAT, *moves).unflatten(0, beats.shape)
        onset[:, :: self.steps_per_beat] += parallels
        return onset, hold.unflatten(0, sampled.now.shape)

    def _moves(self, before: Tensor, now: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pitches before (B, T, K), visible now (B, T, K, K) -> voice (N,), (N, K), (N, K)."""
        voice = torch.arange(now.shape[2], device=now.device).expand(now.shape[:3])
        return voice.flatten(), before[:, :, None].expand_as(now).flatten(0, 2), now.flatten(0, 2)


def outer_voices_first(voices: Sequence[Voice]) -> list[int]:
    """Return the indices of voices: the highest, the lowest, the second highest, and so on."""
    left = sorted(
        range(len(voices)), key=lambda k: -(2 * voices[k].min_pitch + voices[k].num_pitches)
    )
    order = []
    while left:
        order.append(left.pop(0))
        left.reverse()
    return order


def _widened(x: Tensor, num_pitches: int, value: float = -torch.inf) -> Tensor:
    """Pad the pitches of cells (..., P + 2) with `value` up to `num_pitches`."""
    pitches = F.pad(x[..., :-2], (0, num_pitches + 2 - x.shape[-1]), value=value)
    return torch.cat([pitches, x[..., -2:]], dim=-1)


def _tokens(observed: Sequence[Tensor], num_pitches: int) -> tuple[Tensor, Tensor]:
    """Return free steps (B, T, K) and observed tokens: `num_pitches` a rest, then a hold."""
    cells = torch.stack([_widened(x, num_pitches, 0.0) for x in observed], dim=2)
    return cells.sum(-1) == 0, cells.argmax(-1)
