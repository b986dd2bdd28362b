"""Performance of sampled songs: the instruments of their tracks, tempo and swung eighths."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

from multigan.music.formats.song import TICKS_PER_QUARTER, Song
from multigan.music.representations.swing import MAX_SWING, STRAIGHT, with_swing
from multigan.music.representations.voices import Voice
from multigan.music.spec import MusicSpec

PROGRAMS = 128  # of General MIDI
NEAR = 3  # names in an error
MAX_DIGITS = 8  # of a program, with its sign
SHOWN = 40  # characters of an instrument in an error


class Performance(NamedTuple):
    """Tempo (None: that of the song), swing, and programs of tracks by their names."""

    tempo_bpm: float | None
    swing: float
    programs: dict[str, int]

    def play(self, song: Song) -> Song:
        """Return the song in this performance."""
        tracks = (replace(t, program=self.programs.get(t.name, t.program)) for t in song.tracks)
        swung = with_swing(replace(song, tracks=tuple(tracks)), self.swing)
        return swung if self.tempo_bpm is None else swung.at_tempo(self.tempo_bpm)


def read_performance(
    spec: MusicSpec, tempo_bpm: float | None, swing: float, instruments: str | None
) -> Performance:
    """Read the options of a performance. Raises ValueError for one that cannot be."""
    _check_swing(swing, spec)
    programs = read_instruments(instruments, spec.voices) if instruments else {}
    return Performance(tempo_bpm, swing, programs)


def read_instruments(text: str, voices: Sequence[Voice]) -> dict[str, int]:
    """Return the General MIDI program of each track named in "melody=violin,piano=24".

    An instrument is a program from 0 to 127, or a General MIDI name or a part of it that no other
    name has. Raises ValueError, with the nearest names, for anything else.
    """
    tracks = {voice.name.casefold(): voice for voice in voices if voice.kind != "drums"}
    found: dict[str, int] = {}
    for item in text.split(","):
        name, _, instrument = (part.strip() for part in item.partition("="))
        if not instrument:
            example = f"{next(iter(tracks), 'melody')}=violin"
            raise ValueError(f"instruments must be TRACK=INSTRUMENT, as {example}; got {item!r}")
        if name.casefold() not in tracks:
            raise ValueError(f"instruments must be of {', '.join(tracks)}; got {name!r}")
        voice = tracks[name.casefold()]
        if voice.name in found:
            raise ValueError(f"instruments must name each track once; got {voice.name} twice")
        found[voice.name] = read_program(instrument)
    return found


def read_program(text: str) -> int:
    """Return the General MIDI program, 0 to 127, of a number or a name.

    Raises ValueError for another.
    """
    if re.fullmatch(r"[+-]?\d+", text):
        if len(text) > MAX_DIGITS or not 0 <= int(text) < PROGRAMS:
            shown = text[:SHOWN]
            raise ValueError(f"an instrument must be a program of 0 to 127 or a name; got {shown}")
        return int(text)
    names = [name.casefold() for name in _program_names()]
    asked = " ".join(text.casefold().split())
    if asked in names:
        return names.index(asked)
    containing = [program for program, name in enumerate(names) if asked in name]
    if len(containing) == 1:
        return containing[0]
    near = [names[program] for program in containing]
    near = near or difflib.get_close_matches(asked, names, NEAR, cutoff=0.5)
    known = [_program_names()[names.index(name)] for name in near[:NEAR]]
    hint = f"near: {', '.join(known)}" if known else "as violin, cello or acoustic grand piano"
    shown = repr(text[:SHOWN])
    raise ValueError(f"an instrument must be a General MIDI name or program; got {shown} ({hint})")


def _check_swing(swing: float, spec: MusicSpec) -> None:
    """Raise ValueError for a ratio that is no swing, and for beats that are not quarters.

    Warn where the notes may be swung already.
    """
    if not STRAIGHT <= swing <= MAX_SWING:
        raise ValueError(
            f"swing must be {STRAIGHT} to {MAX_SWING} of a beat, where its second eighth begins; "
            f"got {swing:g}"
        )
    if swing == STRAIGHT:
        return
    if spec.signature.beat_ticks != TICKS_PER_QUARTER:
        raise ValueError(
            f"swing must have beats of a quarter; got {spec.time_signature}: leave it out"
        )
    if spec.steps_per_quarter % 3 == 0:
        warnings.warn(
            "the generator has triplets and plays the swing of its songs; --swing comes on top",
            stacklevel=2,
        )


@cache
def _program_names() -> tuple[str, ...]:
    """Return the names of General MIDI, of program 0 first."""
    from pretty_midi.constants import INSTRUMENT_MAP

    return tuple(INSTRUMENT_MAP)
