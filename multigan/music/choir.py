"""A choir: voices that are sung step by step, each in the light of the notes before it.

Voices that are written together also hear each other: at each step from the outside in, the highest
first, then the lowest, as counterpoint is taught; given notes are heard by all. Gradients need no
such loop: what is sung is a hard choice, so it is found first (`singing`), and then all steps are
written at once (as text is, teacher-forced on its own sample).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.counterpoint import BEAT, STEP, Counterpoint, Worths
from multigan.music.melody import Melody
from multigan.music.roll import Voice
from multigan.music.singing import Beside, array, sing


class Sung(NamedTuple):
    """What sounds, by pitch from the lowest of each voice, `most` for silence: int64."""

    before: Tensor  # (B, T, K) a step before
    now: Tensor  # (B, T, K)


class Choir(nn.Module):
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
        self.melodies = nn.ModuleList(Melody(voice.pitches) for voice in sung)
        self.counterpoint = Counterpoint(sung) if together and len(sung) > 1 else None
        self.order = from_outside_in(sung)
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
        worths: Worths | None,
    ) -> Sung:
        """What all voices sing, found step by step on the CPU."""
        beside = None
        if self.counterpoint is not None and worths is not None:
            fixed = (self.counterpoint.apart, self.counterpoint.octaves, self.counterpoint.side)
            beside = Beside(*map(array, (*worths, *fixed)))
        arrays = (array(torch.stack(list(chances))), array(free), array(tokens), array(tables))
        now = torch.from_numpy(sing(*arrays, beside, self.order, self.steps_per_beat))
        now = now.to(free.device)
        silence = torch.full_like(now[:, :1], self.most)
        return Sung(torch.cat([silence, now[:, :-1]], dim=1), now)

    def _melody(self, k: int) -> Tensor:
        """The table of a melody for a voice of `most` pitches: (most + 1, most)."""
        table = cast(Melody, self.melodies[k]).table()
        more = self.most - table.shape[1]
        return F.pad(table, (0, more, 0, more))

    def _hear(self, worths: Worths, free: Tensor, sung: Sung) -> tuple[Tensor, Tensor]:
        """What counterpoint adds to all steps: to strikes (B, T, K, most), to holds (B, T, K)."""
        (steps, count), at = sung.now.shape[1:], sung.now.device
        heard = self.hears | ~free[:, :, None]  # (B, T, K, K)
        heard = heard & ~torch.eye(count, dtype=torch.bool, device=at)
        now = torch.where(heard, sung.now[:, :, None], self.most)
        place = (torch.arange(steps, device=at) % self.steps_per_beat > 0).long()[:, None]
        counterpoint, voice = cast(Counterpoint, self.counterpoint), torch.arange(count, device=at)
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


def from_outside_in(voices: Sequence[Voice]) -> list[int]:
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
