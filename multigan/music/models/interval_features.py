"""Features of the music discriminator: onsets, chroma, and intervals across and along voices.

Everything here is differentiable twice, so that gradients reach the cells. Intervals are
correlations of pitch classes, taken as products of their real Fourier transforms: q[d] is the sum
over p of a[p] b[(p + d) mod 12]. They do not change if all is transposed, or a voice by octaves.
Source of chroma and onset streams: Dong and Yang 2018, arXiv:1804.09399, section 4.2; its code
folds by reshape, which pools neighboring semitones, and is not followed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.music.representations.tensors import linear_recurrence, num_channels, shift_time
from multigan.music.representations.voices import DRUM_CLASSES, Voice
from multigan.music.theory import OCTAVE

HEIGHT_UNIT = 5.0  # semitones: of heights and leaps of voices of 31 pitches; of wider ones more
USUAL_PITCHES, USUAL_VOICES, USUAL_STEPS = 31, 4, 32  # of chorales: sums over more are scaled down
PERFECT_CLASSES = [0, 5, 7]  # semitones: octaves and fifths, whichever voice is the upper one
FREQUENCIES = OCTAVE // 2 + 1  # of their real Fourier transform


def num_rows(voice: Voice) -> int:
    """Number of pitches, or drums, of a voice."""
    return len(DRUM_CLASSES) if voice.kind == "drums" else voice.num_pitches


def onsets_and_active(x: Tensor, voices: Sequence[Voice]) -> tuple[list[Tensor], list[Tensor]]:
    """Onsets and sounding notes of each voice: (..., T, C) -> K of (..., T, rows), twice."""
    onsets, sounds = [], []
    for voice, block in zip(
        voices, x.split([num_channels(v) for v in voices], dim=-1), strict=True
    ):
        if voice.kind == "drums":
            onset, sounding = block, block
        else:
            onset, _, hold = block.split([voice.num_pitches, 1, 1], dim=-1)
            sounding = apply_sustain(onset, hold)
        onsets.append(onset)
        sounds.append(sounding)
    return onsets, sounds


def apply_sustain(onsets: Tensor, holds: Tensor) -> Tensor:
    """`tensors.scan` and its derivatives of every order, about twice as fast on a CPU.

    s[t] = onsets[t] + holds[t] s[t - 1]: (..., T, P), (..., T, P or 1) -> (..., T, P).
    """
    return _Ring.apply(onsets, holds)


class _Ring(torch.autograd.Function):
    """A recurrence whose gradient is the same recurrence, run backwards in time."""

    @staticmethod
    def forward(ctx: Any, onsets: Tensor, holds: Tensor) -> Tensor:
        """On a CPU a loop over steps; elsewhere doubling, which launches fewer kernels."""
        sounds = (
            _loop(onsets, holds)
            if onsets.device.type == "cpu"
            else linear_recurrence(onsets, holds)
        )
        ctx.save_for_backward(holds, sounds)
        return sounds

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of onsets: g[t] = slope[t] + holds[t + 1] g[t + 1]; of holds: g[t] s[t - 1]."""
        holds, sounds = ctx.saved_tensors
        of_onsets = apply_sustain(slope.flip(-2), shift_time(holds.flip(-2))).flip(-2)
        of_holds = of_onsets * shift_time(sounds)
        return of_onsets, of_holds.sum(-1, keepdim=True) if holds.shape[-1] == 1 else of_holds


def _loop(onsets: Tensor, holds: Tensor) -> Tensor:
    sounds = onsets.clone()
    steps, held = sounds.unbind(-2), holds.unbind(-2)
    for t in range(1, len(steps)):
        steps[t].addcmul_(held[t], steps[t - 1])
    return sounds


def pitch_class_matrix(voice: Voice) -> Tensor:
    """FOLD (pitches, 12): row p has its 1 at the pitch class of the voice's p-th pitch."""
    pitches = torch.arange(voice.min_pitch, voice.min_pitch + voice.num_pitches)
    return F.one_hot(pitches % OCTAVE, OCTAVE).float()


def middle_pitch(voice: Voice) -> float:
    """The middle of the range of a voice, a MIDI pitch."""
    return voice.min_pitch + (voice.num_pitches - 1) / 2


def height_unit(voices: Sequence[Voice]) -> float:
    """The semitones that heights are counted in: they stay within about 3 of the middle."""
    widest = max((voice.num_pitches for voice in voices if voice.kind != "drums"), default=0)
    return HEIGHT_UNIT * max(1.0, widest / USUAL_PITCHES)


