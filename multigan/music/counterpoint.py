"""Counterpoint: what a voice sings depends on what the others sing at the same step.

A voice that is written after others hears which intervals its notes would make with theirs, and
which of them it would keep while both move. How much each is worth is learnt; nothing is at first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.roll import Voice
from multigan.music.streams import CLASSES

SWIFT = 20.0  # the tables learn so many times as fast as other weights: they are logits themselves
PLACES = 2  # on the beat, and between beats: a dissonance in passing is another thing


class Worths(NamedTuple):
    """The tables of one forward pass, in logits.

    Rows are (place, voice, other voice, what that one sings). The pitches of a voice are counted
    from its lowest; P, the last one, is silence, which is worth nothing.
    """

    notes: Tensor  # (rows, 2 P + 1): of each pitch to strike, then of going on with each pitch
    kept: Tensor  # (K K 12): of an interval kept in parallel, by (voice, other voice, interval)


class Motion(NamedTuple):
    """What a voice would do if it moved with the others: (..., K)."""

    shift: Tensor  # semitones from what each sang before to what the voice sang, int64
    worth: Tensor  # of keeping that interval, 0 where one of the two was silent


class Counterpoint(nn.Module):
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
        self.kept = nn.Parameter(torch.zeros(count, count, CLASSES))

    apart: Tensor  # (K, K): semitones from the lowest pitch of a column's voice to that of a row's
    interval: Tensor  # (K, K, P, P): which worth a pitch (last) has beside one of the other voice
    octaves: Tensor  # (12, P): 1 at the pitches of a class, counted from the lowest

    def worths(self) -> Worths:
        """The tables, as they are now."""
        count = torch.arange(len(self.apart), device=self.apart.device)
        of_voice, of_other = count[:, None, None, None], count[:, None, None]
        tables = torch.stack([self.struck, self.held])[:, :, of_voice, of_other, self.interval]
        struck, held = SWIFT * tables  # (2, K, K, P, P) each
        notes = F.pad(torch.cat([struck, F.pad(held, (0, 1))], dim=-1), (0, 0, 0, 1))
        return Worths(notes.flatten(0, 3), SWIFT * self.kept.flatten())

    def first_rows(self, voice: Tensor, place: Tensor) -> Tensor:
        """The row (..., K) at which each other voice sings its lowest pitch to a voice (...).

        The place (...) is 0 on a beat, else 1.
        """
        count = len(self.apart)
        other = torch.arange(count, device=voice.device)
        pair = (place * count + voice)[..., None] * count + other
        return pair * (self.pitches + 1)

    def motion(self, worths: Worths, voice: Tensor, own: Tensor, before: Tensor) -> Motion:
        """Of a voice (...) that sang `own` (...) when all sang `before` (..., K)."""
        count = len(self.apart)
        shift = own[..., None] - before
        pair = voice[..., None] * count + torch.arange(count, device=voice.device)
        worth = worths.kept[pair * CLASSES + (self.apart[voice] + shift) % CLASSES]
        sang = (own < self.pitches)[..., None] & (before < self.pitches)
        return Motion(shift, torch.where(sang, worth, 0.0))

    def forward(
        self,
        worths: Worths,
        first: Tensor,
        motion: Motion,
        own: Tensor,
        before: Tensor,
        now: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """What is added to the logits of a voice: of its strikes (N, P), of its hold (N).

        Its first rows (N or 1, K) and motion (N, K), what it sang before (N), what all K sang
        before (N, K), and what it hears of them now (N, K): P where nothing.
        """
        added = F.embedding_bag(first + now, worths.notes, mode="sum")
        struck, held = added.split([self.pitches, self.pitches + 1], dim=-1)
        moves = (before != now) & (now < self.pitches)
        parallel = F.embedding_bag(
            (motion.shift + now) % CLASSES,
            self.octaves,
            mode="sum",
            per_sample_weights=torch.where(moves, motion.worth, 0.0),
        )
        return struck + parallel, held.gather(1, own[:, None]).squeeze(1)
