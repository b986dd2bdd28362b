"""Windows of songs, kept in memory as bytes: neighboring windows share their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from multigan.core.data_counts import DataCounts
from multigan.core.fingerprint import fingerprint
from multigan.core.protocols import Batch
from multigan.core.serialization import component, with_arguments
from multigan.music.datasets.midi_folder import SONGS
from multigan.music.datasets.song_counts import count_songs, stretches
from multigan.music.datasets.song_reading import AUTO
from multigan.music.datasets.sources import read_songs, source_kind
from multigan.music.datasets.split_tensors import (
    LoadedSplits,
    SplitTensors,
    cache_file,
    save_splits,
    saved_splits,
)
from multigan.music.datasets.zip_import import imported_folder
from multigan.music.domain import MusicDomain
from multigan.music.formats.song import Song
from multigan.music.representations.conditioning import (
    Conditioning,
    apply_conditioning,
    make_conditioning,
    sample_mask,
)
from multigan.music.representations.pianoroll import to_pianoroll
from multigan.music.representations.tensors import (
    encode,
    from_codes,
    lines_of_codes,
    restrike_codes,
    to_codes,
)
from multigan.music.representations.voices import TRACK_LAYOUTS, Voice

SPLITS = ("train", "valid", "test")
MAX_TRANSPOSITION = (-6, 5)  # semitones: every key once
SILENT_RANGE = (0, -1)  # of a voice without a note


@component
class SongWindowDataset:
    """Windows of `bars` bars, one from every `stride_bars`-th bar line of every song in the meter.

    The last bars of a song are a window of their own.

    Windows with a bar of silence in all voices are left out. `source` is a key of
    `sources.SOURCES`, the path of Jsb16thSeparated.json, a folder made by `multigan music
    import`, or a zip of songs. `layout` is a key of TRACK_LAYOUTS or "auto", `steps_per_quarter`
    None: those of the source. `voices` overrides the layout. `Batch.x` is (B, T, C) as in
    `tensors`, the condition a `Conditioning`.

    With an rng, `transpose` moves each window to a key in which its song stays within the range
    that each voice has in the training songs (drums stay), and `masks` samples the given
    cells from a mixture of masks. Without an rng, nothing is sampled and nothing given.
    """

    in_memory = True

    def __init__(
        self,
        source: str = "chorales",
        voices: Sequence[Voice] | None = None,
        bars: int = 2,
        time_signature: str = "4/4",
        steps_per_quarter: int | None = None,
        tempo_bpm: float = 84.0,
        stride_bars: int = 1,
        transpose: bool = True,
        masks: bool = True,
        split: str = "train",
        layout: str = AUTO,
    ) -> None:
        """Raises ValueError for an unknown source or split, or if the source has no such window."""
        if split not in SPLITS:
            raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
        folder = imported_folder(source, layout, steps_per_quarter or 4)
        kind = source_kind(folder)
        voices = _voices(source, kind.layout, layout) if voices is None else tuple(voices)
        grid = steps_per_quarter or kind.grid
        self.domain = MusicDomain(voices, bars, time_signature, grid, tempo_bpm)
        self.is_stochastic = transpose or masks
        self.split_name, self.transpose, self.masks = split, transpose, masks
        self._source = folder, self.domain, stride_bars
        self._steps = load_splits(*self._source).tensors[split]
        codes, starts = (tensor.numpy().tobytes() for tensor in self._steps[:2])
        self.fingerprint = fingerprint((tuple(self._steps.codes.shape), codes, starts))

    def __len__(self) -> int:
        return len(self._steps.starts)

    @property
    def pieces(self) -> Tensor:
        """Piece of each window, (N,) int64: windows of one piece resemble each other."""
        return self._steps.pieces

    def data_counts(self) -> DataCounts:
        """The songs that are used, read in other bars, and left out, and their notes."""
        return load_splits(*self._source).counts

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The windows at `indices` (B,), on their device."""
        return self.keyed_batch(indices, None if rng is None else [rng] * len(indices))

    def keyed_batch(self, indices: Tensor, rngs: Sequence[torch.Generator] | None) -> Batch:
        """The windows at `indices` (B,), each drawn with its own rng, all at once."""
        self._keep_on(indices.device)
        steps, grid, voices = self._steps, self.domain.grid, self.domain.voices
        places = steps.starts[indices, None] + torch.arange(grid.steps, device=indices.device)
        codes = steps.codes[:, places]  # (2, B, T, L)
        codes[0, :, 0] = codes[1, :, 0]
        mask = torch.zeros(len(indices), grid.steps, len(voices), device=indices.device)
        if rngs is not None and self.transpose:
            shifts = [
                torch.randint(low, high + 1, (), generator=rng)
                for (low, high), rng in zip(self._shifts(indices), rngs, strict=True)
            ]
            codes = transpose_codes(codes, torch.stack(shifts).to(indices.device), voices)
        if rngs is not None and self.masks:
            mask = torch.stack([sample_mask(grid, len(voices), rng) for rng in rngs])
            mask = mask.to(indices.device)
        x = from_codes(codes[0], voices)
        ending = steps.endings[indices.cpu(), None].to(x)
        if not mask.any():
            return Batch(x, Conditioning(torch.zeros_like(x), mask, ending))
        given = make_conditioning(x, mask, voices, from_codes(codes[1], voices))
        given = given._replace(ending=ending)
        return Batch(apply_conditioning(x, given, voices), given)  # given cells look as in fakes

    def split(self, name: str) -> SongWindowDataset:
        """The split called "train", "valid" or "test", whichever split this one is.

        Raises ValueError for another name.
        """
        return with_arguments(self, split=name)

    def _shifts(self, indices: Tensor) -> list[tuple[int, int]]:
        return [self._steps.shifts[index] for index in indices.tolist()]

    def _keep_on(self, device: torch.device) -> None:
        if self._steps.starts.device != device:
            codes, starts = self._steps.codes.to(device), self._steps.starts.to(device)
            self._steps = self._steps._replace(codes=codes, starts=starts)


