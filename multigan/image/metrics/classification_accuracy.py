"""What generated pictures are worth: a classifier with and without them, judged on real ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.fitting import build_with_seed, fit
from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat
from multigan.image.augmentation.geometric import bilinear_gather

WIDTHS = (32, 64, 128, 128)  # channels of the classifier's stages, as many as the size asks for
POOLED = 4  # H and W of its last stage
DROPOUT = 0.5
STEPS, BATCH, LR, SMOOTHING = 400, 64, 1e-3, 0.1
SHIFT = 1 / 8  # of a side, at most: usual augmentation
TURN = math.pi / 12  # 15 degrees, at most
REPEATS = 2  # classifiers of each kind, of which the mean accuracy counts
CHUNK = 1024  # pictures judged together


def synthetic_data_gain(
    known: Batch, made: Mapping[str, Batch], held_out: Batch, classes: int, share: float, seed: int
) -> dict[str, dict[str, float]]:
    """Accuracies on `held_out` of classifiers trained on few pictures, with and without others.

    Rows: "real" (`known` alone), then one for each set of `made` pictures. Columns: "plain" and
    "moved" (with usual augmentation: shifts and small rotations) of both together, `share` of every
    batch being made ones; "alone" of the made ones without a real one; the gains are over "real".
    Every classifier makes as many steps with as large batches, from the same initial weights.
    """
    judge = partial(accuracy, held_out=held_out, classes=classes, seed=seed)
    real = {name: judge([(known, 1.0)], moved=moved) for name, moved in AUGMENTATION_MODES.items()}
    rows = {"real": real}
    for source, pictures in made.items():
        both = [(known, 1 - share), (pictures, share)]
        row = {name: judge(both, moved=moved) for name, moved in AUGMENTATION_MODES.items()}
        row["alone"] = judge([(pictures, 1.0)], moved=False)
        rows[source] = row | {f"gain_{name}": row[name] - real[name] for name in AUGMENTATION_MODES}
    return rows


def accuracy(
    sets: list[tuple[Batch, float]], held_out: Batch, classes: int, moved: bool, seed: int
) -> float:
    """The share of held-out pictures that is put into its class, averaged over REPEATS.

    `sets` are pictures and the share that they have of every batch.
    """
    found = []
    for repeat in range(REPEATS):
        rng = keyed_rng(seed, "classifier", repeat)
        build = partial(classifier, tuple(held_out.x.shape[1:]), classes)
        network = build_with_seed(build, rng)
        fit(network, _loss, partial(_batch, sets, moved), STEPS, LR, rng)
        found.append(_judged(network, held_out))
    return sum(found) / REPEATS


def classifier(shape: tuple[int, ...], classes: int) -> nn.Module:
    """A small convolutional network: pictures (B, C, H, W) of one size -> logits (B, classes)."""
    channels, side = shape[0], min(shape[1:])
    stages = 1 + max(0, math.ceil(math.log2(side / POOLED)))
    layers: list[nn.Module] = []
    for stage, width in zip(range(stages), WIDTHS, strict=False):
        kernel, stride = (4, 2) if stage else (3, 1)
        layers += [nn.Conv2d(channels, width, kernel, stride, 1), nn.GroupNorm(1, width), nn.ReLU()]
        channels = width
    pooled = [nn.AdaptiveAvgPool2d(POOLED), nn.Flatten(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers, *pooled, nn.Linear(channels * POOLED**2, classes))


def random_affine(x: Tensor, rng: torch.Generator) -> Tensor:
    """Usual augmentation: each picture (B, C, H, W) turned by up to TURN and shifted by SHIFT.

    What comes in at a border is the pixel on it.
    """
    n, (high, wide) = len(x), x.shape[2:]
    turn, down, across = (2 * torch.rand(3, n, 1, 1, generator=rng) - 1).unbind()  # (B, 1, 1)
    turn, down, across = TURN * turn, SHIFT * high * down, SHIFT * wide * across
    y, z = torch.meshgrid(
        torch.arange(high) - (high - 1) / 2, torch.arange(wide) - (wide - 1) / 2, indexing="ij"
    )
    rows = turn.cos() * y - turn.sin() * z + down + (high - 1) / 2  # (B, H, W)
    columns = turn.sin() * y + turn.cos() * z + across + (wide - 1) / 2
    return bilinear_gather(x, rows.clamp(0, high - 1), columns.clamp(0, wide - 1))


def _batch(sets: list[tuple[Batch, float]], moved: bool, rng: torch.Generator) -> Batch:
    """BATCH pictures, of each set its share."""
    counts = [round(BATCH * share) for _, share in sets]
    drawn = []
    for (pictures, _), count in zip(sets, counts, strict=True):
        pick = torch.randint(len(pictures.x), (count,), generator=rng)
        drawn.append(Batch(pictures.x[pick], pictures.condition[pick]))
    x, labels = tree_cat(drawn)
    return Batch(random_affine(x, rng) if moved else x, labels)


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(network(batch.x), batch.condition, label_smoothing=SMOOTHING)


@torch.no_grad()
def _judged(network: Callable[[Tensor], Tensor], pictures: Batch) -> float:
    found = torch.cat([network(chunk).argmax(1) for chunk in pictures.x.split(CHUNK)])
    return float((found == pictures.condition).double().mean())


AUGMENTATION_MODES = {"plain": False, "moved": True}  # without and with usual augmentation
