"""The image commands: inspect a folder, measure with an extractor, export a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.image.datasets.sources import read_pictures, reader_of
from multigan.image.domain import ImageDomain
from multigan.image.formats.decode import Size
from multigan.image.formats.folder import FolderScan, read, read_folder
from multigan.image.formats.resize import MIN_IMAGES
from multigan.image.metrics.evaluation import COMPARED, evaluate
from multigan.image.metrics.feature_extractors import AUTO
from multigan.image.rendering import save_png
from multigan.storage.files import cache_dir
from multigan.storage.loading import load, load_run_data


def inspect_images(source: str, *, resolution: int = 64) -> None:
    """Print what a source of pictures holds, and every file of it that is not used.

    source: a folder, an archive, or whatever else `train --data` takes
    resolution: the side in pixels at which the pictures are read
    """
    size = Size(resolution, resolution)
    in_files = reader_of(source, size) is read_folder
    reading = read(source, size) if in_files else FolderScan(read_pictures(source, size), ())
    pictures = reading.pictures
    kind = "grey" if pictures.pixels.shape[1] == 1 else "colour"
    count = len(pictures.pixels)
    few = "" if count >= MIN_IMAGES else f"; too few to train on: wanted {MIN_IMAGES} or more"
    print(f"{source}: {count:,} {kind} pictures{few}" if count else f"{source}: no picture{few}")
    if pictures.labels is not None:
        counts = pictures.labels.bincount(minlength=len(pictures.names)).tolist()
        named = zip(pictures.names, counts, strict=True)
        print("classes: " + ", ".join(f"{name} {count:,}" for name, count in named))
    for outcome in reading.outcomes:
        if outcome.reason:
            print(f"not used: {outcome.line}")


def evaluate_with_extractor(
    run: Path,
    *,
    extractor: str = AUTO,
    count: int = COMPARED,
    split: str = "test",
    data: str | None = None,
    seed: int = 0,
    cache: Path | None = None,
) -> None:
    """Measure a run through another extractor, or on more pictures; prints the table.

    extractor: auto, classifier, random, random:SEED, or a TorchScript file (it is run: trust it)
    count: pictures in each row, about, at most
    split: of the data, that is measured against: test or valid
    data: where the same kind of data lie now
    seed: of the samples that are measured
    cache: where helper models are kept
    """
    sampler = load(run, domain="image")
    if split not in ("test", "valid"):
        raise ValueError(f"split is {split!r}; wanted test or valid")
    held = load_run_data(run, data).split(split)
    domain: Any = sampler.domain
    rng = keyed_rng(seed, "evaluate")
    table = evaluate(domain, sampler.generator, held, rng, cache_dir(cache), extractor, count)
    print(table.markdown())


PLAIN = " -_+()'"  # what may stand in the name of a folder beside letters and digits, and dots


def export_dataset(
    sampler: Sampler,
    *,
    per_class: int = 100,
    out: str = "augmented",
    seed: int = 0,
    truncation: float | None = None,
) -> None:
    """Write labelled samples as a data set, a folder for each class, to train others on.

    per_class: pictures of every class
    out: the folder to write to; it must not hold anything yet
    seed: another seed, other pictures
    truncation: latent numbers stay within this: 1 is safe and alike, 3 almost free
    """
    names = _classes(sampler)
    if per_class < 1:
        raise ValueError(f"per-class is {per_class}; wanted 1 or more")
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{out} holds something already; choose another --out")
    for number, name in enumerate(names):
        own_seed = keyed_rng(seed, "augment", number).initial_seed()  # other latents in each class
        wishes: dict[str, Any] = {"label": name, "truncation": truncation}
        _write(sampler.sample(per_class, own_seed, **wishes), folder / folder_name(name))
    print(
        f"{per_class * len(names):,} pictures of {len(names)} classes in {out}: train --data {out}"
    )


def folder_name(name: str) -> str:
    """The name of a class as one of a folder: letters and digits stay, what could lead out of the
    folder or be hidden becomes %XX. No two names become the same.
    """
    kept = [
        c if c.isalnum() or c in PLAIN or (c == "." and k) else _coded(c)
        for k, c in enumerate(name)
    ]
    return "".join(kept) or "%"


def _coded(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _classes(sampler: Sampler) -> tuple[str, ...]:
    """The names of a picture generator's classes; ValueError if it has none."""
    domain = sampler.domain
    if not isinstance(domain, ImageDomain):
        raise ValueError("this generator draws no pictures")
    if not domain.labels:
        raise ValueError(
            "this generator knows no classes, so its pictures have no labels; "
            "wanted one that was trained on a set with classes"
        )
    return domain.labels


def _write(pictures: list[Image.Image], folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        save_png(picture, folder / f"{number:06d}.png")
