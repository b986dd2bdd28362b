"""What a person wishes of a sample, as the cells that are given and the length that is wanted."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.music.formats.song import GivenSpan, Song, Track
from multigan.music.representations.conditioning import (
    Conditioning,
    make_conditioning,
    unconditional,
)
from multigan.music.representations.tensors import encode
from multigan.music.representations.voices import Voice

if TYPE_CHECKING:
    from multigan.music.domain import MusicDomain

BARS = re.compile(r"(\d+)(?:-(\d+))?")  # "3" or "3-4"


class SamplingOptions(NamedTuple):
    """The wishes of `MusicDomain.sample` for what is written, as they were typed."""

    bars: int | None = None
    given: Path | None = None
    keep: str | None = None
    fill_bars: str | None = None
    fill_tracks: str | None = None
    extend: Path | None = None
    lock_ends: bool = False


class SamplingPlan(NamedTuple):
    """What to draw: T steps of whole bars, and one window or more.

    Only what lies from `start_tick` to `end_tick` is asked for: the rest fills up bars.
    """

    given: Conditioning  # known (1, T, C), mask (1, T, K)
    start_tick: int
    end_tick: int
    source: Song | None = None  # the file that gave something
    stretches: tuple[GivenSpan, ...] = ()  # what it gave, in ticks from `start_tick`


class _QuantizedFile(NamedTuple):
    """A file on the model's grid, from a bar line before its first note on."""

    file: Path
    song: Song
    lead_ticks: int  # between that bar line and a pickup
    x: Tensor  # (T, C), canonical; T fills the last bar
    there: Tensor  # (T, K) bool: the steps of the voices that the file has


def plan_sampling(domain: MusicDomain, wishes: SamplingOptions) -> SamplingPlan:
    """The plan that answers the wishes.

    Raises ValueError in one line for wishes that contradict each other, and for a file that is
    unreadable, in another metre, or without the voices that it should give.
    """
    _check(wishes)
    if wishes.extend is not None:
        score = _score(domain, Path(wishes.extend), domain.voices)
        return _planned(domain, score, score.there, wishes.bars or domain.bars)
    if wishes.given is not None:
        voices = _chosen(wishes.keep, domain.voices, "keep")
        score = _score(domain, Path(wishes.given), voices, demanded=wishes.keep is not None)
        kept = [voice in voices for voice in domain.voices]
        mask = score.there & torch.tensor(kept) & ~_hidden(domain, score, wishes)
        if not (_inside(domain, score) & ~mask).any():
            raise ValueError(
                f"{score.file}: everything stays; say what to write anew: --keep the other voices, "
                "--fill-bars or --fill-tracks"
            )
        return _planned(domain, score, mask, 0)
    steps = (wishes.bars or domain.bars) * domain.frame.bar_steps
    given = unconditional(1, max(steps, domain.frame.steps), domain.voices)
    return SamplingPlan(given, 0, steps * domain.step_ticks)


def _check(wishes: SamplingOptions) -> None:
    """ValueError for wishes that contradict each other."""
    if wishes.bars is not None and wishes.bars < 1:
        raise ValueError(f"bars is {wishes.bars}; wanted 1 or more")
    if wishes.given is not None and wishes.extend is not None:
        raise ValueError("--given and --extend name two files; wanted one")
    if wishes.given is not None and wishes.bars is not None:
        raise ValueError("--bars: a song written around --given has the length of the file")
    if wishes.given is None and any((wishes.keep, wishes.fill_bars, wishes.fill_tracks)):
        raise ValueError("--keep, --fill-bars and --fill-tracks need a file: --given FILE")
    if wishes.lock_ends and wishes.given is None and wishes.extend is None:
        raise ValueError("--lock-ends needs a file: --given FILE or --extend FILE")


