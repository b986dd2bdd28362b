"""Voices of a piano-roll and the standard track layouts."""

from __future__ import annotations

from dataclasses import dataclass

from multigan.core.serialization import component

KINDS = ("monophonic", "polyphonic", "drums")


@component
@dataclass(frozen=True)
class Voice:
    """How one track becomes an array of T steps; `kind` is a key of KINDS.

    "monophonic": tokens (T,) int16, 0 .. pitches - 1 for a note that begins, counted from `lowest`
    (a MIDI pitch), then `rest`, then `hold`; a hold after a rest is silence.
    "polyphonic": planes (2, T, pitches) bool, onset and sustain; a sustain after silence is silent.
    "drums": onsets (T, 9) bool, the rows of DRUM_ROWS.
    """

    name: str
    kind: str = "monophonic"
    lowest: int = 36
    pitches: int = 46
    program: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown kind, or pitches outside the MIDI range 0..127."""
        if self.kind not in KINDS:
            raise ValueError(f"no voice of kind {self.kind!r}; known: {', '.join(KINDS)}")
        if self.pitches < 1 or self.lowest < 0 or self.lowest + self.pitches > 128:
            raise ValueError(
                f"voice {self.name!r}: {self.pitches} pitches from {self.lowest} on; wanted 0..127"
            )

    @property
    def rest(self) -> int:
        """The token of a step at which a monophonic voice falls or stays silent."""
        return self.pitches

    @property
    def hold(self) -> int:
        """The token of a step at which a monophonic voice goes on as before."""
        return self.pitches + 1


# Row -> the General MIDI drum it is written as.
DRUM_CLASSES = {"kick": 36, "snare": 38, "closed hat": 42, "open hat": 46, "low tom": 45,
             "mid tom": 48, "high tom": 50, "crash": 49, "ride": 51}  # fmt: skip
# Which General MIDI drums each row stands for: the kit's share (22 to 59) of the nine types of
# Magenta's note_seq, drums_encoder_decoder.DEFAULT_DRUM_TYPE_PITCHES; hand drums have no row.
_MEMBERS = {"kick": (35, 36), "snare": (37, 38, 39, 40), "closed hat": (22, 42, 44, 54),
            "open hat": (26, 46), "low tom": (41, 43, 45), "mid tom": (47, 48),
            "high tom": (50,), "crash": (49, 52, 55, 57), "ride": (51, 53, 59)}  # fmt: skip
ROW_OF_DRUM = {pitch: row for row, name in enumerate(DRUM_CLASSES) for pitch in _MEMBERS[name]}
# Four singers; 31 pitches each, so that their tokens stack. The chorales lie well inside.
SATB = (
    Voice("soprano", lowest=55, pitches=31, program=52),
    Voice("alto", lowest=48, pitches=31, program=52),
    Voice("tenor", lowest=43, pitches=31, program=52),
    Voice("bass", lowest=36, pitches=31, program=52),
)
BAND = (
    Voice("bass", lowest=28, pitches=31, program=33),
    Voice("drums", kind="drums"),
    Voice("chords", kind="polyphonic", lowest=45, pitches=36, program=0),
    Voice("lead", lowest=55, pitches=36, program=65),
)
PIANO = (Voice("piano", kind="polyphonic", lowest=21, pitches=88),)
TRACK_LAYOUTS = {"satb": SATB, "band": BAND, "piano": PIANO}
