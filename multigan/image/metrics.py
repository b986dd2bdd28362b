"""What is measured on pictures, with a small extractor of our own: nothing is downloaded.

Labelled sets are seen through a classifier trained on the set's own training split, unlabelled ones
through the same network with fixed random weights. Neither is Inception: no figure here is an FID.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from multigan import fidelity
from multigan.contract import Batch, Data
from multigan.files import write_atomically
from multigan.fit import build_seeded, fit
from multigan.rng import keyed_rng

FEATURES = 32  # width of the penultimate layer; sets must be larger
NEIGHBOURS = 5  # k of precision, recall, density and coverage
FIRST_WIDTH, LAST_WIDTH = 16, 64  # channels of the extractor's stages
POOLED = 4  # H and W of its last stage
STEPS, BATCH, LR, SMOOTHING = 400, 64, 2e-3, 0.1  # of the classifier
EXTRACTOR_VERSION = 1  # raise it when the same network would be trained otherwise
REMEMBERED = 10_000  # training pictures that a sample is held against, at most
CHUNK = 256  # pictures that pass through the extractor together


class Extractor(nn.Module):
    """A small convolutional network for pictures (B, C, H, W) of one size.

    `features` are standardised: over the training split each has mean 0 and sd 1, so that distances
    compare between data sets. Without classes there are no logits.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        stages, wide = [], FIRST_WIDTH
        for _ in range(int(math.log2(min(height, width) / POOLED))):
            stages.append(_stage(channels, wide, kernel=4, stride=2))  # halves H and W
            channels, wide = wide, min(2 * wide, LAST_WIDTH)
        self.body = nn.Sequential(
            *stages,
            nn.AdaptiveAvgPool2d(POOLED),
            _stage(channels, LAST_WIDTH, kernel=3, stride=1),
            nn.Flatten(),
            nn.Linear(LAST_WIDTH * POOLED**2, FEATURES),
        )
        self.head = nn.Linear(FEATURES, classes) if classes else None
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        """Class logits (B, classes)."""
        assert self.head is not None
        return self.head(self.body(x).relu())

    def features(self, x: Tensor) -> Tensor:
        """Standardised features (B, FEATURES), before the last nonlinearity."""
        return (self.body(x) - self.centre) / self.scale

    @torch.no_grad()
    def standardise(self, x: Tensor) -> None:
        """Take mean and sd of the features from pictures (N, C, H, W)."""
        raw = torch.cat([self.body(chunk) for chunk in x.split(CHUNK)])
        self.centre.copy_(raw.mean(0))
        self.scale.copy_(raw.std(0).clamp(min=1e-6))


def extractor_for(train: Data, shape: tuple[int, int, int], classes: int, cache: Path) -> Extractor:
    """The extractor of a training split of (C, H, W) pictures, from `cache` or made and kept there.

    It depends on the split's bytes only, never on the caller's random state. A file that cannot be
    read is replaced.
    """
    rng = keyed_rng("image extractor")
    extractor = build_seeded(lambda: Extractor(*shape, classes), rng)
    file = cache / f"image-extractor-{_key(extractor, train)}.safetensors"
    try:
        extractor.load_state_dict(load_file(file))
    except (FileNotFoundError, SafetensorError):
        if classes:
            _train(extractor, train, rng)
        extractor.standardise(matched([train], REMEMBERED)[0].x)
        _store(extractor, file)
    return extractor.eval()


def measure(
    extractor: Extractor, real: Batch, fake: Batch, train: Tensor, rng: torch.Generator
) -> dict[str, float]:
    """Every figure of `fake` against as many `real` pictures.

    `x` (N, C, H, W) in [-1, 1], quantised alike; the condition is labels (N,), of a fake the class
    that was wished for, or None; `train` (T, C, H, W) holds the pictures that may be memorised.
    """
    real_features, fake_features = (_in_chunks(extractor.features, b.x) for b in (real, fake))
    kernel = fidelity.kernel_distance(
        real_features, fake_features, rng, subsets=1, subset_size=len(real.x)
    )
    scores = {} if fake.condition is None else {"class_agreement": agreement(extractor, fake)}
    return scores | {
        "frechet": fidelity.frechet_distance(real_features, fake_features),
        "kernel": kernel.mean,
        **fidelity.precision_recall(real_features, fake_features, NEIGHBOURS)._asdict(),
        **fidelity.density_coverage(real_features, fake_features, NEIGHBOURS)._asdict(),
        "diversity": _ratio(within_class_sd(fake), within_class_sd(real)),
        "novelty": _ratio(nearest_distance(fake.x, train), nearest_distance(real.x, train)),
    }


def agreement(extractor: Extractor, pictures: Batch) -> float:
    """The share of pictures that the classifier puts into the class of their label."""
    found = _in_chunks(extractor, pictures.x).argmax(1)
    return float((found == pictures.condition).double().mean())


