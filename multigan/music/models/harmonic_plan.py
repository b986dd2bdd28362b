"""The plan of a window: a chord for each half bar, and for each bar an earlier one it is like."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.representations.conditioning import TONIC_CHORD
from multigan.music.theory import CHORD_KINDS, NO_CHORD, NUM_CHORDS, OCTAVE

MISSING_COST, OUTSIDE_COST, BASS_GAIN = 0.1, 1.0, 0.25  # of a chord label: see `chord_labels`
PRESENT = 0.04  # share of a pitch class from which on it belongs to a half bar
LAGS = (1, 2, 4)  # bars back that a bar can be like; 0, the first choice, is like none
LIKENESS = 0.3  # Jaccard index of (onset, pitch) from which on a bar is like another
LOOKAHEAD = 4  # half bars of observed notes that a chord is chosen by
TONICS = (0, OCTAVE + 9)  # a key signature's major and minor triad, relative to its major key


class Plan(NamedTuple):
    """Chords relative to the key, (B, half bars) int64, and choices of LAGS, (B, bars) int64."""

    chords: Tensor
    likeness: Tensor


def chord_labels(chroma: Tensor, bass: Tensor) -> Tensor:
    """Return the chord (...,) int64 that fits pitch classes best, NO_CHORD in silence.

    `chroma` (..., 12) is how long each pitch class sounds, `bass` (..., 12) how long it is lowest.
    A chord gains by what lies in it and by its root in the bass. It loses by the rest, and by each
    of its notes that is missing.
    """
    total = chroma.sum(-1, keepdim=True)
    share = chroma / total.clamp(min=1e-6)
    low = bass / bass.sum(-1, keepdim=True).clamp(min=1e-6)
    inside = chord_pitch_classes().to(chroma)[:NO_CHORD]  # (72, 12)
    root = F.one_hot(torch.arange(NO_CHORD) % OCTAVE, OCTAVE).to(chroma)
    missing = (share < PRESENT).to(chroma) @ inside.T
    score = (1 + OUTSIDE_COST) * share @ inside.T + BASS_GAIN * low @ root.T
    best = (score - MISSING_COST * missing).argmax(-1)
    return torch.where(total.squeeze(-1) > 0, best, NO_CHORD)


def chord_pitch_classes() -> Tensor:
    """Return the pitch classes of each chord, (73, 12) in {0, 1}; none of NO_CHORD.

    Chord `12 kind + root` has its root on that pitch class.
    """
    table = torch.zeros(NUM_CHORDS, OCTAVE)
    for kind, pitches in enumerate(CHORD_KINDS.values()):
        for root in range(OCTAVE):
            table[OCTAVE * kind + root, [(root + pitch) % OCTAVE for pitch in pitches]] = 1
    return table


def transpose_chords(chords: Tensor, semitones: Tensor) -> Tensor:
    """Return chords (B, N) with their roots `semitones` (B,) higher."""
    root = (chords % OCTAVE + semitones[:, None]) % OCTAVE
    return torch.where(chords == NO_CHORD, chords, chords - chords % OCTAVE + root)


def likeness_labels(onsets: Tensor, bars: int) -> Tensor:
    """Return the choice of LAGS for each bar, (B, bars) int64, of onsets (B, T, rows) in {0, 1}.

    The likest bar, if it is like at all.
    """
    cells = onsets.unflatten(1, (bars, -1)).flatten(2)  # (B, bars, ...)
    found = [torch.full(cells.shape[:2], LIKENESS, device=cells.device)]
    for lag in LAGS:
        earlier = torch.zeros_like(cells)
        earlier[:, lag:] = cells[:, :-lag]
        both = (cells * earlier).sum(-1)
        found.append(both / (cells.sum(-1) + earlier.sum(-1) - both).clamp(min=1))
    return torch.stack(found).argmax(0)


class PlanModel(nn.Module):
    """The distribution of plans, given what is observed: chord after chord.

    Args:
        bars, chords_per_bar: of a window.
        width: of the hidden state.
    """

    def __init__(self, bars: int, chords_per_bar: int, width: int) -> None:
        super().__init__()
        self.bars, self.chords_per_bar = bars, chords_per_bar
        self.memory = (1, chords_per_bar, 4 * chords_per_bar)  # chords back that are remembered
        self.chord = nn.ModuleList(nn.Embedding(NUM_CHORDS + 1, width) for _ in self.memory)
        self.like = nn.Embedding(len(LAGS) + 1, width)
        self.likened = nn.Embedding(NUM_CHORDS + 1, width)
        self.place = nn.Parameter(torch.randn(bars * chords_per_bar, width))
        self.observed = nn.Linear(LOOKAHEAD * OCTAVE, width)
        self.ending = nn.Parameter(torch.zeros(width))  # of the last bars of a song
        self.cell = nn.GRUCell(width, width)
        self.to_like = nn.Linear(2 * width, len(LAGS) + 1)
        self.to_chord = nn.Linear(2 * width, NUM_CHORDS)
        tonic_mask = torch.full((NUM_CHORDS,), -torch.inf)
        tonic_mask[list(TONICS)] = 0.0
        self.register_buffer("_tonic_mask", tonic_mask, persistent=False)

    def log_likelihood(self, plan: Plan, observed: Tensor, ending: Tensor) -> Tensor:
        """Log-likelihood (B,) of a plan.

        `observed` (B, half bars, 12): chroma, key-relative. `ending` (B, half bars): 1 in the last
        bars of a song.
        """
        likeness, chords = self._logits(plan, observed, ending, None)[1:]
        terms = [
            F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
            for logits, target in ((likeness, plan.likeness), (chords, plan.chords))
        ]
        return -sum(term.unflatten(0, (len(observed), -1)).sum(1) for term in terms)

    def sample(
        self, fixed: Plan, observed: Tensor, ending: Tensor, noise: tuple[Tensor, Tensor]
    ) -> Plan:
        """Sample what is below 0 in `fixed`. `noise`: Gumbel, of likeness and of chords.

        TONIC_CHORD becomes the major or the minor tonic, whichever the model prefers.
        """
        return self._logits(fixed, observed, ending, noise)[0]

    def _logits(
        self, plan: Plan, observed: Tensor, ending: Tensor, noise: tuple[Tensor, Tensor] | None
    ) -> tuple[Plan, Tensor, Tensor]:
        """Return the plan, sampled where noise is given, and the logits of likeness and chords."""
        chords, likeness = plan.chords.clone(), plan.likeness.clone()
        seen = self.place + self._seen(observed) + ending[..., None] * self.ending
        none = torch.full_like(chords[:, 0], NUM_CHORDS)
        h = seen.new_zeros(len(seen), seen.shape[-1])
        of_likeness: list[Tensor] = []
        of_chords: list[Tensor] = []
        for i in range(chords.shape[1]):
            bar, first = divmod(i, self.chords_per_bar)
            past = [chords[:, i - back] if i >= back else none for back in self.memory]
            entered = seen[:, i] + sum(e(c) for e, c in zip(self.chord, past, strict=True))
            h = self.cell(entered + (0 if first == 0 else self.like(likeness[:, bar])), h)
            features = torch.cat([h, entered], dim=-1)
            if first == 0:
                logits = self.to_like(features) + self._forbidden(bar, features)
                of_likeness.append(logits)
                if noise is not None:
                    sampled = (logits + noise[0][:, bar]).argmax(-1)
                    likeness[:, bar] = torch.where(likeness[:, bar] < 0, sampled, likeness[:, bar])
            like = likeness[:, bar]
            source = i - self.chords_per_bar * bars_back(like)
            likened = torch.where(
                like > 0, chords.gather(1, source.clamp(min=0)[:, None])[:, 0], none
            )
            more = torch.cat([self.like(like) + self.likened(likened), torch.zeros_like(h)], -1)
            logits = self.to_chord(torch.relu(features + more))
            of_chords.append(logits)
            if noise is not None:
                is_tonic = (chords[:, i] == TONIC_CHORD)[:, None]
                logits = torch.where(is_tonic, logits + self._tonic_mask, logits)
                sampled = (logits + noise[1][:, i]).argmax(-1)
                chords[:, i] = torch.where(chords[:, i] < 0, sampled, chords[:, i])
        done = Plan(chords, likeness)
        return done, torch.stack(of_likeness, dim=1), torch.stack(of_chords, dim=1)

    def _seen(self, observed: Tensor) -> Tensor:
        """Embed the observed chroma of each half bar and of those after it."""
        ahead = F.pad(observed, (0, 0, 0, LOOKAHEAD - 1))
        parts = [ahead[:, i : i + observed.shape[1]] for i in range(LOOKAHEAD)]
        return self.observed(torch.cat(parts, dim=-1))

    def _forbidden(self, bar: int, like: Tensor) -> Tensor:
        """Return -inf for the lags that reach before the window."""
        return torch.tensor([0.0, *(0.0 if bar >= lag else -torch.inf for lag in LAGS)]).to(like)


def bars_back(likeness: Tensor) -> Tensor:
    """Return how many bars back choices of LAGS reach; 0 where like none."""
    return torch.tensor([0, *LAGS], device=likeness.device)[likeness]


def sum_by(x: Tensor, parts: int) -> Tensor:
    """Sum (B, T, ...) over each of `parts` stretches of steps: (B, parts, ...)."""
    return x.unflatten(1, (parts, -1)).sum(2)
