"""Writing relative to a key: what is learnt in one key is known in all twelve.

A key is one-hot (G, B, 12) over the pitch class on which the scale stands, in G groups of voices
that share theirs. It is a latent where nothing is given, and follows the given notes where they
say enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.models.interval_features import (
    num_rows,
    onsets_and_active,
    pitch_class_matrix,
    pitch_summary_matrix,
)
from multigan.music.representations.voices import Voice
from multigan.music.theory import MAJOR, OCTAVE

VOICE_FEATURES = OCTAVE + 3  # features of a step of one voice
IN_SCALE = 0.95  # chance that a note belongs to the scale of its key (.942 in Bach's chorales)
# Before training, the logits say: about three of four steps go on, and a rest is rare.
FIRST_HOLD, FIRST_REST = 1.5, -1.0  # of a monophonic voice; its pitches have 0 and less
FIRST_STRIKE = -1.0  # of a drum
FIRST_GAIN = 0.3  # scale of the initial weights, relative to keeping the variance
FIRST_SLOPE_GAIN = 1.2  # of the slope of a register, so that its center moves from the start
INIT_CURVATURE = 12.0  # of a register: pitches stand within about 3 semitones of 31 from its center


def sample_key(noise: Tensor, known: Tensor, voices: Sequence[Voice]) -> Tensor:
    """The keys (G, B, 12), one-hot: Gumbel noise (B, G, 12) plus what given notes (B, T, C) say.

    That is how likely the onsets among them are in the major scale on each pitch class: a
    sample from the keys' probabilities given the notes, and from all keys alike without any.
    """
    onsets = zip(voices, onsets_and_active(known, voices)[0], strict=True)
    counts = [
        a.sum(1) @ pitch_class_matrix(v).to(a) for v, a in onsets if v.kind != "drums"
    ]  # (B, 12)
    if counts:
        evidence = torch.stack(counts).sum(0) @ key_log_likelihood().to(noise)  # (B, 12)
        noise = noise + evidence[:, None]
    return F.one_hot(noise.argmax(-1), OCTAVE).to(noise).transpose(0, 1)


def key_relative_chroma(known: Tensor, keys: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Given notes as they sound, by pitch class above each group's key.

    (B, T, C), keys (G, B, 12) -> (G, B, T, 12 K'), K' voices with pitches.
    """
    sounds = zip(voices, onsets_and_active(known, voices)[1], strict=True)
    folded = [s @ pitch_class_matrix(v).to(s) for v, s in sounds if v.kind != "drums"]  # (B, T, 12)
    if not folded:
        return known.new_zeros(*keys.shape[:2], known.shape[1], 0)
    relative = torch.stack(folded, dim=1) @ _turn(keys)[:, :, None]  # (G, B, K', T, 12)
    return relative.transpose(2, 3).flatten(-2)


def voice_features(x: Tensor, keys: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Features of each voice in music (B, T, C), keys (K, B, 12): (K, B, T, VOICE_FEATURES).

    Of a voice with pitches: what sounds by pitch class above the key, its height, the number of
    notes, and the number of onsets. Of drums their 9 onsets.
    """
    features = []
    for voice, key, onsets, sounds in zip(voices, keys, *onsets_and_active(x, voices), strict=True):
        if voice.kind == "drums":
            own = onsets
        else:
            chroma, outline = (sounds @ pitch_summary_matrix(voice).to(x)).split(
                [OCTAVE, 2], dim=-1
            )
            relative = chroma @ _turn(key)  # (B, T, 12)
            own = torch.cat([relative, outline, onsets.sum(-1, keepdim=True)], dim=-1)
        features.append(F.pad(own, (0, VOICE_FEATURES - own.shape[-1])))
    return torch.stack(features)


def _turn(keys: Tensor) -> Tensor:
    """The matrix (..., 12, 12) that turns pitch classes into degrees above keys (..., 12)."""
    pitch_class, degree = torch.arange(OCTAVE)[:, None], torch.arange(OCTAVE)
    return keys[..., (pitch_class - degree) % OCTAVE]


class SharedLogits(NamedTuple):
    """Terms that all voices add to their logits."""

    chord: Tensor  # (B, T, 12): to the degrees of the key
    hold: Tensor  # (B, T, 1): to the hold of a monophonic voice


class SharedHarmony(nn.Module):
    """(B, T, C) -> what voices that are written together have in common: chord and rhythm."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, OCTAVE + 1)
        nn.init.normal_(self.linear.weight, std=FIRST_GAIN / math.sqrt(inputs))
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor) -> SharedLogits:
        """(B, T, C) -> SharedLogits."""
        return SharedLogits(*self.linear(h).split([OCTAVE, 1], dim=-1))


