"""Constants of tonal theory: scales and intervals.

A pitch is a MIDI number (60 is middle C), a pitch class is pitch mod 12 (0 is C).
"""

from __future__ import annotations

OCTAVE = 12  # semitones, and the number of pitch classes
MIDI_PITCHES = 128  # 0 .. 127
REST = -1  # in place of a pitch where a voice is silent

MAJOR = (0, 2, 4, 5, 7, 9, 11)  # semitones above the tonic
NATURAL_MINOR = (0, 2, 3, 5, 7, 8, 10)
DISSONANT_INTERVALS = (1, 2, 6, 10, 11)  # mod 12: seconds, the tritone, sevenths
PERFECT_INTERVALS = (0, 7)  # mod 12: unison and octave, fifth: no parallels of these

CHORD_KINDS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "maj7": (0, 4, 7, 11),
    "m7": (0, 3, 7, 10),
    "dim": (0, 3, 6),
}  # suffix of a chord symbol -> semitones above the root
NO_CHORD = OCTAVE * len(CHORD_KINDS)  # chords are counted by kind, then by root
NUM_CHORDS = NO_CHORD + 1
