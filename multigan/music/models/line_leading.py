"""Voice leading between the lines of a sequence generator, whose rows are of one range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.music.models.voice_leading import BEAT, STEP, VoiceLeading, VoiceLeadingBias
from multigan.music.representations.voices import Voice

LINES_LR_SCALE = 4.0  # relative learning rate of the biases, which are logits themselves


class LineLeading(VoiceLeading):
    """Biases of the choices of each line by the lines that are chosen before it.

    Args:
        lines: L monophonic voices.
        lowest, rows: MIDI pitch of the lowest of R rows, and R; row R is silence.
        visible: (L, L), 1 where the row's line is chosen after the column's, else 0.
        steps_per_beat: parallels from beat to beat count too.
    """

    def __init__(
        self,
        lines: Sequence[Voice],
        lowest: int,
        rows: int,
        visible: Tensor,
        steps_per_beat: int,
    ) -> None:
        in_rows = [replace(line, min_pitch=lowest, num_pitches=rows) for line in lines]
        super().__init__(in_rows, LINES_LR_SCALE)
        self.steps_per_beat = steps_per_beat
        self.register_buffer("visible", visible, persistent=False)

    visible: Tensor  # (L, L)

    def of_windows(self, bias: VoiceLeadingBias, past: Tensor, sounding: Tensor) -> Tensor:
        """Return the biases of whole windows: onsets, a rest (0), a hold, (B, T, L, R + 2).

        `past` and `sounding` (B, T, L) are the rows that sound one step before, and at each step.
        """
        steps, silence = sounding.shape[1], self.num_pitches
        last = F.pad(sounding, (0, 0, self.steps_per_beat, 0), value=silence)[:, :steps]
        between = (torch.arange(steps, device=last.device) % self.steps_per_beat > 0).long()
        between = between.expand(len(last), -1).flatten()
        found = []
        for line, seen in enumerate(self.visible):
            now = torch.where(seen > 0, sounding, silence)
            rows = (x.flatten(0, 1) for x in (past, last, now))
            found.append(self.of_line(bias, line, between, *rows))
        return torch.stack(found, dim=1).unflatten(0, last.shape[:2])

    def of_line(
        self,
        bias: VoiceLeadingBias,
        line: int,
        between: Tensor,
        before: Tensor,
        last: Tensor,
        now: Tensor,
    ) -> Tensor:
        """Return the biases (N, R + 2) of one line at N steps.

        `between` (N) is 0 on a beat, else 1; `before`, `last` and `now` (N, L) are the rows one
        step and one beat before, and those chosen already: R where none.
        """
        voice, own = torch.full_like(between, line), before[:, line]
        onset, hold = self.intervals(bias, self.first_rows(voice, between), own, now)
        onset = onset + self.parallels(bias, STEP, voice, before, now)
        onset = onset + self.directions(bias, voice, before, now)
        of_beat = self.parallels(bias, BEAT, voice, last, now)
        of_beat = torch.where(between[:, None] > 0, 0.0, of_beat)
        # a line that moved before the beat comes to parallels by a hold too
        held = F.pad(of_beat, (0, 1)).gather(1, own[:, None])
        return torch.cat([F.pad(onset + of_beat, (0, 1)), hold[:, None] + held], dim=-1)
