"""Sampling options resolved to conditioning tensors and a length."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.music.formats.song import GivenSpan, Song, Track
from multigan.music.formats.songs import read_song
from multigan.music.representations.bars import read_bars_as
from multigan.music.representations.chord_symbols import read_chords, read_key
from multigan.music.representations.conditioning import (
    ANY_CHORD,
    TONIC_CHORD,
    Conditioning,
    make_conditioning,
    unconditional,
)
from multigan.music.representations.pianoroll import grid_changes, to_pianoroll
from multigan.music.representations.tensors import encode
from multigan.music.representations.track_names import all_named
from multigan.music.representations.voices import Voice
from multigan.music.spec import MusicSpec
from multigan.music.theory import OCTAVE

BARS = re.compile(r"(\d+)(?:-(\d+))?")  # "3" or "3-4"


class SamplingOptions(NamedTuple):
    """The options of `MusicDomain.sample` that condition a song or set its length."""

    bars: int | None = None
    given: Path | None = None
    keep: str | None = None
    infill_bars: str | None = None
    infill_tracks: str | None = None
    continue_from: Path | None = None
    retrigger: bool = False
    key: str | None = None
    chords: str | None = None
    ending: bool = False

    @property
    def has_plan(self) -> bool:
        """True where a key, chords or an ending are asked for."""
        return bool(self.key or self.chords or self.ending)


class SamplingPlan(NamedTuple):
    """Conditioning of T steps of whole bars: one window or more.

    The requested song lies between `start_tick` and `end_tick`; the rest pads it to whole bars.
    """

    conditioning: Conditioning  # values (1, T, C), mask (1, T, K)
    start_tick: int
    end_tick: int
    source: Song | None = None  # the conditioning file
    given_spans: tuple[GivenSpan, ...] = ()  # observed spans, in ticks from `start_tick`


class _QuantizedFile(NamedTuple):
    """A file on the model's grid, from a bar line before its first note on."""

    file: Path
    song: Song
    lead_ticks: int  # between that bar line and an anacrusis
    x: Tensor  # (T, C), canonical; T fills the last bar
    observed: Tensor  # (T, K) bool: the steps of the voices that the file has


def plan_sampling(spec: MusicSpec, options: SamplingOptions) -> SamplingPlan:
    """Resolve sampling options to conditioning tensors.

    Raises ValueError for options that contradict each other, and for a file that is unreadable, in
    another time signature, or without the voices to condition on.
    """
    _check(options)
    plan = _plan_of_notes(spec, options)
    return plan._replace(conditioning=_with_asked(spec, plan, options))


def _plan_of_notes(spec: MusicSpec, options: SamplingOptions) -> SamplingPlan:
    """Resolve the options that give notes or a length."""
    if options.continue_from is not None:
        source = _quantize(spec, Path(options.continue_from), spec.voices)
        return _plan(spec, source, source.observed, options.bars or spec.bars)
    if options.given is not None:
        voices = _select_voices(options.keep, spec.voices, "keep")
        source = _quantize(spec, Path(options.given), voices, required=options.keep is not None)
        kept = torch.tensor([voice in voices for voice in spec.voices])
        mask = source.observed & kept & ~_infill_mask(spec, source, options)
        if not (_inside(spec, source) & ~mask).any():
            raise ValueError(
                f"{source.file}: nothing is left to generate; set --keep (the other voices are "
                "generated), --infill-bars or --infill-tracks"
            )
        return _plan(spec, source, mask, 0)
    steps = (options.bars or spec.bars) * spec.grid.bar_steps
    conditioning = unconditional(1, max(steps, spec.grid.steps), spec.voices)
    return SamplingPlan(conditioning, 0, steps * spec.step_ticks)


