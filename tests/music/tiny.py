"""A generator of random music and a small set of songs: all that tests of the domain need."""

import json

import torch
from torch import nn

from multigan.music.formats.npz import save_songs
from multigan.music.formats.song import Note, Song, TimeSignature, Track
from multigan.music.representations.conditioning import apply_conditioning
from multigan.music.representations.tensors import num_channels, slices, total_channels
from multigan.music.representations.voices import SATB, single_lines

STEPS = 32


class Tiny(nn.Module):
    """Random music around what is given; `holds` makes notes longer.

    One that does not listen ignores the condition: what comes back given was put in by others.
    """

    def __init__(self, voices, steps=STEPS, holds=0.6, listens=True):
        super().__init__()
        self.voices, self.steps, self.holds, self.listens = voices, steps, holds, listens
        self.bias = nn.Parameter(torch.zeros(()))
        self.seen = []

    def sample_latent(self, n, rng):
        return torch.rand(n, self.steps, total_channels(self.voices), generator=rng)

    def forward(self, latent, condition=None):
        self.seen.append(condition)
        x = latent + self.bias
        lines = single_lines(self.voices)
        for voice, block in zip(lines, slices(lines), strict=True):
            if voice.kind == "monophonic":
                x[..., block.stop - 1] += self.holds
                x[..., block] = nn.functional.one_hot(
                    x[..., block].argmax(-1), num_channels(voice)
                ).float()
            else:
                x[..., block] = (x[..., block] > 0.9).float()
        return (
            x
            if condition is None or not self.listens
            else apply_conditioning(x, condition, self.voices)
        )


def write_pieces(file, pieces=3, bars=6):
    """A file in the form of the JSB chorales: four voices wander in quarters."""
    rng = torch.Generator().manual_seed(0)
    splits = {}
    for split in ("train", "valid", "test"):
        splits[split] = []
        for piece in range(pieces):
            moves = torch.randint(-2, 3, (4 * bars, 4), generator=rng).cumsum(0).clamp(-2, 2)
            chords = torch.tensor([72, 65, 58, 48]) + moves + 3 * (piece % 3 - 1)
            splits[split].append(chords.repeat_interleave(4, dim=0).tolist())
    file.write_text(json.dumps(splits))
    return str(file)


def write_songs(folder, time_signature="4/4", songs=20, bars=6):
    """An imported folder of songs in any metre: four voices leap about in quarters."""
    rng = torch.Generator().manual_seed(1)
    counts, unit = map(int, time_signature.split("/"))
    signature = TimeSignature(0, counts, unit)
    quarters = bars * signature.bar_ticks // 480
    made = {}
    for number in range(songs):
        tracks = []
        for voice, home in zip(SATB, (72, 65, 58, 48), strict=True):
            pitches = (home + torch.randint(-6, 7, (quarters,), generator=rng)).tolist()
            notes = tuple(Note(480 * k, 480 * k + 480, pitch) for k, pitch in enumerate(pitches))
            tracks.append(Track(voice.name, notes, voice.program))
        length = bars * signature.bar_ticks
        made[f"{number}.mid"] = Song(tuple(tracks), length, time_signatures=(signature,))
    save_songs(made, folder / "songs.npz")
    return str(folder)


def write_piano_songs(folder, voices, songs=12, bars=8):
    """An imported folder of songs in 4/4: every voice plays chords of a scale, or a line of it."""
    rng = torch.Generator().manual_seed(2)
    made = {}
    for number in range(songs):
        tracks = []
        for voice in voices:
            size = 3 if voice.kind == "polyphonic" else 1
            notes, tick = [], 0
            while tick < bars * 1920:
                length = 120 * int(torch.randint(1, 6, (), generator=rng))
                degree = int(torch.randint(0, 10, (), generator=rng))
                for k in range(size):
                    octave, step = divmod(degree + 2 * k, 7)
                    pitch = 48 + number % 3 + 12 * octave + (0, 2, 4, 5, 7, 9, 11)[step]
                    notes.append(Note(tick, min(tick + length, bars * 1920), pitch))
                tick += length + 120 * (degree % 2)
            tracks.append(Track(voice.name, tuple(notes), voice.program))
        made[f"{number}.mid"] = Song(tuple(tracks), bars * 1920)
    save_songs(made, folder / "songs.npz")
    return str(folder)
