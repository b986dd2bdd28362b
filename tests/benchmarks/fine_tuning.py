"""Fine-tuning of an image generator on few images of another kind, against training from nothing.

    python -m tests.benchmarks.fine_tuning --write bags
    multigan train image --data bags --resolution 32 --augment diffaugment --out scratch
    multigan train image --data bags ... --init-from FACES --out tuned
    python -m tests.benchmarks.fine_tuning scratch tuned --draws 4

`--write` stores 286 training images of one class of Fashion-MNIST, without labels; a run trains on
200 of them, its training split. The runs are
measured against every held-out image of that class, in the features of a classifier of the training
split of Fashion-MNIST: no FID. The floor are as many training images of the class as there are
samples; the small set alone, what copying can reach at best, is a row. The
nearest training image of a sample is compared with that of a held-out image, in features: a ratio
far below 1 is memorization.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multigan.core import fidelity
from multigan.core.protocols import Dataset
from multigan.core.rng import keyed_rng
from multigan.image.datasets.images import load_images
from multigan.image.metrics.evaluation import sample_images
from multigan.image.metrics.feature_extractors import AUTO, get_extractor
from multigan.image.metrics.image_metrics import in_chunks
from multigan.image.rendering import save_png
from multigan.image.spec import quantize
from multigan.storage.files import cache_dir
from multigan.storage.loading import load
from tests.benchmarks.faces import HELD_OUT, compare, over_draws

DATA, CLASS, RESOLUTION = "fashion-mnist", "bag", 32
IMAGES, SAMPLES = 286, 2000


def images_of_class(part: Dataset, label: int) -> Tensor:
    """Return all images of a class (N, C, H, W) in [-1, 1]."""
    batch = part.batch(torch.arange(len(part)))
    found: Tensor = batch.x[batch.condition == label]
    return found


def small_set(images: Tensor, n: int = IMAGES) -> Tensor:
    """Choose `n` of the images (N, C, H, W), the same ones each time."""
    return images[torch.randperm(len(images), generator=keyed_rng("fine-tuning"))[:n]]


def nearest_ratio(fake: Tensor, real: Tensor, train: Tensor) -> float:
    """Median distance (N, F) from samples to `train` over that from held-out images to it."""
    near = [torch.cdist(x, train).amin(1).median() for x in (fake, real)]
    return float(near[0] / near[1])


def measure(runs: list[Path], data: Any, class_name: str, draws: int) -> dict[str, Any]:
    """Return the figures of the floor, the small set and every run, by its name."""
    spec, train = data.domain, data.split("train")
    label = spec.class_names.index(class_name)
    extractor = get_extractor(AUTO, train, spec.shape, spec.num_classes, cache_dir(None))

    def features(x: Tensor) -> Tensor:
        return in_chunks(extractor.features, x)

    real = features(torch.cat([images_of_class(data.split(name), label) for name in HELD_OUT]))
    of_class = features(images_of_class(train, label))
    few = small_set(of_class)
    floor = compare(real, of_class[-SAMPLES:])
    distance = fidelity.frechet_distance(real, few)
    rows = {"real (train)": floor, f"{len(few)} images": {"frechet_distance": distance}}
    for run in runs:
        generator = load(run).generator
        found = []
        for draw in range(draws):
            fake = sample_images(generator, SAMPLES, keyed_rng("fine-tuning", draw), None)
            x = features(quantize(fake).x)
            found.append(compare(real, x) | {"nearest_ratio": nearest_ratio(x, real, few)})
        rows[str(run)] = over_draws(found)
    return rows


def main() -> None:
    """Write the small set, or print a row of JSON for each run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the small set")
    parser.add_argument("--draws", type=int, default=1, help="of 2,000 samples (default: 1)")
    arguments = parser.parse_args()
    data = load_images(DATA, resolution=RESOLUTION)
    if arguments.write is not None:
        arguments.write.mkdir(parents=True, exist_ok=True)
        train, label = data.split("train"), data.domain.class_names.index(CLASS)
        for k, x in enumerate(data.domain.decode(small_set(images_of_class(train, label)))):
            save_png(x, arguments.write / f"{k:03d}.png")
        return
    for row, values in measure(arguments.runs, data, CLASS, arguments.draws).items():
        print(json.dumps({"row": row} | {name: round(v, 4) for name, v in values.items()}))


if __name__ == "__main__":
    main()
