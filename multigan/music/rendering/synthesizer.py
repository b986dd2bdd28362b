"""Our own synthesizer: additive tones and noise drums, for where no soundfont can be played.

Sounds are (samples,) float32 of about 1 at their loudest; rates are in samples per second.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch

from multigan.core.rng import keyed_rng
from multigan.music.representations.voices import DRUM_CLASSES, ROW_OF_DRUM

CONCERT_PITCH = 440.0  # Hz, of MIDI pitch 69
HIGHEST = 0.45  # of the rate: partials above it are left out, for they would fold back
MOST_STROKES = 256  # kept of the drums: of each pitch at two rates
DEFAULT_DRUM = "closed hat"  # sounds for a General MIDI drum that has no row


class ToneParameters(NamedTuple):
    """Timbre of a tone: its partials from the fundamental on, and their envelope."""

    partials: tuple[float, ...]  # amplitudes
    attack_s: float
    release_s: float
    decay_per_s: float = 0.0  # of the fundamental, while the key is down
    damping: float = 0.0  # each further partial decays so much faster

    def ring(self, rate: int) -> int:
        """For how many samples a tone goes on after its end."""
        return int(self.release_s * rate)


def timbre_of(program: int) -> ToneParameters:
    """The timbre of a General MIDI program 0..127: one for each family of eight."""
    return FAMILIES[program // 8]


def tone(pitch_midi: int, samples: int, timbre: ToneParameters, rate: int) -> np.ndarray:
    """A note held for so many samples, and its release: (samples + ring,)."""
    ring = timbre.ring(rate)
    length = samples + ring
    frequency = CONCERT_PITCH * 2 ** ((pitch_midi - 69) / 12)
    turn, decay = 2j * np.pi * frequency / rate, timbre.decay_per_s / rate
    highest = int(HIGHEST * rate / frequency)
    further = _powers(turn - timbre.damping * decay, length)  # of each partial over the last
    wave = np.zeros(length, np.complex64)
    for amplitude in reversed(timbre.partials[:highest]):  # by Horner's rule
        wave *= further
        wave += amplitude
    wave *= _powers(turn - decay, length)
    sound = wave.imag / np.float32(sum(timbre.partials))
    rise = np.arange(min(length, timbre.attack_s * rate), dtype=np.float32)
    sound[: len(rise)] *= rise / np.float32(timbre.attack_s * rate)
    sound[samples:] *= np.arange(ring, 0, -1, dtype=np.float32) / max(ring, 1)
    return sound


def _powers(exponent: complex, count: int) -> np.ndarray:
    """exp(exponent * n) for n from 0 to count - 1, (count,) complex64, from two short tables."""
    block = math.isqrt(count) + 1
    steps = np.arange(block)
    coarse, fine = np.exp(exponent * block * steps), np.exp(exponent * steps)
    return np.outer(coarse.astype(np.complex64), fine.astype(np.complex64)).ravel()[:count]


@lru_cache(MOST_STROKES)
def drum(pitch_midi: int, rate: int) -> np.ndarray:
    """One stroke on a General MIDI drum; those of one row of the kit sound alike."""
    names = list(DRUM_CLASSES)
    name = names[ROW_OF_DRUM[pitch_midi]] if pitch_midi in ROW_OF_DRUM else DEFAULT_DRUM
    return DRUMS[name](rate=rate)


def _skin(start_hz: float, end_hz: float, seconds: float, noise: float, rate: int) -> np.ndarray:
    """A drum head: a falling sine, with some noise."""
    t = np.arange(int(seconds * rate)) / rate
    glide = end_hz + (start_hz - end_hz) * np.exp(-30 * t)
    body = np.sin(2 * np.pi * np.cumsum(glide) / rate)
    sound = (1 - noise) * body + noise * _noise(len(t))
    return _dying(sound, rate, seconds)


def _metal(seconds: float, brightness: int, rate: int) -> np.ndarray:
    """A cymbal: noise, differentiated `brightness` times, which takes the low end away."""
    sound = np.diff(_noise(int(seconds * rate) + brightness), brightness)
    return _dying(sound, rate, seconds)


def _dying(sound: np.ndarray, rate: int, seconds: float) -> np.ndarray:
    """The sound at a peak of 1, 60 dB down after `seconds`."""
    falling = sound * np.exp(-np.log(1000) / seconds * np.arange(len(sound)) / rate)
    return (falling / np.abs(falling).max()).astype(np.float32)


def _noise(samples: int) -> np.ndarray:
    """The same white noise for the same number of samples."""
    return torch.randn(samples, generator=keyed_rng("drums", samples)).numpy()


PLUCKED = ToneParameters(
    (1.0, 0.6, 0.35, 0.2, 0.12, 0.08), 0.004, 0.12, decay_per_s=1.8, damping=0.5
)
MALLET = ToneParameters((1.0, 0.1, 0.3, 0.05), 0.002, 0.3, decay_per_s=3.0, damping=1.0)
ORGAN = ToneParameters((1.0, 0.7, 0.4, 0.35, 0.0, 0.15, 0.0, 0.1), 0.015, 0.06)
DEEP = ToneParameters((1.0, 0.7, 0.4, 0.2, 0.1), 0.006, 0.08, decay_per_s=0.9, damping=0.6)
SUSTAINED = ToneParameters(
    (1.0, 0.45, 0.3, 0.16, 0.08, 0.05), 0.04, 0.14, decay_per_s=0.25, damping=0.3
)
BLOWN = ToneParameters((1.0, 0.75, 0.6, 0.4, 0.25, 0.15), 0.03, 0.08, decay_per_s=0.2, damping=0.5)

# The sixteen families of General MIDI, in their order: piano, chromatic percussion, organ, guitar,
# bass, strings, ensemble, brass, reed, pipe, lead, pad, effects, ethnic, percussive, sound effects.
FAMILIES = (PLUCKED, MALLET, ORGAN, PLUCKED, DEEP, SUSTAINED, SUSTAINED, BLOWN,
            BLOWN, SUSTAINED, BLOWN, SUSTAINED, SUSTAINED, PLUCKED, MALLET, SUSTAINED)  # fmt: skip

DRUMS = {
    "kick": partial(_skin, 130, 45, 0.3, 0.02),
    "snare": partial(_skin, 240, 180, 0.22, 0.75),
    "closed hat": partial(_metal, 0.07, 2),
    "open hat": partial(_metal, 0.4, 2),
    "low tom": partial(_skin, 140, 80, 0.35, 0.08),
    "mid tom": partial(_skin, 180, 110, 0.3, 0.08),
    "high tom": partial(_skin, 230, 150, 0.26, 0.08),
    "crash": partial(_metal, 1.4, 1),
    "ride": partial(_metal, 0.7, 3),
}
