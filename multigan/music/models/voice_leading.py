"""Logit biases for voice leading: parallels, direction, melodic intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.models.interval_features import CLASSES
from multigan.music.representations.voices import Voice

LR_SCALE = (
    20.0  # the tables learn so many times as fast as other weights: they are logits themselves
)
PARALLELS_LR_SCALE = 3 * LR_SCALE  # and that of parallels, which seldom occur, faster still
PLACES = 2  # on the beat, and between beats: a dissonance in passing is another thing
STEP, BEAT = SINCE = (0, 1)  # an interval may be kept since the step before, or since the last beat


class VoiceLeadingBias(NamedTuple):
    """The tables of one forward pass, in logits.

    Rows are (place, voice, other voice, what that one sings). The pitches of a voice are counted
    from its lowest; P, the last one, is silence, which is worth nothing.
    """

    notes: Tensor  # (rows, 2 P + 1): of each pitch to strike, then of going on with each pitch
    kept: Tensor  # (2 K K 12): of an interval kept in parallel, by (SINCE, voice, other, interval)
    similar: Tensor  # (K, K): of going where another voice goes; of going the other way, minus that


class VoiceLeading(nn.Module):
    """What intervals to other voices are worth to a voice, in logits.

    Args:
        voices: K monophonic ones.
    """

    def __init__(self, voices: Sequence[Voice]) -> None:
        super().__init__()
        count, self.pitches = len(voices), max(voice.pitches for voice in voices)
        lows = [voice.lowest for voice in voices]
        lowest = torch.tensor(lows)
        pitch = torch.arange(self.pitches)
        apart = lowest[:, None] - lowest  # (K, K)
        interval = apart[..., None, None] + pitch - pitch[:, None]  # (K, K, P of other, P)
        reach = max(lows) - min(lows) + self.pitches - 1  # the largest interval
        self.register_buffer("apart", apart, persistent=False)
        self.register_buffer("interval", interval + reach, persistent=False)
        octaves = pitch % CLASSES == torch.arange(CLASSES)[:, None]
        self.register_buffer("octaves", octaves.float(), persistent=False)
        self.struck = nn.Parameter(torch.zeros(PLACES, count, count, 2 * reach + 1))
        self.held = nn.Parameter(torch.zeros(PLACES, count, count, 2 * reach + 1))
        self.kept = nn.Parameter(torch.zeros(len(SINCE), count, count, CLASSES))
        self.similar = nn.Parameter(torch.zeros(count, count))
        self.register_buffer("side", pitch_direction(self.pitches), persistent=False)

    apart: Tensor  # (K, K): semitones from the lowest pitch of a column's voice to that of a row's
    interval: Tensor  # (K, K, P, P): which worth a pitch (last) has beside one of the other voice
    octaves: Tensor  # (12, P): 1 at the pitches of a class, counted from the lowest
    side: Tensor  # (P + 1, P): `sides`

    def worths(self) -> VoiceLeadingBias:
        """The tables, as they are now."""
        count = torch.arange(len(self.apart), device=self.apart.device)
        of_voice, of_other = count[:, None, None, None], count[:, None, None]
        tables = torch.stack([self.struck, self.held])[:, :, of_voice, of_other, self.interval]
        struck, held = LR_SCALE * tables  # (2, K, K, P, P) each
        notes = F.pad(torch.cat([struck, F.pad(held, (0, 1))], dim=-1), (0, 0, 0, 1))
        return VoiceLeadingBias(
            notes.flatten(0, 3), PARALLELS_LR_SCALE * self.kept.flatten(), LR_SCALE * self.similar
        )

    def first_rows(self, voice: Tensor, place: Tensor) -> Tensor:
        """The row (..., K) at which each other voice sings its lowest pitch to a voice (...).

        The place (...) is 0 on a beat, else 1.
        """
        count = len(self.apart)
        other = torch.arange(count, device=voice.device)
        pair = (place * count + voice)[..., None] * count + other
        return pair * (self.pitches + 1)

    def intervals(
        self, worths: VoiceLeadingBias, first: Tensor, own: Tensor, now: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the intervals to others are worth to strikes (N, P), and to the hold (N).

        Its first rows (N, K), what the voice sang before (N), and what it hears of all K now
        (N, K): P where nothing.
        """
        added = F.embedding_bag(first + now, worths.notes, mode="sum")
        struck, held = added.split([self.pitches, self.pitches + 1], dim=-1)
        return struck, held.gather(1, own[:, None]).squeeze(1)

    def parallels(
        self, worths: VoiceLeadingBias, since: int, voice: Tensor, before: Tensor, now: Tensor
    ) -> Tensor:
        """What it is worth to strikes (N, P) that intervals are kept while others move.

        The voice (N), what all K sang (N, K) on the step or beat before, one of SINCE, and what it
        hears of them now (N, K).
        """
        count = len(self.apart)
        own = before.gather(1, voice[:, None])
        shift = own - before  # semitones, but for how far the lowest pitches are apart
        pair = (since * count + voice[:, None]) * count + torch.arange(count, device=voice.device)
        worth = worths.kept[pair * CLASSES + (self.apart[voice] + shift) % CLASSES]
        sang = (own < self.pitches) & (before < self.pitches) & (now < self.pitches)
        return F.embedding_bag(
            (shift + now) % CLASSES,
            self.octaves,
            mode="sum",
            per_sample_weights=torch.where(sang & (before != now), worth, 0.0),
        )

    def directions(
        self, worths: VoiceLeadingBias, voice: Tensor, before: Tensor, now: Tensor
    ) -> Tensor:
        """What it is worth to strikes (N, P) to go up or down with others: as in `parallels`."""
        moved = torch.where((before < self.pitches) & (now < self.pitches), now - before, 0).sign()
        up = (worths.similar[voice] * moved).sum(1, keepdim=True)
        return up * self.side[before.gather(1, voice[:, None]).squeeze(1)]


def pitch_direction(pitches: int) -> Tensor:
    """Whether a pitch (column) lies above (1) or below (-1) another: (P + 1, P), 0 of silence."""
    pitch = torch.arange(pitches)
    return F.pad((pitch - pitch[:, None]).sign(), (0, 0, 0, 1)).float()


INTERVAL_STD = 7.0  # semitones: before training a leap of so many costs half a unit of the logits


class MelodicIntervals(nn.Module):
    """What an interval is worth to a monophonic voice: a number for each, added to the logits."""

    def __init__(self, pitches: int) -> None:
        super().__init__()
        interval = torch.arange(1 - pitches, pitches)  # (2 P - 1,): down to up
        self.worth = nn.Parameter(-((interval / INTERVAL_STD) ** 2) / 2)
        here, there = torch.arange(pitches)[:, None], torch.arange(pitches)
        self.register_buffer("interval", there - here + pitches - 1, persistent=False)

    interval: Tensor  # (P, P): which worth the way from row to column has

    def table(self) -> Tensor:
        """(P + 1, P): what each pitch is worth after each; after silence, the last row, nothing."""
        return F.pad(self.worth[self.interval], (0, 0, 0, 1))
