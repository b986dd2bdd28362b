"""Voices of a piano-roll and the standard track layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from multigan.core.serialization import component

KINDS = ("monophonic", "polyphonic", "drums")


@component
@dataclass(frozen=True)
class Voice:
    """Array form of one track over T steps; `kind` is one of KINDS.

    "monophonic": tokens (T,) int16, 0 .. num_pitches - 1 for an onset, counted from `min_pitch`
    (a MIDI pitch), then `rest`, then `hold`; a hold after a rest is silence.
    "polyphonic": planes (2, T, num_pitches) bool, onset and sustain; no sustain follows silence.
    For networks it is `lines` monophonic lines of one range: see `single_lines`.
    "drums": onsets (T, 9) bool, the rows of DRUM_CLASSES.
    """

    name: str
    kind: str = "monophonic"
    min_pitch: int = 36
    num_pitches: int = 46
    program: int = 0
    lines: int = 5

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown kind, no line, or pitches outside 0..127."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.num_pitches < 1 or self.min_pitch < 0 or self.min_pitch + self.num_pitches > 128:
            raise ValueError(
                f"voice {self.name!r}: pitches must be within 0..127; "
                f"got {self.num_pitches} from {self.min_pitch} on"
            )
        if self.lines < 1:
            raise ValueError(f"voice {self.name!r}: lines must be 1 or more; got {self.lines}")

    @property
    def rest(self) -> int:
        """Token of a step at which a monophonic voice is silent."""
        return self.num_pitches

    @property
    def hold(self) -> int:
        """Token of a step at which a monophonic voice continues as before."""
        return self.num_pitches + 1


def single_lines(voices: Sequence[Voice]) -> tuple[Voice, ...]:
    """Return monophonic voices and drums alone: a polyphonic voice becomes its lines.

    The channels of music are the same for both. The lines come from the highest to the lowest.
    """
    found: list[Voice] = []
    for voice in voices:
        if voice.kind == "polyphonic":
            names = [f"{voice.name} {i + 1}" for i in range(voice.lines)]
            found += [replace(voice, name=name, kind="monophonic") for name in names]
        else:
            found.append(voice)
    return tuple(found)


def lines_of(voices: Sequence[Voice]) -> list[int]:
    """Return the index of the voice that each of `single_lines` belongs to."""
    counts = [voice.lines if voice.kind == "polyphonic" else 1 for voice in voices]
    return [k for k, count in enumerate(counts) for _ in range(count)]


# Row -> the General MIDI drum it is written as.
DRUM_CLASSES = {"kick": 36, "snare": 38, "closed hat": 42, "open hat": 46, "low tom": 45,
             "mid tom": 48, "high tom": 50, "crash": 49, "ride": 51}  # fmt: skip
# General MIDI drums of each row: the nine types of Magenta's note_seq,
# drums_encoder_decoder.DEFAULT_DRUM_TYPE_PITCHES. Every key from 26 to 87 has a row.
_MEMBERS = {"kick": (35, 36),
            "snare": (27, 28, 31, 32, 33, 34, 37, 38, 39, 40, 56, 65, 66, 75, 85),
            "closed hat": (22, 42, 44, 54, 68, 69, 70, 71, 73, 78, 80),
            "open hat": (26, 46, 67, 72, 74, 79, 81), "low tom": (29, 41, 43, 45, 61, 64, 84),
            "mid tom": (47, 48, 60, 63, 77, 86, 87), "high tom": (30, 50, 62, 76, 83),
            "crash": (49, 52, 55, 57, 58), "ride": (51, 53, 59, 82)}  # fmt: skip
ROW_OF_DRUM = {pitch: row for row, name in enumerate(DRUM_CLASSES) for pitch in _MEMBERS[name]}
# Four voices of 31 pitches each, so that their tokens stack. The chorales lie well inside.
SATB = (
    Voice("soprano", min_pitch=55, num_pitches=31, program=52),
    Voice("alto", min_pitch=48, num_pitches=31, program=52),
    Voice("tenor", min_pitch=43, num_pitches=31, program=52),
    Voice("bass", min_pitch=36, num_pitches=31, program=52),
)
BAND = (
    Voice("bass", min_pitch=28, num_pitches=31, program=33),
    Voice("drums", kind="drums"),
    Voice("chords", kind="polyphonic", min_pitch=45, num_pitches=36, program=0),
    Voice("lead", min_pitch=55, num_pitches=36, program=65),
)
PIANO = (Voice("piano", kind="polyphonic", min_pitch=21, num_pitches=88),)
MELODY_CHORDS = (
    Voice("melody", min_pitch=48, num_pitches=48, program=73),
    Voice("chords", kind="polyphonic", min_pitch=36, num_pitches=49),
)
MELODY_PIANO = (MELODY_CHORDS[0], *PIANO)
# From the most particular to the most general layout.
TRACK_LAYOUTS = {
    "satb": SATB,
    "band": BAND,
    "melody+chords": MELODY_CHORDS,
    "melody+piano": MELODY_PIANO,
    "piano": PIANO,
}
