"""How songs of a generator that plans chords end, and whether they stay in their key.

    python -m tests.benchmarks.endings RUN ... --bars 8 [-n 64]

The notes that sound at the end of a song: the share of songs in which they lie in one major or
minor triad, and in that of G major; and of songs whose halves are in one key or in neighboring
ones; as sampled, with `--ending`, and with `--key G --ending`.
"""

import argparse

import torch

from multigan.music.formats.song import Song
from multigan.music.metrics.melody_and_form import key_signature
from multigan.music.theory import OCTAVE
from multigan.storage.loading import load

KINDS = ((0, 4, 7), (0, 3, 7))  # major and minor
TRIADS = [{(root + tone) % OCTAVE for tone in kind} for root in range(OCTAVE) for kind in KINDS]
G_MAJOR = {7, 11, 2}
OPTIONS = ({}, {"ending": True}, {"ending": True, "key": "G"})


def last_pitch_classes(song: Song) -> set[int]:
    """The pitch classes that sound at the end of the last note."""
    notes = [note for track in song.tracks for note in track.notes]
    end = max((note.end_tick for note in notes), default=0)
    return {note.pitch_midi % OCTAVE for note in notes if note.end_tick == end}


def halves_are_related(song: Song) -> bool:
    """True if the signatures of both halves differ by at most one sharp or flat."""
    durations, half = torch.zeros(2, OCTAVE), song.length_ticks / 2
    for note in (note for track in song.tracks for note in track.notes):
        for k in range(2):
            start, end = max(note.start_tick, k * half), min(note.end_tick, (k + 1) * half)
            durations[k, note.pitch_midi % OCTAVE] += max(0, end - start)
    first, second = key_signature(durations).tolist()
    return min((first - second) % OCTAVE, (second - first) % OCTAVE) <= 1


def main() -> None:
    """Print a line for each run and each set of options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--bars", type=int, default=8)
    parser.add_argument("-n", type=int, default=64)
    arguments = parser.parse_args()
    for run in arguments.runs:
        for options in OPTIONS:
            songs = load(run).sample(arguments.n, bars=arguments.bars, **options)
            ends = list(map(last_pitch_classes, songs))
            triads = sum(any(end <= triad for triad in TRIADS) for end in ends) / len(ends)
            in_g = sum(end <= G_MAJOR for end in ends) / len(ends)
            related = sum(map(halves_are_related, songs)) / len(songs)
            print(f"{run} {options}: in a triad {triads:.2f}, in that of G major {in_g:.2f}, "
                  f"halves in related keys {related:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