def within_class_sd(pictures: Batch) -> float:
    """The sd of a pixel within a class, averaged over pixels, then over classes seen twice or more.

    A generator that draws one picture per class has 0, whatever its other figures say. Without
    labels all pictures are one class; NaN if no class was seen twice.
    """
    labels = pictures.condition
    if labels is None:
        labels = torch.zeros(len(pictures.x), dtype=torch.long)
    groups = [pictures.x[labels == label] for label in labels.unique()]
    spreads = [group.double().std(0).mean() for group in groups if len(group) > 1]
    return float(torch.stack(spreads).mean()) if spreads else math.nan


def nearest_distance(pictures: Tensor, train: Tensor) -> float:
    """The median Euclidean pixel distance of a picture to its nearest one in `train`."""
    nearest = [torch.cdist(c, train.flatten(1)).amin(1) for c in pictures.flatten(1).split(CHUNK)]
    return float(torch.cat(nearest).median())


def gaussian_baseline(train: Batch, labels: Tensor | None, n: int, rng: torch.Generator) -> Batch:
    """`n` pictures from the Gaussian over pixels fitted to each class of `train`: a baseline.

    They follow `labels` (n,), which `train` knows all; without labels one Gaussian is fitted. A
    draw is the mean plus a random combination of the centred pictures, e A / sqrt(T - 1), whose
    covariance is the sample covariance: no F x F matrix is formed.
    """
    if labels is None:
        return Batch(_gaussian(train.x, n, rng))
    x = torch.empty(n, *train.x.shape[1:])
    for label in labels.unique():
        wished = labels == label
        x[wished] = _gaussian(train.x[train.condition == label], int(wished.sum()), rng)
    return Batch(x, labels)


def matched(sets: Sequence[Data], most: int) -> list[Batch]:
    """Equally many samples of every class from each set, class by class, about `most` at most.

    Where class shares differ by chance, a Frechet distance measures the shares: two random subsets
    of the digits are then twice as far apart as two with equal shares.
    """
    members = [_by_class(data) for data in sets]
    counts = {label: min(len(m.get(label, ())) for m in members) for label in members[0]}
    total = sum(counts.values())
    if total > most:
        counts = {label: -(-count * most // total) for label, count in counts.items()}
    none = torch.arange(0)
    return [
        data.batch(torch.cat([none, *(_spaced(m.get(k, none), n) for k, n in counts.items())]))
        for data, m in zip(sets, members, strict=True)
    ]


def _ratio(fake: float, real: float) -> float:
    """`fake` relative to `real`; NaN where the real pictures show nothing to compare with."""
    return fake / real if real else math.nan


def _by_class(data: Data) -> dict[int, Tensor]:
    """The indices (n,) of each class, in order of the labels; all under 0 without labels."""
    indices = torch.arange(len(data))
    runs = [data.batch(run).condition for run in indices.split(CHUNK)]
    if not runs or runs[0] is None:
        return {0: indices}
    labels = torch.cat(runs)
    return {label: indices[labels == label] for label in labels.unique().tolist()}


def _spaced(indices: Tensor, n: int) -> Tensor:
    """`n` of the indices, evenly spaced."""
    return indices[torch.arange(n) * len(indices) // max(1, n)]


def _gaussian(x: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """`n` draws (n, C, H, W) from the Gaussian with mean and covariance of `x` (T, C, H, W)."""
    centred = x.flatten(1) - x.flatten(1).mean(0)
    mixture = torch.randn(n, len(x), generator=rng) / max(1, len(x) - 1) ** 0.5
    return x.mean(0) + (mixture @ centred).unflatten(1, x.shape[1:])


def _stage(channels: int, wide: int, kernel: int, stride: int) -> nn.Module:
    """Convolution, normalisation over each picture, nonlinearity."""
    convolution = nn.Conv2d(channels, wide, kernel, stride, padding=1)
    return nn.Sequential(convolution, nn.GroupNorm(1, wide), nn.ReLU())


def _key(extractor: Extractor, train: Data) -> str:
    """24 hex digits of all that decides the weights."""
    made_of = [train.fingerprint, str(extractor), STEPS, BATCH, LR, SMOOTHING, EXTRACTOR_VERSION]
    return hashlib.blake2b(json.dumps(made_of).encode(), digest_size=12).hexdigest()


def _train(extractor: Extractor, train: Data, rng: torch.Generator) -> None:
    """Fit the classifier to the training split."""

    def batches(rng: torch.Generator) -> Batch:
        return train.batch(torch.randint(len(train), (BATCH,), generator=rng))

    def loss(model: Extractor, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch.x), batch.condition, label_smoothing=SMOOTHING)

    fit(extractor, loss, batches, STEPS, LR, rng)


@torch.no_grad()
def _in_chunks(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`function` applied to runs of CHUNK pictures, concatenated."""
    return torch.cat([function(chunk) for chunk in x.split(CHUNK)])


def _store(extractor: Extractor, file: Path) -> None:
    """Keep the weights; readers never see half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, save(extractor.state_dict()))
