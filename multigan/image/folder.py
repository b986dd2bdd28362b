"""Any folder or zip archive of pictures: what can be used is kept, what cannot is named."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from multigan.image.decoding import Outcome, Size, Unusable, decode_all
from multigan.image.pictures import FEWEST, Pictures, demand_enough
from multigan.image.shelf import kept, key_of, put

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LEFT_OUT = ("__MACOSX", "Thumbs.db", "desktop.ini")  # what systems leave behind; ".…" too
NAMED = 3  # skipped files that a message names for each reason
ONE_WORKER = 250  # files: so few are not worth the start of another process
MOST_WORKERS = 16


@dataclass(frozen=True)
class Reading:
    """What a folder or an archive holds."""

    pictures: Pictures  # of no picture at all, if nothing can be used
    outcomes: tuple[Outcome, ...]  # of every file, in order

    def skipped(self) -> str:
        """The skipped files in words, counted by reason, some of them named; "" without any."""
        skipped = [outcome for outcome in self.outcomes if outcome.reason]
        reasons = Counter(outcome.reason for outcome in skipped)
        parts = []
        for reason, count in reasons.most_common():
            files = [outcome.file for outcome in skipped if outcome.reason == reason]
            more = ", ..." if count > NAMED else ""
            parts.append(f"{count} {reason} ({', '.join(files[:NAMED])}{more})")
        whole = f"{len(skipped)} of {len(self.outcomes)} files are not used: "
        return whole + "; ".join(parts) if skipped else ""


def read_folder(source: str, size: Size) -> Pictures:
    """The pictures of a folder or zip archive at one size; sub-folders are classes.

    Files that are not used are counted and named in a warning. Raises ValueError if nothing can
    be read there, or too few.
    """
    reading = read(source, size)
    skipped = reading.skipped()
    demand_enough(source, len(reading.pictures.pixels), skipped)
    if skipped:
        warnings.warn(f"{source}: {skipped}; all of them: multigan image check", stacklevel=2)
    return reading.pictures


def check(source: str, *, resolution: int = 64) -> None:
    """Print what a folder or zip archive of pictures holds, and every file that is not used.

    source: the folder or archive
    resolution: the side in pixels at which the pictures are read
    """
    reading = read(source, Size(resolution, resolution))
    pictures = reading.pictures
    kind = "grey" if pictures.pixels.shape[1] == 1 else "colour"
    count = len(pictures.pixels)
    few = "" if count >= FEWEST else f"; too few to train on: wanted {FEWEST} or more"
    print(f"{source}: {count:,} {kind} pictures{few}" if count else f"{source}: no picture{few}")
    if pictures.labels is not None:
        counts = pictures.labels.bincount(minlength=len(pictures.names)).tolist()
        named = zip(pictures.names, counts, strict=True)
        print("classes: " + ", ".join(f"{name} {count:,}" for name, count in named))
    for outcome in reading.outcomes:
        if outcome.reason:
            print(f"not used: {outcome.line}")


def read(source: str, size: Size) -> Reading:
    """Every file of a folder or zip archive, decoded or from the cache.

    Raises ValueError if there is no file.
    """
    files = _files(source)
    if not files:
        raise ValueError(f"{source}: holds no file; wanted pictures ({', '.join(SUFFIXES)})")
    key = key_of(source, files, size)
    if (found := kept(key)) is None:
        found = _decoded(source, files, size)
        put(key, *found)
    pixels, outcomes = found
    used = [outcome.file for outcome in outcomes if not outcome.reason]
    return Reading(Pictures(pixels, *classes_of(source, used)), outcomes)


def _decoded(source: str, files: Sequence[str], size: Size) -> tuple[Tensor, tuple[Outcome, ...]]:
    """The pixels (N, C, H, W) of the files that can be used, and what became of every file."""
    wanted = [file for file in files if file.lower().endswith(SUFFIXES)]
    decoded = dict(zip(wanted, _decode(source, wanted, size), strict=True))
    other = {file: _no_picture(file) for file in files if file not in decoded}
    outcomes, pixels = _without_repeats(decoded)
    every = sorted([*outcomes, *other.values()], key=lambda outcome: outcome.file)
    return torch.from_numpy(_stack(pixels, size)), tuple(every)


def _files(source: str) -> list[str]:
    """The files of a folder or archive, relative and in order, without what systems leave there."""
    path = Path(source)
    if path.is_dir():
        found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        names = [file.relative_to(path).as_posix() for file in found if file.is_file()]
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                names = [item.filename for item in archive.infolist() if not item.is_dir()]
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise ValueError(f"{source} is no zip archive that can be read: {error}") from None
    return sorted({name for name in names if not _is_left_out(name)})


def _is_left_out(name: str) -> bool:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("..", ".")]
    return any(part in LEFT_OUT or part.startswith(".") for part in parts)


def _no_picture(file: str) -> Outcome:
    return Outcome(file, "no picture file", f"{file}: no picture file")


def _decode(source: str, files: Sequence[str], size: Size) -> list[tuple[Outcome, bytes]]:
    """Each file's outcome and pixels, in order, from this process or from several."""
    workers = min(_cores(), MOST_WORKERS, math.ceil(len(files) / ONE_WORKER))
    if workers <= 1:
        return list(decode_all(source, list(files), size))
    share = math.ceil(len(files) / workers)
    with tempfile.TemporaryDirectory(prefix="multigan-") as folder:
        running = [
            _Worker(source, list(files[k : k + share]), size, Path(folder, str(k)))
            for k in range(0, len(files), share)
        ]
        try:
            return [result for worker in running for result in worker.results()]
        finally:
            for worker in running:
                worker.stop()