def _with_asked(spec: MusicSpec, plan: SamplingPlan, options: SamplingOptions) -> Conditioning:
    """Add the key, the chords and the ending that are asked for.

    An ending is on the tonic in the last bar of the song, unless other chords are asked for.
    """
    conditioning, at = plan.conditioning, spec.grid.bar_steps
    key = chords = ending = None
    if options.key:
        key = F.one_hot(torch.tensor([read_key(options.key)]), OCTAVE).float()
    if options.chords:
        steps = torch.arange(conditioning.mask.shape[1])
        bars = read_chords(options.chords)
        of_steps = [(bars[step // at % len(bars)], step % at) for step in steps.tolist()]
        chords = torch.tensor([[own[step * len(own) // at] for own, step in of_steps]])
    if options.ending:
        ending = torch.ones(1, 1)
        if chords is None:
            chords = torch.full((1, conditioning.mask.shape[1]), ANY_CHORD)
            last = (-(-plan.end_tick // spec.step_ticks) - 1) // at * at  # first step of that bar
            tonic = read_chords(options.key)[0][0] if options.key else TONIC_CHORD
            chords[:, last : last + at] = tonic
    return conditioning._replace(key=key, chords=chords, ending=ending)


def _check(options: SamplingOptions) -> None:
    """Raise ValueError for options that contradict each other."""
    if options.bars is not None and options.bars < 1:
        raise ValueError(f"bars must be 1 or more; got {options.bars}")
    if options.given is not None and options.continue_from is not None:
        raise ValueError("--given and --continue-from must not be set together; drop one")
    if options.given is not None and options.bars is not None:
        raise ValueError("--bars must not be set with --given: the song keeps the file's length")
    if options.given is None and any((options.keep, options.infill_bars, options.infill_tracks)):
        raise ValueError("--keep, --infill-bars and --infill-tracks need a file: --given FILE")
    if options.retrigger and options.given is None and options.continue_from is None:
        raise ValueError("--retrigger needs a file: --given FILE or --continue-from FILE")


def _plan(spec: MusicSpec, source: _QuantizedFile, mask: Tensor, more_bars: int) -> SamplingPlan:
    """Condition on the cells `mask` (T, K) of a file and append `more_bars` bars."""
    added = more_bars * spec.grid.bar_steps
    end = (len(source.x) + added) * spec.step_ticks
    if not more_bars:
        end = source.lead_ticks + source.song.length_ticks
    padding = (0, 0, 0, max(added, spec.grid.steps - len(source.x)))
    x, cells = F.pad(source.x, padding), F.pad(mask.float(), padding)
    conditioning = make_conditioning(x[None], cells[None], spec.voices)
    spans = _spans(mask, spec, source.lead_ticks)
    return SamplingPlan(conditioning, source.lead_ticks, end, source.song, spans)


def _spans(mask: Tensor, spec: MusicSpec, lead_ticks: int) -> tuple[GivenSpan, ...]:
    """Runs of observed cells (T, K), voice by voice, in ticks after the lead."""
    found = []
    for voice, cells in zip(spec.voices, mask.T, strict=True):
        changes = F.pad(cells.int(), (1, 1)).diff().nonzero().flatten().tolist()
        for start, end in zip(changes[::2], changes[1::2], strict=True):
            ticks = (step * spec.step_ticks - lead_ticks for step in (start, end))
            found.append(GivenSpan(voice.name, *ticks))
    return tuple(found)


def _quantize(
    spec: MusicSpec, file: Path, voices: Sequence[Voice], required: bool = False
) -> _QuantizedFile:
    """Read a file onto the grid; with `required` each of `voices` must have a track."""
    song = read_bars_as(read_song(file), spec.signature)
    if song.time_signature_names != [spec.time_signature]:
        found = ", ".join(song.time_signature_names)
        raise ValueError(
            f"{file}: the time signature must be {spec.time_signature}, the model's; got {found}"
        )
    assigned = _assign_tracks(song, spec.voices, voices)
    _check_assigned(file, song, assigned, voices, required)
    bar = spec.signature.bar_ticks
    lead = -song.anacrusis_ticks % bar
    length = -(-(lead + song.length_ticks) // bar) * bar
    tracks = [_delayed(assigned.get(voice.name), voice, lead) for voice in spec.voices]
    for track, voice in zip(tracks, spec.voices, strict=True):
        _warn_of_changes(file, track, voice, spec.steps_per_quarter)
    try:
        full = Song(tuple(tracks), length, time_signatures=(spec.signature,))
        x = encode(to_pianoroll(full, spec.voices, spec.steps_per_quarter), spec.voices)
    except ValueError as error:
        raise ValueError(f"{file}: {error}; transpose it") from error
    has_track = torch.tensor([voice.name in assigned for voice in spec.voices])
    source = _QuantizedFile(file, song, lead, x, has_track)
    return source._replace(observed=_inside(spec, source) & has_track)


def _inside(spec: MusicSpec, source: _QuantizedFile) -> Tensor:
    """Cells (T, K) bool from the first tick of the file to its last."""
    steps = torch.arange(len(source.x)) * spec.step_ticks
    ends = steps + spec.step_ticks
    inside = (steps >= source.lead_ticks) & (ends <= source.lead_ticks + source.song.length_ticks)
    return inside[:, None].expand(-1, len(spec.voices))


def _assign_tracks(
    song: Song, voices: Sequence[Voice], required: Sequence[Voice]
) -> dict[str, Track]:
    """Map voices to tracks by name, then the unnamed tracks from the highest to the lowest.

    Unnamed tracks are assigned only if they are as many as the voices without a track, or all of
    them to the only voice without a track if that is polyphonic.
    """
    assigned: dict[str, Track] = {}
    for is_drum in (False, True):
        tracks = [track for track in song.tracks if track.notes and track.is_drum == is_drum]
        own = [voice for voice in voices if (voice.kind == "drums") == is_drum]
        named = all_named((voice.name for voice in own), tracks)
        assigned |= {name: found[0] for name, found in named.items() if len(found) == 1}
        free = [track for track in tracks if track not in assigned.values()]
        for group in (own, [voice for voice in own if voice in required]):
            missing = [voice for voice in group if voice.name not in assigned]
            if free and len(missing) == len(free):
                by_pitch = sorted(missing, key=lambda voice: -voice.min_pitch)
                free.sort(key=_negative_mean_pitch)
                assigned |= zip((voice.name for voice in by_pitch), free, strict=True)
                break
            chordal = [voice for voice in missing if voice.kind == "polyphonic"]
            if len(free) > 1 and len(missing) == len(chordal) == 1:
                assigned[chordal[0].name] = _merged(chordal[0], free)
                break
    return assigned


def _merged(voice: Voice, tracks: Sequence[Track]) -> Track:
    """All tracks as one, in the name and the program of the voice."""
    notes = tuple(note for track in tracks for note in track.notes)
    return Track(voice.name, notes, voice.program)


def _negative_mean_pitch(track: Track) -> float:
    return -mean(note.pitch_midi for note in track.notes)


def _check_assigned(
    file: Path, song: Song, assigned: dict[str, Track], voices: Sequence[Voice], required: bool
) -> None:
    """Raise ValueError if a required voice, or every one, has no track; warn of others."""
    missing = ", ".join(voice.name for voice in voices if voice.name not in assigned)
    if not missing:
        return
    if all(track.is_drum for track in song.tracks if track.notes):
        raise ValueError(f"{file}: must have a track for {missing}; got drums only")
    if required or not assigned:
        names = ", ".join(repr(track.name) for track in song.tracks if track.notes)
        raise ValueError(f"{file}: must have a track for {missing}; got {names}; rename them")
    warnings.warn(f"{file}: no track for {missing}, which is generated", stacklevel=2)


def _delayed(track: Track | None, voice: Voice, ticks: int) -> Track:
    """The track, `ticks` later, under the name of its voice; a silent one for None."""
    if track is None:
        return Track(voice.name, (), voice.program, voice.kind == "drums")
    notes = (n._replace(start_tick=n[0] + ticks, end_tick=n[1] + ticks) for n in track.notes)
    return replace(track, name=voice.name, notes=tuple(notes))


def _warn_of_changes(file: Path, track: Track, voice: Voice, steps_per_quarter: int) -> None:
    """Warn where the grid or the voice cannot hold the notes as they are."""
    _, moved, lost, _ = grid_changes(
        Song((track,), track.end_tick or 1), [voice], steps_per_quarter
    )
    grid = f"the grid of {steps_per_quarter} steps per quarter"
    if moved:
        warnings.warn(
            f"{file}: {moved} of {len(track.notes)} notes of {voice.name} are moved to {grid}",
            stacklevel=2,
        )
    if lost:
        warnings.warn(
            f"{file}: {lost} of {len(track.notes)} notes of {voice.name} are lost on {grid}; a "
            "model with a finer --grid keeps them",
            stacklevel=2,
        )
    overlaps = sum(one.end_tick > other.start_tick for one, other in pairwise(track.notes))
    if voice.kind == "monophonic" and overlaps:
        warnings.warn(
            f"{file}: {voice.name} is monophonic: {overlaps} overlapping notes are cut or dropped",
            stacklevel=2,
        )


def _infill_mask(spec: MusicSpec, source: _QuantizedFile, options: SamplingOptions) -> Tensor:
    """Cells (T, K) bool to generate: in the bars and of the voices that were named."""
    if options.infill_bars is None and options.infill_tracks is None:
        return torch.zeros_like(source.observed)
    voices = _select_voices(options.infill_tracks, spec.voices, "infill-tracks")
    steps = torch.ones(len(source.x), dtype=torch.bool)
    if options.infill_bars is not None:
        steps = _steps_of_bars(spec, source, options.infill_bars)
    return steps[:, None] & torch.tensor([voice in voices for voice in spec.voices])


def _steps_of_bars(spec: MusicSpec, source: _QuantizedFile, bars: str) -> Tensor:
    """Steps (T,) bool of bars such as "1,3-4"; bar 1 is the first full one, 0 an anacrusis."""
    bar_steps, anacrusis = spec.grid.bar_steps, source.lead_ticks > 0
    last = len(source.x) // bar_steps - anacrusis
    steps = torch.zeros(len(source.x), dtype=torch.bool)
    for item in bars.split(","):
        found = BARS.fullmatch(item.strip())
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not 1 - anacrusis <= low <= high <= last:
            raise ValueError(
                f"--infill-bars must be bars of {1 - anacrusis} to {last}, such as 1 or 2-3; "
                f"got {bars}"
            )
        steps[(low - 1 + anacrusis) * bar_steps : (high + anacrusis) * bar_steps] = True
    return steps


def _select_voices(names: str | None, voices: Sequence[Voice], option: str) -> list[Voice]:
    """The voices in a comma-separated list; all of them for None."""
    if names is None:
        return list(voices)
    by_name = {voice.name.casefold(): voice for voice in voices}
    selected = [name.strip().casefold() for name in names.split(",")]
    if unknown := [name for name in selected if name not in by_name]:
        raise ValueError(
            f"--{option} must be voices of {', '.join(by_name)}; got {', '.join(unknown)}"
        )
    return [by_name[name] for name in selected]
