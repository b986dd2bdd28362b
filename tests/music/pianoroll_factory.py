"""Random rolls for tests: canonical ones, so that every cell must come back."""

import numpy as np

from multigan.music.formats.song import KeySignature, TimeSignature
from multigan.music.representations.voices import DRUM_CLASSES, Voice

VOICES = (
    Voice("lead", min_pitch=60, num_pitches=20, program=73),
    Voice("bass", min_pitch=30, num_pitches=12, program=32),
    Voice("chords", kind="polyphonic", min_pitch=50, num_pitches=17),
    Voice("drums", kind="drums"),
)
METRES = ((4, 4), (3, 4), (6, 8), (2, 2), (12, 8), (5, 4), (7, 8))


def random_tokens(rng, voice, steps):
    """Tokens with many repeats, holds and rests; no hold follows a rest."""
    tokens = rng.integers(0, voice.num_pitches, steps)
    tokens[rng.random(steps) < 0.4] = voice.hold
    again = np.flatnonzero(rng.random(steps) < 0.2)
    tokens[again[again > 0]] = tokens[again[again > 0] - 1]
    tokens[rng.random(steps) < 0.1] = voice.rest
    for t in range(steps):
        if tokens[t] == voice.hold and (t == 0 or tokens[t - 1] == voice.rest):
            tokens[t] = voice.rest
    return tokens


def random_planes(rng, voice, steps):
    """Onset and sustain planes of no more notes at once than lines; sustains follow onsets."""
    onset = rng.random((steps, voice.num_pitches)) < 0.05
    sustain = rng.random((steps, voice.num_pitches)) < 0.8
    for t in range(steps):
        sounding = onset[t - 1] | sustain[t - 1] if t else np.zeros(voice.num_pitches, bool)
        onset[t, np.flatnonzero(onset[t])[voice.lines :]] = False
        sustain[t] &= sounding & ~onset[t]
        sustain[t, np.flatnonzero(sustain[t])[voice.lines - onset[t].sum() :]] = False
    return np.stack([onset, sustain])


def random_roll(rng, steps):
    """One array for each of VOICES."""
    return (
        random_tokens(rng, VOICES[0], steps),
        random_tokens(rng, VOICES[1], steps),
        random_planes(rng, VOICES[2], steps),
        rng.random((steps, len(DRUM_CLASSES))) < 0.1,
    )


def random_header(rng, step_ticks):
    """Tempo, metre, pickup and key as the fields of a song."""
    time_signature = TimeSignature(0, *METRES[rng.integers(len(METRES))])
    pickup = int(rng.integers(time_signature.bar_ticks // step_ticks)) * step_ticks
    return {
        "tempo_bpm": round(float(rng.uniform(40, 240)), 2),
        "time_signatures": (time_signature,),
        "anacrusis_ticks": pickup * int(rng.integers(2)),
        "key": None
        if rng.random() < 0.2
        else KeySignature(int(rng.integers(12)), bool(rng.integers(2))),
    }
