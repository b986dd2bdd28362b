"""Baselines of any layout, made from the cells of real windows: what a model has to be above.

Each takes the voices of N windows and returns those of N others, as `CellRoll`s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from multigan.music.metrics.cell_rolls import CellRoll, pitched_voices
from multigan.music.metrics.note_events import group_by_unit
from multigan.music.representations.time_grid import TimeGrid
from multigan.music.representations.voices import Voice

MIDDLE_C = 60
INDEPENDENT_CELLS = "independent cells"


def bars_shuffled(
    rolls: Sequence[CellRoll], grid: TimeGrid, rng: torch.Generator
) -> list[CellRoll]:
    """Join bars of different windows; notes that are held over a bar line begin again."""
    count = len(rolls[0].begins)
    orders = [torch.randperm(count, generator=rng) for _ in range(grid.bars)]
    return [
        CellRoll(_bars(begins, orders, grid, held=sounds), _bars(sounds, orders, grid))
        for begins, sounds in rolls
    ]


def voices_shuffled(
    rolls: Sequence[CellRoll], grid: TimeGrid, rng: torch.Generator
) -> list[CellRoll]:
    """Combine each voice but the first with those of other windows."""
    count = len(rolls[0].begins)
    others = [roll.take(torch.randperm(count, generator=rng)) for roll in rolls[1:]]
    return [rolls[0], *others]


def hands_shuffled(
    rolls: Sequence[CellRoll], grid: TimeGrid, rng: torch.Generator
) -> list[CellRoll]:
    """Combine the pitches from middle C on of each window with the lower ones of another."""
    order = torch.randperm(len(rolls[0].begins), generator=rng)
    return [
        CellRoll(*(torch.cat([own[order, :, :MIDDLE_C], own[:, :, MIDDLE_C:]], 2) for own in roll))
        for roll in rolls
    ]


def independent_cells(
    rolls: Sequence[CellRoll], grid: TimeGrid, rng: torch.Generator
) -> list[CellRoll]:
    """Let each pitch begin and go on at every step with its share of the steps, independently."""
    made = []
    for begins, sounds in rolls:
        sampled = [_coins(part, rng) for part in (begins, sounds & ~begins)]
        made.append(CellRoll(sampled[0], sampled[0] | sampled[1]))
    return made


def _bars(
    cells: Tensor, orders: Sequence[Tensor], grid: TimeGrid, held: Tensor | None = None
) -> Tensor:
    """Take bar b of cells (N, T, P) from the windows orders[b]; what is `held` begins with it."""
    bars = group_by_unit(cells, grid.bar_steps, "bar").clone()  # (N, bars, steps, P)
    if held is not None:
        bars[:, :, 0] = group_by_unit(held, grid.bar_steps, "bar")[:, :, 0]
    return torch.cat([bars[order, b] for b, order in enumerate(orders)], dim=1)


def _coins(cells: Tensor, rng: torch.Generator) -> Tensor:
    """Draw cells (N, T, P) that are on at the mean rate of each pitch."""
    rates = cells.flatten(0, 1).float().mean(0)
    return torch.rand(cells.shape, generator=rng) < rates


def cell_baselines(voices: Sequence[Voice], grid: TimeGrid) -> dict[str, CellBaseline]:
    """Return the baselines that change something in a layout."""
    found: dict[str, CellBaseline] = {}
    if grid.bars > 1:
        found["bars shuffled"] = bars_shuffled
    if len(pitched_voices(voices)) > 1:
        found["voices shuffled"] = voices_shuffled
    if any(voice.kind == "polyphonic" for voice in voices):
        found["hands shuffled"] = hands_shuffled
    return found | {INDEPENDENT_CELLS: independent_cells}


CellBaseline = Callable[[Sequence[CellRoll], TimeGrid, torch.Generator], list[CellRoll]]