def _voices(source: str, imported: str, layout: str) -> tuple[Voice, ...]:
    """Voices of a layout. Raises ValueError for one that the songs of the source lack."""
    if layout not in (AUTO, imported):
        raise ValueError(
            f"layout must be auto or {imported}, the one of the songs in {source}; got {layout!r}; "
            f"for another: multigan music import FOLDER --layout {layout}"
        )
    return TRACK_LAYOUTS[imported]


@lru_cache(maxsize=1)  # the splits of one source are cut from one reading
def load_splits(source: str, domain: MusicDomain, stride_bars: int) -> LoadedSplits:
    """The three splits of a source; their tensors are not to be written to.

    Those of an imported folder are cached in it.
    Raises ValueError if the source is unknown or a split has no window of this kind, a song lacks
    a voice, or `stride_bars` is not positive.
    """
    if stride_bars < 1:
        raise ValueError(f"stride_bars must be 1 or more; got {stride_bars}")
    file = Path(source) / SONGS
    if not file.is_file():
        return _load_splits(source, domain, stride_bars)
    cache = cache_file(file, domain, stride_bars)
    if (splits := saved_splits(cache)) is None:
        splits = _load_splits(source, domain, stride_bars)
        save_splits(splits, cache)
    return splits


def _load_splits(source: str, domain: MusicDomain, stride_bars: int) -> LoadedSplits:
    """Read and encode the songs of a source."""
    songs = read_songs(source, domain.time_signature)
    count = sum(len(songs[split]) for split in SPLITS)
    if not all(songs[split] for split in SPLITS):
        raise ValueError(
            f"{source} must have 3 songs or more, one for each split; got {count}: add songs"
        )
    pieces = {split: _pieces(source, songs[split], domain) for split in SPLITS}
    ranges = _ranges(torch.cat([piece.codes for piece in pieces["train"]]), domain.voices)
    tensors = {split: _laid(pieces[split], ranges, domain, stride_bars) for split in SPLITS}
    windows = ", ".join(f"{len(tensors[name].starts):,} {name}" for name in SPLITS)
    return LoadedSplits(tensors, count_songs(songs, domain, f"songs ({windows} windows)"))


def transpose_codes(codes: Tensor, shifts: Tensor, voices: Sequence[Voice]) -> Tensor:
    """Return codes (..., B, T, L) with the pitches of each window `shifts` (B,) semitones higher.

    Pitches must stay inside the range of their voice. Drums stay.
    """
    pitches = _pitch_counts(voices).to(codes.device)
    return torch.where(codes < pitches, codes + shifts[:, None, None], codes).to(torch.uint8)


