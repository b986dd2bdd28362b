"""Poor imitations of real lines: what a model has to beat. Each takes training lines (M, T, L)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from multigan.music.reference import markov_voices, shuffled_voices
from multigan.music.theory import REST
from multigan.music.windows import STEPS_PER_BEAT


def random_quarters(train: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """`n` windows (n, T, L) of quarter notes, each pitch uniform in its line's training range.

    A line that never sounds stays silent.
    """
    beats = -(-train.shape[1] // STEPS_PER_BEAT)
    lines = []
    for line in train.unbind(2):
        heard = line[line > REST].tolist() or [REST]
        lines.append(torch.randint(min(heard), max(heard) + 1, (n, beats), generator=rng))
    quarters = torch.stack(lines, dim=2)  # (n, beats, L)
    return quarters.repeat_interleave(STEPS_PER_BEAT, dim=1)[:, : train.shape[1]]


IMITATIONS: dict[str, Callable[[Tensor, int, torch.Generator], Tensor]] = {
    "voices shuffled": shuffled_voices,
    "Markov": markov_voices,
    "random quarters": random_quarters,
}
