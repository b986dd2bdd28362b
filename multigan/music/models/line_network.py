"""The network of a sequence generator: logits of each line at each step, given the past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.models.harmonic_plan import chord_pitch_classes
from multigan.music.models.layers import GroupLinear
from multigan.music.theory import NUM_CHORDS, OCTAVE

MAX_AGE = 32  # steps since the latest onset of a line, at most
FIRST_EMBEDDING = 0.2  # standard deviation
FIRST_REST, FIRST_HOLD = 3.5, 5.0  # first logits, against those of about 100 rows
FINAL_PENALTY = 100.0  # in logits, of notes outside the last chord of an ending
INTERVAL_STD = 7.0  # semitones: the first bias of a melodic interval i is -(i / 7)^2 / 2


class LineTokens(NamedTuple):
    """Lines (B, T, L) int64 in rows of pitches relative to the key; R rows.

    `sounding` is the row that sounds, R for silence; `onset` is 1 where it begins.
    """

    sounding: Tensor
    onset: Tensor

    def at(self, t: int) -> LineTokens:
        """Return one step, (B, L)."""
        return LineTokens(self.sounding[:, t], self.onset[:, t])


class StepContext(NamedTuple):
    """Known properties of the steps before their notes are chosen: (B, T, ...)."""

    chords: Tensor  # (B, T) of the plan; and the next one
    next_chords: Tensor
    place: Tensor  # (B, T): step of the window
    like: Tensor  # (B, T): choice of LAGS of the bar
    ending: Tensor  # (B, T) float: 1 in the last bars of a song
    given: LineTokens  # observed lines; R + 1 where free
    final: Tensor | None  # (B, T) float: 1 in the last chord of an ending that is asked for


class LineNetwork(nn.Module):
    """Logits of the rows, a rest and a hold of each line, from what was chosen before.

    A recurrent state reads the steps before. The lines of a step are conditioned on each other in
    `order`. Every line gets a bonus on the pitch classes of the chord and on melodic intervals.

    Args:
        lines: L.
        rows: R pitches, the lowest of which is MIDI pitch `lowest` in the key of C.
        steps, steps_per_bar: of a window.
        likenesses: number of choices of LAGS.
        order: indices of the lines, in which they are chosen.
        width: of the recurrent state; line_width: of the layers of a line.
    """

    def __init__(
        self,
        lines: int,
        rows: int,
        lowest: int,
        steps: int,
        steps_per_bar: int,
        likenesses: int,
        order: Sequence[int],
        width: int,
        line_width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.lines, self.rows, self.steps_per_bar = lines, rows, steps_per_bar
        self.order = list(order)
        entered = width // 2
        pitches = lines * (rows + 2)  # and silence, and unknown
        self.enter = _bags(("past", "earlier", "given"), 2 * pitches, entered)
        self.like_gain = nn.Parameter(torch.ones(entered))  # a likened bar differs from the latest
        self.own_like_gain = nn.Parameter(torch.ones(line_width))
        self.chord = nn.Embedding(NUM_CHORDS + 1, entered)
        self.next_chord = nn.Embedding(NUM_CHORDS + 1, entered)
        self.place = nn.Embedding(steps_per_bar, entered)
        self.bar = nn.Embedding(steps // steps_per_bar, entered)
        self.likeness = nn.Embedding(likenesses, entered)
        self.ending = nn.Parameter(torch.zeros(entered))
        self.input = nn.Linear(entered, 3 * width)
        self.recurrent = nn.Linear(width, 3 * width)
        self.to_line = nn.Linear(width + entered, line_width)
        self.line_bias = nn.Parameter(torch.randn(lines, line_width) * 0.3)
        self.around = nn.EmbeddingBag(2 * pitches, line_width, mode="sum")
        self.own = _bags(("past", "earlier"), 2 * pitches, line_width)
        self.age = nn.Embedding(lines * (MAX_AGE + 1), line_width)
        self.mix = GroupLinear(lines, line_width, line_width)
        self.out = GroupLinear(lines, line_width, rows + 2, gain=0.3)
        self.chord_bonus = nn.Parameter(torch.zeros(lines, NUM_CHORDS // OCTAVE + 1, OCTAVE))
        interval = torch.arange(1 - rows, rows)
        self.melody = nn.Parameter((-((interval / INTERVAL_STD) ** 2) / 2).repeat(lines, 1))
        row = torch.arange(rows)
        self.register_buffer("interval", row - row[:, None] + rows - 1, persistent=False)
        chord = torch.arange(NUM_CHORDS + 1)
        degree = (row + lowest - chord[:, None] % OCTAVE) % OCTAVE  # (chords, R)
        kind = (chord // OCTAVE).clamp(max=NUM_CHORDS // OCTAVE)[:, None].expand_as(degree)
        self.register_buffer("chord_cell", kind * OCTAVE + degree, persistent=False)
        tones = chord_pitch_classes()[:, (row + lowest) % OCTAVE]  # (chords, R)
        outside = F.pad(1 - tones, (0, 2)) * (tones.sum(1, keepdim=True) > 0)
        self.register_buffer("outside", FINAL_PENALTY * outside, persistent=False)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for table in (*self.enter.values(), self.around, *self.own.values()):
                cast(nn.EmbeddingBag, table).weight.mul_(FIRST_EMBEDDING)
            inside = chord_pitch_classes()[::OCTAVE]  # of chords on C
            self.chord_bonus[:, : len(inside) - 1] = inside[:-1]
            bias = self.out.bias.view(lines, rows + 2)
            bias[:, rows], bias[:, rows + 1] = FIRST_REST, FIRST_HOLD

    interval: Tensor  # (R, R)
    chord_cell: Tensor  # (chords, R): kind and degree of each row in each chord
    outside: Tensor  # (chords, R + 2): penalty of rows outside the last chord; 0 of silence

    def tables(self) -> tuple[Tensor, Tensor]:
        """Return the bonus of rows after a row (L, R + 2, R), and in a chord (L, chords, R)."""
        melody = F.pad(self.melody[:, self.interval], (0, 0, 0, 2))
        return melody, self.chord_bonus.flatten(1)[:, self.chord_cell]

    def bonus(self, past: LineTokens, chords: Tensor) -> Tensor:
        """Return the bonus of rows after the ones that sound and in chords: (B, T, L, R)."""
        melody, chord = self.tables()
        first = torch.arange(self.lines, device=chords.device) * (self.rows + 2)
        # embedding, since the gradient of advanced indexing is several times slower
        after = F.embedding(past.sounding + first, melody.flatten(0, 1))
        within = F.embedding(chords, chord.transpose(0, 1).flatten(1))
        return after + within.unflatten(-1, (self.lines, self.rows))

    def final_penalty(self, final: Tensor, chords: Tensor, past: LineTokens) -> Tensor:
        """Return what rows, a rest and holds lose in the last chord: (..., L, R + 2).

        `final` and `chords` are (...), the lines of `past` (..., L).
        """
        outside = (final[..., None] * self.outside[chords])[..., None, :]  # (..., 1, R + 2)
        outside = outside.expand(*past.sounding.shape, -1)
        held = outside.gather(-1, past.sounding[..., None])
        return torch.cat([outside[..., :-1], held], dim=-1)

    def indices(self, tokens: LineTokens) -> Tensor:
        """Return the rows of the tables of all lines: (B, T, 2 L)."""
        first = torch.arange(self.lines, device=tokens.sounding.device) * (self.rows + 2)
        sounding = tokens.sounding + first
        half = self.lines * (self.rows + 2)
        onset = torch.where(tokens.onset > 0, sounding, first + self.rows + 1) + half
        return torch.cat([sounding, onset], dim=-1)

    def read(self, name: str, tokens: LineTokens) -> Tensor:
        """Embed the lines of each step: (B, T, entered)."""
        return self._bag(self.enter[name], self.indices(tokens))

    def read_past(self, past: LineTokens, like: LineTokens, bar: LineTokens) -> Tensor:
        """Embed the step before, and the steps of the likened bar and of the bar before."""
        earlier = self.like_gain * self.read("earlier", like) + self.read("earlier", bar)
        return self.read("past", past) + earlier

    def known(self, context: StepContext) -> Tensor:
        """Embed what is known beforehand: (B, T, entered)."""
        bar = context.place // self.steps_per_bar
        return (
            self.chord(context.chords)
            + self.next_chord(context.next_chords)
            + self.place(context.place % self.steps_per_bar)
            + self.bar(bar)
            + self.likeness(context.like)
            + context.ending[..., None] * self.ending
            + self.read("given", context.given)
        )

    def step(self, entered: Tensor, h: Tensor) -> Tensor:
        """One step of the recurrent state: inputs (B, 3 width), state (B, width)."""
        reset, update, new = self.recurrent(h).chunk(3, dim=-1)
        in_reset, in_update, in_new = entered.chunk(3, dim=-1)
        candidate = torch.tanh(in_new + torch.sigmoid(in_reset + reset) * new)
        share = torch.sigmoid(in_update + update)
        return candidate + share * (h - candidate)

    def states(self, entered: Tensor) -> Tensor:
        """Recurrent states (B, T, width) of the embedded steps (B, T, entered).

        Those of `step`, one after the other, in one call.
        """
        weights = [self.input.weight, self.recurrent.weight, self.input.bias, self.recurrent.bias]
        first = entered.new_zeros(1, len(entered), self.recurrent.in_features)
        return torch.gru(entered, first, weights, True, 1, 0.0, self.training, False, True)[0]

    def shared(self, h: Tensor, entered: Tensor) -> Tensor:
        """The features of a step that all lines share: (B, T, line_width)."""
        return self.to_line(torch.cat([h, entered], dim=-1))

    def of_lines(self, past: LineTokens, like: LineTokens, bar: LineTokens, age: Tensor) -> Tensor:
        """The features of each line by its own past: (B, T, L, line_width)."""
        earlier = self.own_like_gain * self._own("earlier", like) + self._own("earlier", bar)
        first = torch.arange(self.lines, device=age.device) * (MAX_AGE + 1)
        of_age = self.age(age.clamp(max=MAX_AGE) + first)
        return self.line_bias + self._own("past", past) + earlier + of_age

    def _own(self, name: str, tokens: LineTokens) -> Tensor:
        indices = self.indices(tokens).unflatten(-1, (2, self.lines)).transpose(-1, -2)
        return self._bag(self.own[name], indices)

    def logits(self, features: Tensor, lines: slice) -> Tensor:
        """Features (L', N, line_width) of some lines -> (L', N, R + 2)."""
        h = torch.relu(features)
        mixed = _grouped(self.mix, h, lines)
        return _grouped(self.out, h + torch.relu(mixed), lines)

    def _bag(self, table: nn.Module, indices: Tensor) -> Tensor:
        return table(indices.flatten(0, -2)).unflatten(0, indices.shape[:-1])


def _bags(names: Sequence[str], rows: int, width: int) -> nn.ModuleDict:
    """Return tables by name whose rows are summed."""
    return nn.ModuleDict({name: nn.EmbeddingBag(rows, width, mode="sum") for name in names})


def _grouped(layer: GroupLinear, x: Tensor, lines: slice) -> Tensor:
    """Apply the part of a grouped layer that belongs to some lines."""
    bias = layer.bias.view(len(layer.weight), 1, -1)[lines]
    return torch.baddbmm(bias, x, layer.weight[lines])
