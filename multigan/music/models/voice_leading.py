"""Logit biases for voice leading: parallels, direction, melodic intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.representations.voices import Voice
from multigan.music.theory import OCTAVE, PERFECT_INTERVALS

LR_SCALE = 20.0  # relative learning rate of the tables: they are logits themselves
PARALLELS_RATIO = 3.0  # of the learning rate of parallels, which are rare, to it
POSITIONS = 2  # on the beat, and between beats, where passing dissonances occur
STEP, BEAT = SINCE = (0, 1)  # an interval is kept since the step before, or since the last beat
INTERVAL_STD = 7.0  # semitones: initial melodic bias is -(interval / INTERVAL_STD)^2 / 2


class VoiceLeadingBias(NamedTuple):
    """The tables of one forward pass, in logits.

    Rows are (position, voice, other voice, pitch of the other). The pitches of a voice are counted
    from its lowest; P, the last one, is silence, whose bias is 0.
    """

    note_bias: Tensor  # (rows, 2 P + 1): of an onset of each pitch, then of holding each pitch
    parallel_bias: Tensor  # (2 K K 12): of a kept interval, by (SINCE, voice, other, interval)
    direction_bias: Tensor  # (K, K): of similar motion; its negative is that of contrary motion


class VoiceLeading(nn.Module):
    """Learned biases of the intervals between voices, in logits.

    Args:
        voices: K monophonic ones, the highest first where parallels have a penalty: fifths are
            counted up from the later voice.
        lr_scale: of the tables, which are logits themselves; parallels, which are rare, have
            three times as much.
    """

    def __init__(self, voices: Sequence[Voice], lr_scale: float = LR_SCALE) -> None:
        super().__init__()
        self.lr_scale = lr_scale
        count, self.num_pitches = len(voices), max(voice.num_pitches for voice in voices)
        lows = [voice.min_pitch for voice in voices]
        min_pitch = torch.tensor(lows)
        pitch = torch.arange(self.num_pitches)
        range_offset = min_pitch[:, None] - min_pitch  # (K, K)
        interval = range_offset[..., None, None] + pitch - pitch[:, None]  # (K, K, P of other, P)
        reach = max(lows) - min(lows) + self.num_pitches - 1  # the largest interval
        self.register_buffer("range_offset", range_offset, persistent=False)
        self.register_buffer("interval", interval + reach, persistent=False)
        classes = pitch % OCTAVE == torch.arange(OCTAVE)[:, None]
        self.register_buffer("pitch_class_mask", classes.float(), persistent=False)
        self.onset_bias = nn.Parameter(torch.zeros(POSITIONS, count, count, 2 * reach + 1))
        self.hold_bias = nn.Parameter(torch.zeros(POSITIONS, count, count, 2 * reach + 1))
        self.parallel_bias = nn.Parameter(torch.zeros(len(SINCE), count, count, OCTAVE))
        self.direction_bias = nn.Parameter(torch.zeros(count, count))
        above = torch.arange(count) <= torch.arange(count)[:, None]  # the other voice
        perfect = torch.zeros(OCTAVE)
        perfect[list(PERFECT_INTERVALS)] = 1  # counted up from the lower voice
        inverted = perfect[-torch.arange(OCTAVE) % OCTAVE]
        perfect = torch.where(above[..., None], inverted, perfect)
        self.register_buffer("perfect", perfect, persistent=False)
        self.register_buffer("direction", pitch_direction(self.num_pitches), persistent=False)

    range_offset: (
        Tensor  # (K, K): semitones from the lowest pitch of the column's voice to the row's
    )
    interval: Tensor  # (K, K, P, P): index of the bias of a pitch (last) against another's pitch
    pitch_class_mask: Tensor  # (12, P): 1 at the pitches of a class, counted from the lowest
    perfect: Tensor  # (K, K, 12): 1 at unisons, octaves and fifths of a voice with another
    direction: Tensor  # (P + 1, P): `pitch_direction`

    def bias_tables(self, parallels_penalty: float = 0.0) -> VoiceLeadingBias:
        """Return the current tables, those of parallel perfect intervals less a penalty."""
        count = torch.arange(len(self.range_offset), device=self.range_offset.device)
        of_voice, of_other = count[:, None, None, None], count[:, None, None]
        biases = torch.stack([self.onset_bias, self.hold_bias])
        tables = biases[:, :, of_voice, of_other, self.interval]
        onset, hold = self.lr_scale * tables  # (2, K, K, P, P) each
        notes = F.pad(torch.cat([onset, F.pad(hold, (0, 1))], dim=-1), (0, 0, 0, 1))
        parallel = PARALLELS_RATIO * self.lr_scale * self.parallel_bias
        return VoiceLeadingBias(
            notes.flatten(0, 3),
            (parallel - parallels_penalty * self.perfect).flatten(),
            self.lr_scale * self.direction_bias,
        )

    def first_rows(self, voice: Tensor, position: Tensor) -> Tensor:
        """Return the row (..., K) of each other voice's lowest pitch for a voice (...).

        `position` (...) is 0 on a beat, else 1.
        """
        count = len(self.range_offset)
        other = torch.arange(count, device=voice.device)
        pair = (position * count + voice)[..., None] * count + other
        return pair * (self.num_pitches + 1)

    def intervals(
        self, bias: VoiceLeadingBias, first: Tensor, own: Tensor, now: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the biases of the intervals to others: onsets (N, P) and the hold (N).

        `first` (N, K) are the first rows, `own` (N) the voice's pitch before, `now` (N, K) the
        visible pitches: P where none.
        """
        added = F.embedding_bag(first + now, bias.note_bias, mode="sum")
        onset, hold = added.split([self.num_pitches, self.num_pitches + 1], dim=-1)
        return onset, hold.gather(1, own[:, None]).squeeze(1)

    def parallels(
        self, bias: VoiceLeadingBias, since: int, voice: Tensor, before: Tensor, now: Tensor
    ) -> Tensor:
        """Return the biases of onsets (N, P) that keep an interval to a moving voice.

        `voice` (N), the pitches of all K `before` (N, K) on the step or beat before, one of SINCE,
        and the visible ones `now` (N, K).
        """
        count = len(self.range_offset)
        own = before.gather(1, voice[:, None])
        shift = own - before  # semitones, up to the offset of the lowest pitches
        pair = (since * count + voice[:, None]) * count + torch.arange(count, device=voice.device)
        weight = bias.parallel_bias[pair * OCTAVE + (self.range_offset[voice] + shift) % OCTAVE]
        silence = self.num_pitches
        active = (own < silence) & (before < silence) & (now < silence)
        return F.embedding_bag(
            (shift + now) % OCTAVE,
            self.pitch_class_mask,
            mode="sum",
            per_sample_weights=torch.where(active & (before != now), weight, 0.0),
        )

    def directions(
        self, bias: VoiceLeadingBias, voice: Tensor, before: Tensor, now: Tensor
    ) -> Tensor:
        """Return the biases of onsets (N, P) for similar motion; arguments as in `parallels`."""
        silence = self.num_pitches
        moved = torch.where((before < silence) & (now < silence), now - before, 0).sign()
        up = (bias.direction_bias[voice] * moved).sum(1, keepdim=True)
        return up * self.direction[before.gather(1, voice[:, None]).squeeze(1)]


def pitch_direction(num_pitches: int) -> Tensor:
    """Return 1 where a pitch (column) lies above another, -1 below: (P + 1, P), 0 of silence."""
    pitch = torch.arange(num_pitches)
    return F.pad((pitch - pitch[:, None]).sign(), (0, 0, 0, 1)).float()


class MelodicIntervals(nn.Module):
    """Learned biases of the melodic intervals of a monophonic voice, in logits."""

    def __init__(self, num_pitches: int) -> None:
        super().__init__()
        interval = torch.arange(1 - num_pitches, num_pitches)  # (2 P - 1,): down to up
        self.interval_bias = nn.Parameter(-((interval / INTERVAL_STD) ** 2) / 2)
        here, there = torch.arange(num_pitches)[:, None], torch.arange(num_pitches)
        self.register_buffer("interval", there - here + num_pitches - 1, persistent=False)

    interval: Tensor  # (P, P): index of the bias from the row's pitch to the column's

    def table(self) -> Tensor:
        """Return the bias of each pitch after each, (P + 1, P); 0 after silence, the last row."""
        return F.pad(self.interval_bias[self.interval], (0, 0, 0, 1))