def _cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A process that decodes some files."""

    def __init__(self, source: str, files: list[str], size: Size, place: Path) -> None:
        self.pixels, self.outcomes = place.with_suffix(".bytes"), place.with_suffix(".json")
        task = {"source": str(Path(source).absolute()), "files": files, "size": list(size)}
        task |= {"pixels": str(self.pixels), "outcomes": str(self.outcomes)}
        self.size = size
        self.process = subprocess.Popen(
            [sys.executable, "-m", "multigan.image.decoding"],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as pipe:  # its status tells
            pipe.write(json.dumps(task).encode())

    def results(self) -> list[tuple[Outcome, bytes]]:
        """Wait for the end; OSError if the process did not come to it."""
        if status := self.process.wait():
            raise OSError(f"a process that decodes pictures ended with status {status}")
        outcomes = [Outcome(**o) for o in json.loads(self.outcomes.read_text(encoding="utf-8"))]
        area = self.size.height * self.size.width
        with self.pixels.open("rb") as pixels:
            return [(outcome, pixels.read(outcome.channels * area)) for outcome in outcomes]

    def stop(self) -> None:
        """End the process, if it runs still."""
        self.process.kill()
        self.process.wait()


def _without_repeats(
    decoded: dict[str, tuple[Outcome, bytes]],
) -> tuple[list[Outcome], list[bytes]]:
    """The outcomes, in which a file of the same bytes as one before is skipped; the pixels left.

    A picture that is there twice would be in the training part and in the held-out one.
    """
    outcomes, pixels = [], []
    seen: dict[str, str] = {}  # digest of a file -> the file that had it first
    for outcome, content in decoded.values():
        if not outcome.reason:
            first = seen.setdefault(outcome.digest, outcome.file)
            if first == outcome.file:
                pixels.append(content)
            else:
                unusable = Unusable("the same as another file", first)
                outcome = Outcome(outcome.file, unusable.reason, f"{outcome.file}: {unusable}")
        outcomes.append(outcome)
    return outcomes, pixels


def _stack(pixels: Sequence[bytes], size: Size) -> np.ndarray:
    """(N, C, H, W) uint8: grey if every picture is, else colour."""
    area = size.height * size.width
    channels = max((len(content) // area for content in pixels), default=1)
    stacked = np.empty((len(pixels), channels, *size), np.uint8)
    for place, content in zip(stacked, pixels, strict=True):
        place[:] = np.frombuffer(content, np.uint8).reshape(-1, *size)
    return stacked


def classes_of(source: str, files: Sequence[str]) -> tuple[Tensor | None, tuple[str, ...]]:
    """Labels (N,) and the names of the classes: the first folder in which the files differ.

    No labels if all lie in one folder; nor, with a warning, if some lie beside such folders.
    """
    folders = [file.split("/")[:-1] for file in files]
    ends = zip(min(folders, default=[]), max(folders, default=[]), strict=False)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], ends)))  # of all: they are sorted
    firsts = [folder[shared : shared + 1] for folder in folders]
    if not any(firsts):
        return None, ()
    if not all(firsts):
        beside = sum(not first for first in firsts)
        warnings.warn(
            f"{source}: {beside} of {len(files)} pictures lie beside the sub-folders, so these are "
            "not taken as classes",
            stacklevel=2,
        )
        return None, ()
    names = sorted({first[0] for first in firsts})
    numbers = {name: number for number, name in enumerate(names)}
    return torch.tensor([numbers[first[0]] for first in firsts]), tuple(names)
