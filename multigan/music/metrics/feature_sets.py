"""The figures that describe windows of a layout, and those of them that a distance compares.

Layouts of monophonic voices alone, such as chorales, are compared by the thirteen published
features of their lines; all others by the figures of their cells, which see inner notes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from multigan.music.metrics import note_statistics
from multigan.music.metrics.cell_rolls import CellRoll, line_rolls, pitched_voices, union
from multigan.music.metrics.melody_and_form import FORM_FIGURES, MELODY_FIGURES
from multigan.music.metrics.note_events import group_by_unit
from multigan.music.metrics.window_figures import FIGURES
from multigan.music.representations.time_grid import TimeGrid
from multigan.music.representations.voices import Voice

CHUNK = 250  # windows that are measured together


@dataclass(frozen=True)
class FeatureSet:
    """Figures of windows of `voices` on a grid; `melody` is an index of the pitched voices."""

    voices: tuple[Voice, ...]
    grid: TimeGrid
    melody: int | None

    @property
    def compares_lines(self) -> bool:
        """True if windows are compared by the features of their lines."""
        kinds = [voice.kind for voice in pitched_voices(self.voices)]
        return len(kinds) > 1 and set(kinds) == {"monophonic"}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all figures, in order, each once."""
        lines = tuple(note_statistics.FEATURES) if self.compares_lines else ()
        melody = () if self.melody is None else tuple(MELODY_FIGURES)
        every = (*lines, *FIGURES, *melody, *FORM_FIGURES, *self._empty)
        return tuple(dict.fromkeys(every))

    @property
    def compared(self) -> tuple[str, ...]:
        """Names of the figures that the Frechet distance compares."""
        return tuple(note_statistics.FEATURES if self.compares_lines else FIGURES)

    @property
    def _empty(self) -> tuple[str, ...]:
        return tuple(f"empty_bar_rate_{voice.name}" for voice in pitched_voices(self.voices))

    def measure_lines(self, lines: Tensor) -> Tensor:
        """Return the figures (N, F), float64, of lines (N, T, L), one for each voice."""
        return torch.cat([self._measure(line_rolls(part), part) for part in lines.split(CHUNK)])

    def measure(self, rolls: Sequence[CellRoll], lines: Tensor | None = None) -> Tensor:
        """Return the figures (N, F), float64, of the pitched voices of windows.

        `lines` (N, T, L) are needed where `compares_lines`.
        """
        parts = torch.arange(len(rolls[0].begins)).split(CHUNK)
        return torch.cat(
            [
                self._measure([r.take(i) for r in rolls], None if lines is None else lines[i])
                for i in parts
            ]
        )

    def _measure(self, rolls: Sequence[CellRoll], lines: Tensor | None) -> Tensor:
        whole, grid = union(rolls), self.grid
        found: dict[str, Tensor] = {}
        if self.compares_lines:
            assert lines is not None
            columns = note_statistics.features(lines, grid).unbind(1)
            found |= zip(note_statistics.FEATURES, columns, strict=True)
        for name, figure in (FIGURES | FORM_FIGURES).items():
            if name not in found:
                found[name] = figure(whole, grid)
        if self.melody is not None:
            others = union([roll for k, roll in enumerate(rolls) if k != self.melody])
            for name, against in MELODY_FIGURES.items():
                found[name] = against(rolls[self.melody], others, grid)
        for name, roll in zip(self._empty, rolls, strict=True):
            bars = group_by_unit(roll.sounds.any(2), grid.bar_steps, "bar")
            found[name] = (~bars.any(2)).double().mean(1)
        return torch.stack([found[name] for name in self.names], dim=1)

    def select(self, features: Tensor, names: Sequence[str]) -> Tensor:
        """Return the columns of `features` (N, F) called `names`."""
        return features[:, [self.names.index(name) for name in names]]

    def constant(self, reference: Tensor) -> tuple[str, ...]:
        """Return the names of the figures that do not vary in `reference` (R, F) or have no value.

        Rates of empty bars are never among them.
        """
        varies = note_statistics.varying(reference).tolist()
        named = zip(self.names, varies, strict=True)
        return tuple(name for name, does in named if not does and name not in self._empty)

    def kept(self, reference: Tensor) -> tuple[str, ...]:
        """Return the names of the others."""
        left_out = self.constant(reference)
        return tuple(name for name in self.names if name not in left_out)

    def compared_of(self, reference: Tensor) -> tuple[str, ...]:
        """Return the names of those that are compared."""
        left_out = self.constant(reference)
        return tuple(name for name in self.compared if name not in left_out)

    def summary(self, found: Tensor, reference: Tensor) -> dict[str, float]:
        """Return the means of figures (N, F), and their Frechet distances to the reference (R, F).

        What `constant` names is left out. `excluded_fraction` is of the windows without a value in
        a figure that is compared.
        """
        names, compared = self.kept(reference), self.compared_of(reference)
        means = dict(zip(names, self.select(found, names).nanmean(0).tolist(), strict=True))
        real, fake = (self.select(rows, compared) for rows in (reference, found))
        distance = note_statistics.feature_frechet_distance
        return {
            **means,
            "feature_frechet_distance": distance(real, fake),
            "feature_frechet_distance_clipped": distance(real, fake, note_statistics.CLIP),
            "excluded_fraction": float(fake.isnan().any(1).double().mean()),
        }