def _planned(
    domain: MusicDomain, score: _QuantizedFile, mask: Tensor, more_bars: int
) -> SamplingPlan:
    """The plan that keeps the cells `mask` (T, K) of a score and adds bars at its end."""
    added = more_bars * domain.frame.bar_steps
    end = (len(score.x) + added) * domain.step_ticks
    if not more_bars:
        end = score.lead_ticks + score.song.length_ticks
    padding = (0, 0, 0, max(added, domain.frame.steps - len(score.x)))
    x, cells = F.pad(score.x, padding), F.pad(mask.float(), padding)
    given = make_conditioning(x[None], cells[None], domain.voices)
    stretches = _stretches(mask, domain, score.lead_ticks)
    return SamplingPlan(given, score.lead_ticks, end, score.song, stretches)


def _stretches(mask: Tensor, domain: MusicDomain, lead_ticks: int) -> tuple[GivenSpan, ...]:
    """The runs of given cells (T, K), voice by voice, in ticks after the lead."""
    found = []
    for voice, cells in zip(domain.voices, mask.T, strict=True):
        changes = F.pad(cells.int(), (1, 1)).diff().nonzero().flatten().tolist()
        for start, end in zip(changes[::2], changes[1::2], strict=True):
            ticks = (step * domain.step_ticks - lead_ticks for step in (start, end))
            found.append(GivenSpan(voice.name, *ticks))
    return tuple(found)


