"""Image commands: inspect a source, evaluate with an extractor, project, export a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from multigan.core.data_counts import DataCounts, printable
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.image.datasets.sources import get_reader, read_images
from multigan.image.domain import ImageDomain
from multigan.image.formats.decode import Size
from multigan.image.formats.folder import FolderScan, read_folder, scan_folder
from multigan.image.formats.labels import folder_name, quoted
from multigan.image.formats.resize import MIN_IMAGES
from multigan.image.formats.values import ReadOptions
from multigan.image.metrics.evaluation import NUM_EVAL_IMAGES, evaluate
from multigan.image.metrics.feature_extractors import AUTO
from multigan.image.projector import invert
from multigan.image.rendering import save_png
from multigan.storage import files
from multigan.storage.loading import load, load_run_data


def inspect_images(
    source: str,
    *,
    resolution: int = 64,
    background: str = "white",
    alpha: bool = False,
    stretch: bool = False,
    all_frames: bool = False,
) -> None:
    """Print counts of a source: images, classes, what is used, changed and left out, and why.

    source: a folder, an archive, or any other value of `train --data`
    resolution: the side in pixels at which the images are read
    background: color below transparent pixels: white, black or #rrggbb
    alpha: keep transparency as a fourth channel
    stretch: scale all values by one factor, so that the largest of the set becomes 255
    all_frames: read every frame of animations and every page, not the first one only
    """
    size, options = (
        Size(resolution, resolution),
        ReadOptions(background, alpha, all_frames, stretch),
    )
    if get_reader(source, size) is read_folder:
        scan = scan_folder(source, size, options)
    else:
        found = read_images(source, size, options)
        scan = FolderScan(found, (), found.counts or DataCounts("images"))
    images = scan.images
    kind = {1: "grayscale", 3: "color", 4: "RGBA"}[images.pixels.shape[1]]
    count = len(images.pixels)
    few = "" if count >= MIN_IMAGES else f"; training needs {MIN_IMAGES} or more"
    print(f"{source}: {count:,} {kind} images{few}" if count else f"{source}: no image{few}")
    if images.labels is not None:
        counts = images.labels.bincount(minlength=len(images.class_names)).tolist()
        named = zip(images.class_names, counts, strict=True)
        print("classes: " + ", ".join(f"{quoted(name)} {count:,}" for name, count in named))
    for line in scan.counts.lines():
        print(printable(line))
    for note in scan.notes:
        print(f"note: {printable(note)}")
    for result in scan.results:
        if result.reason:
            print(f"skipped: {result.message}")


def evaluate_with_extractor(
    run: Path,
    *,
    extractor: str = AUTO,
    num_samples: int = NUM_EVAL_IMAGES,
    split: str = "test",
    data: str | None = None,
    seed: int = 0,
    cache_dir: Path | None = None,
) -> None:
    """Evaluate a run with another feature extractor or on more images; print the table.

    extractor: auto, classifier, random, random:SEED, or a TorchScript file (its code runs)
    num_samples: maximum number of images in each row, about
    split: the reference split of the data: test or valid
    data: the current path of the same kind of data
    seed: of the generated samples
    cache_dir: the folder of helper models
    """
    sampler = load(run, domain="image")
    if split not in ("test", "valid"):
        raise ValueError(f"split must be test or valid; got {split!r}")
    held_out = load_run_data(run, data).split(split)
    domain: Any = sampler.domain
    rng, cache = keyed_rng(seed, "evaluate"), files.cache_dir(cache_dir)
    table = evaluate(domain, sampler.generator, held_out, rng, cache, extractor, num_samples)
    print(table.markdown())


def project(
    sampler: Sampler, image: str, *, out: str = "projected", steps: int = 200, seed: int = 0
) -> None:
    """Find the latent whose image is nearest to a given one; write both and their distance.

    image: the image file; it is resized to the resolution of the generator
    out: the output folder
    steps: number of optimization steps, from several latents of each class
    seed: of the initial latents
    """
    domain = _image_domain(sampler)
    target, rng = domain.read_file(Path(image)), keyed_rng(seed, "project")
    inversion = invert(sampler.generator, domain.num_classes, target, steps, rng)
    latent, label, found, distance = inversion
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    domain.write(domain.decode(torch.cat([target, found])), folder)
    name = None if label is None else domain.class_names[label]
    result: dict[str, Any] = {"image": image, "label": name, "rms_pixel_distance": distance}
    result |= {"steps": steps, "seed": seed, "latent": latent.tolist()}
    files.write_atomically(folder / "projected.json", json.dumps(result).encode())
    of_class = "" if name is None else f", class {name}"
    print(f"distance {distance:.4f} of a range of 2 (rms over pixels{of_class}): {folder}")


def export_dataset(
    sampler: Sampler,
    *,
    per_class: int = 100,
    out: str = "augmented",
    seed: int = 0,
    truncation: float | None = None,
) -> None:
    """Write labeled samples as a dataset with one folder per class, to train other models on.

    per_class: number of images of each class
    out: the output folder; it must be empty or missing
    seed: of the latents
    truncation: threshold for the latents; smaller values trade diversity for fidelity
    """
    names = _image_domain(sampler).class_names
    if not names:
        raise ValueError(
            "the generator must be trained on a dataset with classes; this one has none, so its "
            "images have no labels"
        )
    if per_class < 1:
        raise ValueError(f"per-class must be 1 or more; got {per_class}")
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{out} must be empty or missing; choose another --out")
    for number, name in enumerate(names):
        class_seed = keyed_rng(seed, "augment", number).initial_seed()  # latents of its own
        options: dict[str, Any] = {"label": name, "truncation": truncation}
        _write(sampler.sample(per_class, class_seed, **options), folder / folder_name(name))
    total = per_class * len(names)
    print(f"{total:,} images of {len(names)} classes in {out}: train --data {out}")


def _image_domain(sampler: Sampler) -> ImageDomain:
    """Return the domain of an image generator; ValueError for any other."""
    if not isinstance(sampler.domain, ImageDomain):
        raise ValueError("the generator must be one of images")
    return sampler.domain


def _write(images: list[Image.Image], folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        save_png(image, folder / f"{number:06d}.png")