def pitch_summary_matrix(voice: Voice, unit: float = HEIGHT_UNIT) -> Tensor:
    """(pitches, 14): FOLD, then the height of each pitch above the voice's middle, then 1."""
    pitches = torch.arange(voice.min_pitch, voice.min_pitch + voice.num_pitches)[:, None]
    height = (pitches - middle_pitch(voice)) / unit
    return torch.cat([pitch_class_matrix(voice), height, torch.ones_like(height)], dim=1)


class Intervals(nn.Module):
    """Intervals between chroma vectors (..., 12), by their spectra (..., 14): 7 cosines, 7 sines.

    `spectrum` is linear, `between` multiplies two spectra.
    """

    analysis: Tensor  # (12, 14)
    synthesis: Tensor  # (14, 12)

    def __init__(self) -> None:
        super().__init__()
        frequency = torch.arange(FREQUENCIES, dtype=torch.float64)
        turn = 2 * math.pi / OCTAVE * torch.arange(OCTAVE, dtype=torch.float64)
        phase = turn[:, None] * frequency  # (12, 7), of pitch classes and of intervals alike
        waves = torch.cat([phase.cos(), phase.sin()], dim=1)  # (12, 14)
        once = (frequency == 0) | (2 * frequency == OCTAVE)
        weight = torch.where(once, 1.0, 2.0).repeat(2) / OCTAVE
        self.register_buffer("analysis", waves.float(), persistent=False)
        self.register_buffer("synthesis", (waves * weight).T.float(), persistent=False)

    def spectrum(self, chroma: Tensor) -> Tensor:
        """(..., 12) -> (..., 14)."""
        return chroma @ self.analysis

    def between(self, a: Tensor, b: Tensor) -> Tensor:
        """Spectra (..., 14) -> (..., 12): entry d weighs what of b lies d semitones above a."""
        (a_cos, a_sin), (b_cos, b_sin) = a.chunk(2, dim=-1), b.chunk(2, dim=-1)
        real, imaginary = a_cos * b_cos + a_sin * b_sin, a_cos * b_sin - a_sin * b_cos
        return torch.cat([real, imaginary], dim=-1) @ self.synthesis


class DiscriminatorFeatures(NamedTuple):
    """Features of K' voices with pitches, `pairs` of which there are K' (K' - 1) / 2.

    `voice`: the number of onsets, 12 intervals from what sounded a step before to what begins
    now, 12 from what sounded a beat before to what sounds now, the leap, its square, and the
    height. `pairs`: 12 intervals, how much higher the first voice is, and which of the intervals
    PERFECT_INTERVALS are kept while both voices move, from the step and the beat before.
    `window`: the autocorrelation of the pitch classes of a whole window, in which the key does not
    show and a scale is peaks at fourths and fifths; the same of which classes begin at all,
    however rarely (1 - exp(-times)): there one note out of the scale shows; how often each of
    PERFECT_INTERVALS is kept; and how many notes each voice strikes in a beat.

    Absolute streams also have, as the first 12 numbers, the chroma of `voice` and the mean number
    of voices on each pitch class of `window`; without them nothing tells one key from another.
    """

    voice: Tensor  # (K', B, T, 28 or 40)
    pairs: Tensor  # (B, T, 19 pairs)
    window: Tensor  # (B, K' + 30 or 42)