class VoiceLogits(nn.Module):
    """(B, T, C), key (B, 12) -> logits (B, T, width of the voice).

    A pitch is the sum of its degree in the key, a parabola that says around which pitch the voice
    moves at this step, and a part of its own; rest, hold and sustain are linear maps, as drums are.
    What is agreed with others is added. The pitches of a single voice that is written relative to a
    key have the same bias at all steps: a term that changed with the step, outside the key,
    would only lead out of the scale.
    """

    def __init__(self, voice: Voice, inputs: int, key_relative: bool = True) -> None:
        super().__init__()
        self.kind, pitches = voice.kind, num_rows(voice)
        self.key_relative = key_relative and voice.kind != "drums"
        degrees = OCTAVE if self.key_relative else 0
        register = 0 if voice.kind == "drums" else 2
        others = {"monophonic": 2, "drums": 0}[voice.kind]
        self.fixed = nn.Parameter(torch.zeros(pitches)) if self._is_fixed() else None
        self.sizes = [degrees, register, 0 if self._is_fixed() else pitches, others]
        self.linear = nn.Linear(inputs, sum(self.sizes))
        nn.init.normal_(self.linear.weight, std=FIRST_GAIN / math.sqrt(inputs))
        nn.init.zeros_(self.linear.bias)
        _, curve, own, other = self.linear.bias.detach().split(self.sizes)
        if register:
            self.linear.weight.detach()[degrees] *= FIRST_SLOPE_GAIN / FIRST_GAIN
            curve[1] = INIT_CURVATURE
        if voice.kind == "monophonic":
            other[0], other[1] = FIRST_REST, FIRST_HOLD
        else:
            own.fill_(FIRST_STRIKE)
        height = torch.linspace(-1, 1, pitches) if register else torch.zeros(0)
        parabola = torch.stack([2 * height, -(height**2)])
        self.register_buffer("parabola", parabola, persistent=False)
        above = voice.min_pitch + torch.arange(pitches) - torch.arange(OCTAVE)[:, None]
        self.register_buffer("key_of", above % OCTAVE, persistent=False)

    def _is_fixed(self) -> bool:
        return self.kind == "monophonic" and self.key_relative

    parabola: Tensor  # (2, pitches): the center stands at slope / bend
    key_of: Tensor  # (12, pitches): the key in which a pitch is a degree

    def forward(self, h: Tensor, key: Tensor, agreed: SharedLogits | None = None) -> Tensor:
        """(B, T, C), one-hot key (B, 12) -> (B, T, width)."""
        degrees, curve, own, other = self.linear(h).split(self.sizes, dim=-1)
        if self.kind == "drums":
            return own
        strike = (own if self.fixed is None else self.fixed) + curve @ self.parabola
        if agreed is not None and self.key_relative:
            degrees = degrees + agreed.chord
        if agreed is not None and self.kind == "monophonic":
            other = other + F.pad(agreed.hold, (1, 0))
        if self.key_relative:
            strike = strike + degrees @ key[:, self.key_of]  # (B, T, 12) @ (B, 12, pitches)
        return torch.cat([strike, other], dim=-1)


def key_log_likelihood() -> Tensor:
    """The log probability (12, 12) of a pitch class, row, in a key, column."""
    scale = torch.full((OCTAVE,), (1 - IN_SCALE) / (OCTAVE - len(MAJOR)))
    scale[list(MAJOR)] = IN_SCALE / len(MAJOR)
    pitch_class, key = torch.arange(OCTAVE)[:, None], torch.arange(OCTAVE)
    return scale.log()[(pitch_class - key) % OCTAVE]
