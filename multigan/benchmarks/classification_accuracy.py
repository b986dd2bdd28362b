"""Classification accuracy with synthetic training images, measured on real ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.evaluation_size import evaluation_iterations
from multigan.core.fitting import build_with_seed, fit
from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat
from multigan.image.augmentation.geometric import bilinear_gather

WIDTHS = (32, 64, 128, 128)  # channels of the classifier's stages, as many as the size allows
POOLED = 4  # H and W of its last stage
DROPOUT = 0.5
STEPS, BATCH, LR, SMOOTHING = 400, 64, 1e-3, 0.1
SHIFT = 1 / 8  # of a side, at most
MAX_ROTATION = math.pi / 12  # 15 degrees
REPEATS = 2  # classifiers of each kind; their mean accuracy counts
CHUNK = 1024  # images per forward pass


def synthetic_data_gain(
    train: Batch,
    synthetic: Mapping[str, Batch],
    held_out: Batch,
    num_classes: int,
    synthetic_fraction: float,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Compute accuracies on `held_out` of classifiers trained with and without synthetic images.

    Rows: "real" (`train` alone), then one for each set of `synthetic` images. Columns:
    "no_augmentation" and "augmentation" (shifts and small rotations) of both together, with
    `synthetic_fraction` of every batch synthetic; "synthetic_only" without a real image; the gains
    are over "real". Every classifier is trained for the same number of steps from the same weights.
    """
    evaluate = partial(accuracy, held_out=held_out, num_classes=num_classes, seed=seed)
    real = {
        name: evaluate([(train, 1.0)], augment=augment)
        for name, augment in AUGMENTATION_MODES.items()
    }
    rows = {"real": real}
    for source, images in synthetic.items():
        both = [(train, 1 - synthetic_fraction), (images, synthetic_fraction)]
        row = {
            name: evaluate(both, augment=augment) for name, augment in AUGMENTATION_MODES.items()
        }
        row["synthetic_only"] = evaluate([(images, 1.0)], augment=False)
        rows[source] = row | {f"gain_{name}": row[name] - real[name] for name in AUGMENTATION_MODES}
    return rows


def accuracy(
    sets: list[tuple[Batch, float]], held_out: Batch, num_classes: int, augment: bool, seed: int
) -> float:
    """Return the fraction of held-out images that are classified correctly, averaged over REPEATS.

    `sets` are images and their fraction of every batch.
    """
    found, steps = [], evaluation_iterations(STEPS)
    for repeat in range(evaluation_iterations(REPEATS)):
        rng = keyed_rng(seed, "classifier", repeat)
        build = partial(classifier, tuple(held_out.x.shape[1:]), num_classes)
        network = build_with_seed(build, rng)
        fit(network, _loss, partial(_batch, sets, augment), steps, LR, rng)
        found.append(_accuracy_on(network, held_out))
    return sum(found) / len(found)


def classifier(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build a small convolutional network: images (B, C, H, W) -> logits (B, num_classes)."""
    channels, side = shape[0], min(shape[1:])
    stages = 1 + max(0, math.ceil(math.log2(side / POOLED)))
    layers: list[nn.Module] = []
    for stage, width in zip(range(stages), WIDTHS, strict=False):
        kernel, stride = (4, 2) if stage else (3, 1)
        layers += [nn.Conv2d(channels, width, kernel, stride, 1), nn.GroupNorm(1, width), nn.ReLU()]
        channels = width
    pooled = [nn.AdaptiveAvgPool2d(POOLED), nn.Flatten(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers, *pooled, nn.Linear(channels * POOLED**2, num_classes))


def random_affine(x: Tensor, rng: torch.Generator) -> Tensor:
    """Rotate each image (B, C, H, W) by up to MAX_ROTATION and shift it by up to SHIFT.

    Pixels beyond a border repeat the pixel on it.
    """
    n, (high, wide) = len(x), x.shape[2:]
    angle, down, across = (2 * torch.rand(3, n, 1, 1, generator=rng) - 1).unbind()  # (B, 1, 1)
    angle, down, across = MAX_ROTATION * angle, SHIFT * high * down, SHIFT * wide * across
    y, z = torch.meshgrid(
        torch.arange(high) - (high - 1) / 2, torch.arange(wide) - (wide - 1) / 2, indexing="ij"
    )
    rows = angle.cos() * y - angle.sin() * z + down + (high - 1) / 2  # (B, H, W)
    columns = angle.sin() * y + angle.cos() * z + across + (wide - 1) / 2
    return bilinear_gather(x, rows.clamp(0, high - 1), columns.clamp(0, wide - 1))


def _batch(sets: list[tuple[Batch, float]], augment: bool, rng: torch.Generator) -> Batch:
    """Sample BATCH images, of each set its fraction."""
    counts = [round(BATCH * fraction) for _, fraction in sets]
    parts = []
    for (images, _), count in zip(sets, counts, strict=True):
        pick = torch.randint(len(images.x), (count,), generator=rng)
        parts.append(Batch(images.x[pick], images.condition[pick]))
    x, labels = tree_cat(parts)
    return Batch(random_affine(x, rng) if augment else x, labels)


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(network(batch.x), batch.condition, label_smoothing=SMOOTHING)


@torch.no_grad()
def _accuracy_on(network: Callable[[Tensor], Tensor], images: Batch) -> float:
    found = torch.cat([network(chunk).argmax(1) for chunk in images.x.split(CHUNK)])
    return float((found == images.condition).double().mean())


AUGMENTATION_MODES = {
    "no_augmentation": False,
    "augmentation": True,
}  # column -> random_affine is applied
