"""Keys and chords of the rule-based composer: functional progressions that end in a cadence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch

from multigan.music.formats.song import KeySignature
from multigan.music.theory import MAJOR, NATURAL_MINOR, OCTAVE

T = TypeVar("T")

# Degree of the scale (0 is the tonic) -> the degrees that may follow.
FOLLOWERS = {
    False: {0: (1, 3, 4, 5), 1: (4,), 3: (0, 1, 4), 4: (0, 5), 5: (1, 3, 4)},  # major
    True: {0: (3, 4, 5), 3: (0, 4), 4: (0, 5), 5: (3, 4)},  # minor: its ii is diminished
}
STAY = 0.2  # the chance that a chord lasts for another slot


class Chord(NamedTuple):
    """The pitch classes of a triad and when it is in force."""

    start_tick: int
    end_tick: int
    root: int
    third: int
    fifth: int

    @property
    def tones(self) -> tuple[int, int, int]:
        """Root, third and fifth as pitch classes."""
        return self.root, self.third, self.fifth


def sample_key_signature(rng: torch.Generator) -> KeySignature:
    """One of the 24 keys, all equally likely."""
    return KeySignature(choose(range(OCTAVE), rng), bernoulli(0.5, rng))


def sample_progression(
    key: KeySignature, slots: Sequence[int], rng: torch.Generator
) -> list[Chord]:
    """One chord from each tick of `slots` to the next, from the tonic to dominant and tonic.

    Raises ValueError for fewer than 3 slots' edges: a cadence needs two chords.
    """
    if len(slots) < 3:
        raise ValueError(f"chords must be 2 or more, for a cadence; got {len(slots) - 1}")
    degrees = [0]
    while len(degrees) < len(slots) - 3:
        stays = bernoulli(STAY, rng)
        degrees.append(degrees[-1] if stays else choose(FOLLOWERS[key.minor][degrees[-1]], rng))
    degrees = [*degrees, 4, 0][-(len(slots) - 1) :]
    edges = zip(slots[:-1], slots[1:], degrees, strict=True)
    return [Chord(start, end, *triad(key, degree)) for start, end, degree in edges]


def triad(key: KeySignature, degree: int) -> tuple[int, int, int]:
    """The pitch classes on a degree of the scale; the dominant is major in minor keys too."""
    pattern = _pattern(key, leading=degree == 4)
    root, third, fifth = ((key.tonic + pattern[(degree + k) % 7]) % OCTAVE for k in (0, 2, 4))
    return root, third, fifth


def scale(key: KeySignature, chord: Chord) -> frozenset[int]:
    """The pitch classes of the key; its seventh is raised over the dominant of a minor key."""
    leading_tone = (key.tonic - 1) % OCTAVE
    pattern = _pattern(key, leading=leading_tone in chord.tones)
    return frozenset((key.tonic + step) % OCTAVE for step in pattern)


def _pattern(key: KeySignature, leading: bool) -> tuple[int, ...]:
    """Semitones above the tonic."""
    if not key.minor:
        return MAJOR
    return (*NATURAL_MINOR[:-1], 11) if leading else NATURAL_MINOR


def choose(options: Sequence[T], rng: torch.Generator) -> T:
    """One of the options, all equally likely."""
    return options[int(torch.randint(len(options), (), generator=rng))]


def bernoulli(probability: float, rng: torch.Generator) -> bool:
    """True with this probability."""
    return float(torch.rand((), generator=rng)) < probability