def _pitch_counts(voices: Sequence[Voice]) -> Tensor:
    """Return the number of pitches of each code (L,); 0 for drums."""
    owners = [voices[k] for k in lines_of_codes(voices)]
    return torch.tensor([0 if voice.kind == "drums" else voice.num_pitches for voice in owners])


class _Piece(NamedTuple):
    """A stretch of a song as codes (S, L), and whether the song ends with it."""

    codes: Tensor
    is_last: bool


def _pieces(source: str, songs: Mapping[str, Song], domain: MusicDomain) -> list[_Piece]:
    """The stretches, uint8, of full bars in the domain's meter, a window long or longer.

    Notes that are held into a stretch begin at its first step.
    """
    found = []
    for name, song in songs.items():
        of_song = list(stretches(song, domain))
        for number, stretch in enumerate(of_song, 1):
            try:
                roll = to_pianoroll(stretch, domain.voices, domain.steps_per_quarter)
            except ValueError as error:
                raise ValueError(f"{source}, {name}: {error}") from error
            codes = to_codes(encode(roll, domain.voices), domain.voices)
            found.append(_Piece(codes, number == len(of_song)))
    if not found:
        signed = ", ".join(
            sorted({name for song in songs.values() for name in song.time_signature_names})
        )
        raise ValueError(
            f"{source}: a split has no {domain.bars} bars of {domain.time_signature}; its songs "
            f"are in {signed}; use more songs, fewer bars or another time signature"
        )
    return found


def _laid(
    pieces: Sequence[_Piece], ranges: Tensor, domain: MusicDomain, stride_bars: int
) -> SplitTensors:
    """The pieces end to end, and where their windows begin and may be transposed to."""
    window, hop = domain.grid.steps, stride_bars * domain.grid.bar_steps
    starts: list[int] = []
    shifts: list[tuple[int, int]] = []
    numbers: list[int] = []
    endings: list[bool] = []
    ends = accumulate(len(piece.codes) for piece in pieces)
    for number, (piece, end) in enumerate(zip(pieces, ends, strict=True)):
        own = sorted({*range(end - len(piece.codes), end - window + 1, hop), end - window})
        starts += own
        numbers += [number] * len(own)
        shifts += [_shifts(_ranges(piece.codes, domain.voices), ranges)] * len(own)
        endings += [piece.is_last and start == end - window for start in own]
    codes = torch.cat([piece.codes for piece in pieces])  # (S, L); no piece begins with a hold
    both = torch.stack([codes, restrike_codes(codes, domain.voices)])
    sounds = _audible(both[1], domain, torch.tensor(starts))
    chosen = [
        shift for shift, is_audible in zip(shifts, sounds.tolist(), strict=True) if is_audible
    ]
    kept = (torch.tensor(of_windows)[sounds] for of_windows in (numbers, endings))
    return SplitTensors(both, torch.tensor(starts)[sounds], chosen, *kept)


def _audible(restruck: Tensor, domain: MusicDomain, starts: Tensor) -> Tensor:
    """True for windows in which every bar sounds: (N,). Codes (S, L) have onsets at every step."""
    pitches = _pitch_counts(domain.voices)
    sounds = torch.where(pitches > 0, restruck < pitches, restruck > 0).any(1)  # (S,)
    grid = domain.grid
    bars = sounds[starts[:, None] + torch.arange(grid.steps)].unflatten(1, (grid.bars, -1))
    return bars.any(2).all(1)


def _ranges(codes: Tensor, voices: Sequence[Voice]) -> Tensor:
    """The lowest and highest pitch (K, 2), from `lowest` on, of codes (S, L); drums have none."""
    pitches, owners = _pitch_counts(voices), torch.tensor(lines_of_codes(voices))
    found = []
    for k in range(len(voices)):
        own = codes[:, owners == k].int()
        begun = own[own < pitches[owners == k]]
        found.append((int(begun.min()), int(begun.max())) if len(begun) else SILENT_RANGE)
    return torch.tensor(found)


def _shifts(own: Tensor, allowed: Tensor) -> tuple[int, int]:
    """The semitones, 0 among them, by which every voice moves and stays in the allowed ranges."""
    has_notes = own[:, 0] <= own[:, 1]
    if not has_notes.any():
        return 0, 0
    down, up = (allowed - own)[has_notes].unbind(1)
    return max(MAX_TRANSPOSITION[0], min(0, int(down.max()))), min(
        MAX_TRANSPOSITION[1], max(0, int(up.min()))
    )