class IntervalFeatures(nn.Module):
    """Onsets and sounding notes, K of (B, T, rows) -> DiscriminatorFeatures.

    At least one voice must have pitches.

    Every voice is one line, or drums. Heights and leaps are in `height_unit`, up positive. Where
    nothing begins, or after silence, leaps and intervals are 0. A repeated note is an interval of
    0. Sums over voices, pairs and steps are those of four voices and 32 steps at most.
    """

    def __init__(
        self, voices: Sequence[Voice], steps_per_beat: int = 4, absolute_pitch: bool = False
    ) -> None:
        super().__init__()
        self.steps_per_beat, self.absolute_pitch = steps_per_beat, absolute_pitch
        self.pitched = [k for k, voice in enumerate(voices) if voice.kind != "drums"]
        pairs = list(combinations(range(len(self.pitched)), 2))
        self.one, self.other = [i for i, _ in pairs], [j for _, j in pairs]
        self.voice_width = OCTAVE * (2 + absolute_pitch) + 4
        self.pairs_width = (OCTAVE + 1 + 2 * len(PERFECT_CLASSES)) * len(pairs)
        self.window_width = (
            OCTAVE * (2 + absolute_pitch) + 2 * len(PERFECT_CLASSES) + len(self.pitched)
        )
        self.intervals, unit = Intervals(), height_unit(voices)
        self.voice_scale = min(1.0, USUAL_VOICES / len(self.pitched))
        usual_pairs = USUAL_VOICES * (USUAL_VOICES - 1) / 2
        self.pair_scale = min(1.0, usual_pairs / max(len(pairs), 1))
        for k in self.pitched:
            summary = pitch_summary_matrix(voices[k], unit)
            self.register_buffer(f"outline_{k}", summary, persistent=False)
        middles = torch.tensor([middle_pitch(voices[k]) for k in self.pitched])
        self.register_buffer("middles", middles.view(-1, 1, 1, 1) / unit, persistent=False)

    middles: Tensor  # (K', 1, 1, 1): from which the height of each voice is counted

    def forward(self, onsets: Sequence[Tensor], sounds: Sequence[Tensor]) -> DiscriminatorFeatures:
        """K of (B, T, rows), twice -> DiscriminatorFeatures."""
        begun, to, begins = self._outlines(onsets)  # (K', B, T, 12), (K', B, T, 1) twice
        chroma, height, number = self._outlines(sounds)
        spectrum = self.intervals.spectrum(chroma)
        melody = self.intervals.between(shift_time(spectrum), self.intervals.spectrum(begun))
        of_beats = self.intervals.between(shift_time(spectrum, self.steps_per_beat), spectrum)
        leap = to * shift_time(number) - shift_time(height) * begins
        classes = self.voice_scale * chroma.sum(0).mean(1)  # (B, 12)
        key = self.intervals.spectrum(classes)
        between = self._between(spectrum, height + self.middles * number, number)
        both = number * shift_time(number, self.steps_per_beat)
        kept = torch.cat(  # a voice moves where it does not repeat what was there before
            [
                self._kept(between, begins - melody[..., :1], 1),
                self._kept(between, both - of_beats[..., :1], self.steps_per_beat),
            ],
            dim=-1,
        )  # (pairs, B, T, 6)
        voice = [begins, melody, of_beats, leap, leap.square(), height]
        touched = self.intervals.spectrum(1 - (-begun.sum((0, 2))).exp())  # of (B, 12)
        scale = self.intervals.between(touched, touched) / OCTAVE
        busy = self.steps_per_beat * begins.mean(2).squeeze(-1).T  # (B, K')
        in_all = self.pair_scale * min(1.0, USUAL_STEPS / chroma.shape[2]) * kept.sum((0, 2))
        window = [self.intervals.between(key, key), scale, in_all, busy]
        if self.absolute_pitch:
            voice, window = [chroma, *voice], [classes, *window]
        return DiscriminatorFeatures(
            torch.cat(voice, dim=-1),
            torch.cat([between, kept], dim=-1).permute(1, 2, 0, 3).flatten(2),
            torch.cat(window, dim=1),
        )

    def _outlines(self, played: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Chroma, summed height and number of notes: (K', B, T, 12 and 1 and 1)."""
        outlines = [played[k] @ self.get_buffer(f"outline_{k}") for k in self.pitched]
        return torch.stack(outlines).split([OCTAVE, 1, 1], dim=-1)

    def _between(self, spectrum: Tensor, pitch: Tensor, number: Tensor) -> Tensor:
        """12 intervals of each pair, and how much higher the first is: (pairs, B, T, 13).

        (K', B, T, 14), then summed pitches and their number (K', B, T, 1).
        """
        one, other = self.one, self.other
        intervals = self.intervals.between(spectrum[one], spectrum[other])
        higher = pitch[one] * number[other] - pitch[other] * number[one]
        return torch.cat([intervals, higher], dim=-1)

    def _kept(self, between: Tensor, moves: Tensor, steps: int) -> Tensor:
        """Perfect intervals that each pair kept for `steps` while both moved: (pairs, B, T, 3).

        Takes the intervals (pairs, B, T, 13) and how often each voice moved (K', B, T, 1).
        """
        intervals = between[..., PERFECT_CLASSES]
        return intervals * shift_time(intervals, steps) * moves[self.one] * moves[self.other]