def _score(
    domain: MusicDomain, file: Path, wanted: Sequence[Voice], demanded: bool = False
) -> _QuantizedFile:
    """The file on the grid; where a `demanded` voice has no track, a ValueError."""
    song = Song.from_midi(file)
    if song.signatures != [domain.metre]:
        signed = ", ".join(song.signatures)
        raise ValueError(f"{file}: is in {signed}; this model writes {domain.metre}")
    players = _players(song, domain.voices, wanted)
    _check_players(file, song, players, wanted, demanded)
    bar = domain.signature.bar_ticks
    lead = -song.pickup_ticks % bar
    length = -(-(lead + song.length_ticks) // bar) * bar
    tracks = [_moved(players.get(voice.name), voice, lead) for voice in domain.voices]
    for track, voice in zip(tracks, domain.voices, strict=True):
        _warn_of_changes(file, track, voice, domain.step_ticks)
    try:
        full = Song(tuple(tracks), length, metres=(domain.signature,))
        x = encode(full.to_roll(domain.voices, domain.steps_per_quarter), domain.voices)
    except ValueError as error:
        raise ValueError(f"{file}: {error}; transpose it") from error
    score = _QuantizedFile(
        file, song, lead, x, torch.tensor([v.name in players for v in domain.voices])
    )
    return score._replace(there=_inside(domain, score) & score.there)


def _inside(domain: MusicDomain, score: _QuantizedFile) -> Tensor:
    """The cells (T, K) bool from the first tick of the file to its last."""
    steps = torch.arange(len(score.x)) * domain.step_ticks
    ends = steps + domain.step_ticks
    inside = (steps >= score.lead_ticks) & (ends <= score.lead_ticks + score.song.length_ticks)
    return inside[:, None].expand(-1, len(domain.voices))


def _players(song: Song, voices: Sequence[Voice], wanted: Sequence[Voice]) -> dict[str, Track]:
    """Voice -> the track that plays it: by its name; the nameless ones, if they are as many as the
    voices that lack a track, from the highest to the lowest."""
    players: dict[str, Track] = {}
    for is_drum in (False, True):
        tracks = [track for track in song.tracks if track.notes and track.is_drum == is_drum]
        own = [voice for voice in voices if (voice.kind == "drums") == is_drum]
        named = {voice.name: _named(voice, tracks) for voice in own}
        players |= {name: track for name, track in named.items() if track is not None}
        free = [track for track in tracks if track not in players.values()]
        for group in (own, [voice for voice in own if voice in wanted]):
            lacking = [voice for voice in group if voice.name not in players]
            if free and len(lacking) == len(free):
                by_height = sorted(lacking, key=lambda voice: -voice.lowest)
                players |= zip((v.name for v in by_height), sorted(free, key=_height), strict=True)
                break
    return players


def _named(voice: Voice, tracks: Sequence[Track]) -> Track | None:
    """The only track whose name holds that of the voice as a word."""
    found = [track for track in tracks if voice.name in re.split(r"\W+", track.name.casefold())]
    return found[0] if len(found) == 1 else None


def _height(track: Track) -> float:
    return -mean(note.pitch_midi for note in track.notes)


def _check_players(
    file: Path, song: Song, players: dict[str, Track], wanted: Sequence[Voice], demanded: bool
) -> None:
    """ValueError if a demanded voice, or every one, lacks a track; else a warning if one does."""
    lacking = ", ".join(voice.name for voice in wanted if voice.name not in players)
    if not lacking:
        return
    if all(track.is_drum for track in song.tracks if track.notes):
        raise ValueError(f"{file}: holds drums only; wanted a track for: {lacking}")
    if demanded or not players:
        names = ", ".join(repr(track.name) for track in song.tracks if track.notes)
        raise ValueError(f"{file}: no track for {lacking}; its tracks: {names}; rename them")
    warnings.warn(f"{file}: no track for {lacking}, which is written anew", stacklevel=2)


def _moved(track: Track | None, voice: Voice, ticks: int) -> Track:
    """The track under the name of its voice, `ticks` later; a silent one for None."""
    if track is None:
        return Track(voice.name, (), voice.program, voice.kind == "drums")
    notes = (n._replace(start_tick=n[0] + ticks, end_tick=n[1] + ticks) for n in track.notes)
    return replace(track, name=voice.name, notes=tuple(notes))


def _warn_of_changes(file: Path, track: Track, voice: Voice, step: int) -> None:
    """Say so where the grid or the voice cannot hold the notes as they are."""
    if any(note.start_tick % step for note in track.notes):
        warnings.warn(f"{file}: notes of {voice.name} are moved to the grid", stacklevel=2)
    crowded = any(one.end_tick > other.start_tick for one, other in pairwise(track.notes))
    if voice.kind == "monophonic" and crowded:
        warnings.warn(f"{file}: {voice.name} sings one note at a time; others go", stacklevel=2)


def _hidden(domain: MusicDomain, score: _QuantizedFile, wishes: SamplingOptions) -> Tensor:
    """The cells (T, K) bool to write anew: in the bars and of the voices that were named."""
    if wishes.fill_bars is None and wishes.fill_tracks is None:
        return torch.zeros_like(score.there)
    voices = _chosen(wishes.fill_tracks, domain.voices, "fill-tracks")
    steps = torch.ones(len(score.x), dtype=torch.bool)
    if wishes.fill_bars is not None:
        steps = _in_bars(domain, score, wishes.fill_bars)
    return steps[:, None] & torch.tensor([voice in voices for voice in domain.voices])


def _in_bars(domain: MusicDomain, score: _QuantizedFile, wished: str) -> Tensor:
    """The steps (T,) bool of bars such as "1,3-4"; bar 1 is the first full one, 0 a pickup."""
    bar_steps, pickup = domain.frame.bar_steps, score.lead_ticks > 0
    last = len(score.x) // bar_steps - pickup
    steps = torch.zeros(len(score.x), dtype=torch.bool)
    for piece in wished.split(","):
        found = BARS.fullmatch(piece.strip())
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not 1 - pickup <= low <= high <= last:
            raise ValueError(
                f"--fill-bars {wished}: wanted bars of {1 - pickup} to {last}, such as 1 or 2-3"
            )
        steps[(low - 1 + pickup) * bar_steps : (high + pickup) * bar_steps] = True
    return steps


def _chosen(names: str | None, voices: Sequence[Voice], option: str) -> list[Voice]:
    """The voices in a comma-separated list; all of them for None."""
    if names is None:
        return list(voices)
    known = {voice.name.casefold(): voice for voice in voices}
    asked = [name.strip().casefold() for name in names.split(",")]
    if unknown := [name for name in asked if name not in known]:
        raise ValueError(f"--{option}: no voice {', '.join(unknown)}; known: {', '.join(known)}")
    return [known[name] for name in asked]
