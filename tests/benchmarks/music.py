"""Time of the CPU recipe of music, of an import of MIDI files and of rendered sound.

    python -m tests.benchmarks.music [--steps 20] [--files 1000] [--minutes 2]

Training: the default recipe in a fresh process with one thread, CPU seconds beside wall time, and
the peak memory of the process. Importing: a folder of files of 500 notes, written here, read
by the command with two processes; the target is 60 s for 1,000 with both cores to itself.
Rendering: chorales composed by rule, by every synthesizer that is installed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from multigan.core.rng import keyed_rng
from multigan.music.datasets.synthetic_songs import generate_songs
from multigan.music.formats.midi import write_midi
from multigan.music.formats.song import Note, Song, Track, concatenate
from multigan.music.rendering import audio

WARM_UP_STEPS = 3
NOTES_PER_FILE, PROCESSES = 500, 2
IMPORT_TARGET_S = 60  # per 1,000 files
SIXTEENTH = 120  # ticks
CENTERS = {"soprano": 70, "alto": 63, "tenor": 57, "bass": 50}  # MIDI pitches


def write_folder(folder: Path, files: int, notes: int = NOTES_PER_FILE) -> None:
    """`files` MIDI files of so many notes in four voices: no two alike, all of use."""
    rng = keyed_rng("benchmark folder")
    for number in range(files):
        tracks = [_random_melody(name, center, notes // 4, rng) for name, center in CENTERS.items()]
        end = max(track.end_tick for track in tracks)
        write_midi(Song(tuple(tracks), -(-end // 1920) * 1920), folder / f"{number:05d}.mid")


def _random_melody(name: str, center: int, notes: int, rng: torch.Generator) -> Track:
    """Notes of one to four sixteenths around a pitch."""
    lengths = torch.randint(1, 5, (notes,), generator=rng) * SIXTEENTH
    ends = lengths.cumsum(0).tolist()
    pitches = (center + torch.randint(-5, 6, (notes,), generator=rng)).tolist()
    starts = [0, *ends[:-1]]
    return Track(name, tuple(map(Note, starts, ends, pitches)), 52)


def importing(files: int) -> dict[str, float]:
    """Seconds for 1,000 files, scaled from `files`."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "midi")
        source.mkdir()
        write_folder(source, files)
        start, before = time.perf_counter(), _cpu_seconds()
        command = [sys.executable, "-m", "multigan", "music", "import", str(source)]
        options = ["--out", str(Path(folder, "out")), "--num-workers", str(PROCESSES)]
        result = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
        wall, cpu = time.perf_counter() - start, _cpu_seconds() - before
    assert f"used {files:,} of {files:,} files" in result.stdout, result.stdout
    per_1000 = 1000 / files
    return {"files": files, "s_per_1000": wall * per_1000, "cpu_s_per_1000": cpu * per_1000}


def _cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def rendering(minutes: float) -> dict[str, float]:
    """Seconds for a minute of music in four voices, by every synthesizer at hand."""
    song = composed(minutes)
    length_s = song.length_ticks / 480 * 60 / song.tempo_bpm
    best = audio.synthesizer()
    names = [best] if best == "additive" else ["additive", best]
    found = {}
    for name in names:
        start = time.perf_counter()
        audio.render_song(song, by=name)
        found[name] = (time.perf_counter() - start) * 60 / length_s
    return found


def composed(minutes: float) -> Song:
    """Chorales by rule, at 100 quarters a minute, about so long."""
    bars = max(1, round(minutes * 100 / 4))
    songs = generate_songs("satb", -(-bars // 8), keyed_rng("benchmark songs"), bars=8)
    return concatenate([made.song for made in songs])


def training(steps: int) -> None:
    """Print the steps per second of the default recipe, and the MiB that this process had."""
    from multigan.core.recipe_file import build_recipe, read_recipe, resolve_hyperparameters
    from multigan.engine.trainer import AdversarialTrainer

    torch.set_num_threads(1)
    file = read_recipe("music")
    trainer = AdversarialTrainer(
        build_recipe(file, resolve_hyperparameters(file, {}, tiny=False), 0)
    )
    running = trainer.steps()
    for _ in range(WARM_UP_STEPS):
        next(running)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(steps):
        next(running)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = {"steps_per_cpu_s": steps / cpu, "steps_per_s": steps / wall, "peak_mib": round(peak)}
    print(json.dumps(speed))


def trained(steps: int) -> dict[str, float]:
    """`training` in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.music", "--training", str(steps)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def measure(steps: int, files: int, minutes: float) -> dict[str, Any]:
    """Print a line for each measurement and return its figures."""
    step = trained(steps)
    print(
        f"music recipe: {step['steps_per_cpu_s']:.1f} steps per CPU second in one thread "
        f"({step['steps_per_s']:.1f} per second), {step['peak_mib']} MiB at most"
    )
    read = importing(files)
    print(
        f"music import: {read['s_per_1000']:.1f} s per 1,000 files of {NOTES_PER_FILE} notes in "
        f"{PROCESSES} processes ({read['cpu_s_per_1000']:.1f} s of CPU together; {files:,} files "
        f"read; target {IMPORT_TARGET_S} s)"
    )
    sound = rendering(minutes)
    for name, seconds in sound.items():
        print(f"music rendering: {seconds:.2f} s per minute of four voices by {name}")
    return {"training": step, "importing": read, "rendering_s_per_minute": sound}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="of the recipe")
    parser.add_argument("--files", type=int, default=1000, help="to import")
    parser.add_argument("--minutes", type=float, default=2.0, help="of music to render")
    parser.add_argument("--training", type=int, metavar="STEPS", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.training:
        training(arguments.training)
        return
    results = measure(arguments.steps, arguments.files, arguments.minutes)
    print(json.dumps({"music": results, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
