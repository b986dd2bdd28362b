"""`multigan image check`: what a source of pictures holds, read as training reads it."""

from __future__ import annotations

from multigan.image.decoding import Size
from multigan.image.folder import Reading, read, read_folder
from multigan.image.pictures import FEWEST
from multigan.image.sources import read_pictures, reader_of


def check(source: str, *, resolution: int = 64) -> None:
    """Print what a source of pictures holds, and every file of it that is not used.

    source: a folder, an archive, or whatever else `train --data` takes
    resolution: the side in pixels at which the pictures are read
    """
    size = Size(resolution, resolution)
    in_files = reader_of(source, size) is read_folder
    reading = read(source, size) if in_files else Reading(read_pictures(source, size), ())
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
