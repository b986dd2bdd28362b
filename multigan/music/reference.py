"""The rows that a generator of chorales is compared with: real ones, and three poor imitations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import dumps

import torch
from torch import Tensor

from multigan.music import metrics
from multigan.music.jsb import VOICES, WINDOW_STEPS, cut, read_jsb
from multigan.music.theory import MIDI_PITCHES, REST
from multigan.music.windows import STEPS_PER_BEAT
from multigan.rng import keyed_rng
from multigan.table import Table, finite_or_none

SAMPLED = 1000  # windows in each imitation
START_FOR_REST = 60  # the pitch on which a chain starts where its window starts with a rest
QUARTER_RANGES = ((60, 81), (53, 74), (48, 69), (36, 64))  # lowest and highest pitch, S A T B

REPORTED = (
    "used_pitch_classes",
    "mix_used_pitch_classes",
    "pitch_class_entropy",
    "scale_consistency",
    "groove",
    "qualified_notes",
    "notes_per_bar",
    "mean_leap",
    "tonal_distance",
    "voice_crossing",
    "dissonance",
    "parallels",
    "frechet",
)  # the keys of a row in the JSON line


def reference(*, data: str, json: bool = False) -> None:
    """Print what every metric says of Bach's chorales, and of three poor imitations of them.

    data: Jsb16thSeparated.json, the chorales on a grid of sixteenths
    json: also print, as the last line, one JSON object: row -> metric -> value
    """
    rows = reference_rows(read_jsb(data))
    print(_table(rows).markdown())
    if json:
        print(dumps({name: finite_or_none(_reported(row)) for name, row in rows.items()}))


def reference_rows(pieces: Mapping[str, Sequence[Tensor]]) -> dict[str, dict[str, float]]:
    """Row -> metric -> value, against all training windows, of pieces (T, 4) in three splits.

    "train", "valid" and "test" measure all complete two-bar windows; the imitations are SAMPLED
    windows each, the same on every call.
    """
    windows = {split: cut(chorales) for split, chorales in pieces.items()}
    train = windows["train"]
    sets = windows | {
        "voices shuffled": shuffled_voices(train, SAMPLED, _rng("voices shuffled")),
        "Markov": markov_voices(train, SAMPLED, _rng("Markov")),
        "random quarters": random_quarters(SAMPLED, _rng("random quarters")),
    }
    known = metrics.features(train)
    return {
        name: {"windows": float(len(x)), **metrics.measure(x, known, VOICES)}
        for name, x in sets.items()
    }


def shuffled_voices(train: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """`n` windows (n, T, K) whose voices come from different windows of `train` (N, T, K).

    Each voice is real, and follows an order of the windows of its own, without replacement: all
    that is lost is the harmony. Raises ValueError if `train` has fewer than `n` windows.
    """
    if n > len(train):
        raise ValueError(f"{n} windows from {len(train)} training windows; wanted at most as many")
    orders = [torch.randperm(len(train), generator=rng)[:n] for _ in range(train.shape[2])]
    return torch.stack([train[order, :, k] for k, order in enumerate(orders)], dim=2)


def markov_voices(train: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """`n` windows (n, T, K) in which each voice is a first-order Markov chain of its own.

    From step to step a voice moves as often as inside the windows `train` (N, T, K), rests left
    out. All voices start on the first step of one random window, on middle C where it has a rest.
    """
    first = train[torch.randint(len(train), (n,), generator=rng), 0].long()  # (n, K)
    first = torch.where(first > REST, first, START_FOR_REST)
    voices = []
    for k in range(train.shape[2]):
        moves, chain = _moves(train[:, :, k].long()), [first[:, k]]
        while len(chain) < train.shape[1]:
            chain.append(torch.multinomial(moves[chain[-1]], 1, generator=rng)[:, 0])
        voices.append(torch.stack(chain, dim=1))  # (n, T)
    return torch.stack(voices, dim=2)


def random_quarters(n: int, rng: torch.Generator) -> Tensor:
    """`n` two-bar windows (n, T, 4) of quarter notes, each pitch uniform in its voice's range."""
    shape = (n, WINDOW_STEPS // STEPS_PER_BEAT)
    voices = [torch.randint(low, high + 1, shape, generator=rng) for low, high in QUARTER_RANGES]
    return torch.stack(voices, dim=2).repeat_interleave(STEPS_PER_BEAT, dim=1)


def _moves(voice: Tensor) -> Tensor:
    """How often a voice (N, T) goes from pitch to pitch in one step: (128, 128), float64.

    A pitch that is never left stays.
    """
    here, there = voice[:, :-1], voice[:, 1:]
    sounding = (here > REST) & (there > REST)
    cells = here[sounding] * MIDI_PITCHES + there[sounding]
    counts = torch.bincount(cells, minlength=MIDI_PITCHES**2).double().view(MIDI_PITCHES, -1)
    return counts + torch.diag((counts.sum(1) == 0).double())


def _rng(row: str) -> torch.Generator:
    return keyed_rng(0, "music reference", row)


def _reported(row: Mapping[str, float]) -> dict[str, float]:
    return {metric: row[metric] for metric in REPORTED}


def _table(rows: Mapping[str, Mapping[str, float]]) -> Table:
    """The rows as columns, which fits a terminal, with what they are made of."""
    turned = {metric: {name: row[metric] for name, row in rows.items()} for metric in rows["train"]}
    return Table(
        turned,
        (
            "windows of 32 sixteenths: all complete ones every 16 steps of a piece in train, valid "
            f"and test; {SAMPLED:,} of each imitation; a figure is the mean over windows",
            "a note begins where the pitch changes: repeated notes cannot be told in this format",
            "used_pitch_classes counts an empty bar of a voice as 0",
            "frechet: between 13 standardised figures of these windows and of all train windows; "
            f"frechet_clipped: with those beyond {metrics.CLIP:g} sd set to that. The 0 of train "
            "is no floor: it is measured against itself, and 1,000 of its windows score about .05",
            "voices shuffled: each voice from another train window; Markov: each voice a chain of "
            "sixteenths of its own; random quarters: uniform pitches",
        ),
    )
