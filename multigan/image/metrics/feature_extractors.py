"""Feature extractors for image metrics.

Every extractor has `features(x) -> (B, F)` for images (B, C, H, W) in [-1, 1], its `width` F and a
`description`. Nothing is downloaded: the built-in extractors are trained or initialized here, any
other is a TorchScript file of the user.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.evaluation_size import evaluation_iterations
from multigan.core.fingerprint import fingerprint
from multigan.core.fitting import build_with_seed, fit
from multigan.core.protocols import Batch, Dataset
from multigan.core.rng import keyed_rng
from multigan.image.metrics.balanced_subsets import CHUNK, class_balanced_indices
from multigan.image.spec import on_white, to_uint8
from multigan.storage.tensor_cache import load_network, store_tensors

FEATURES = 32  # width of the penultimate layer of built-in extractors; sets must be larger
FIRST_WIDTH, LAST_WIDTH = 16, 64  # channels of the extractor's stages
POOLED = 4  # H and W of its last stage
STEPS, BATCH, LR, SMOOTHING = 400, 64, 2e-3, 0.1  # of the classifier
CACHE_VERSION = 2  # raise it when training or the names of the tensors change
MAX_STANDARDIZATION_IMAGES = 10_000  # training images for the scale of the features
AUTO, CLASSIFIER, RANDOM = "auto", "classifier", "random"  # names of extractors


class Extractor(nn.Module):
    """A small convolutional network for images (B, C, H, W) of one size.

    Features are standardized to mean 0 and standard deviation 1 over the training split, so that
    distances are comparable between datasets. Without classes there are no logits. `seed` is that
    of the initial weights, for the description.
    """

    center: Tensor
    scale: Tensor
    width = FEATURES

    def __init__(
        self, channels: int, height: int, width: int, num_classes: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.seed = seed
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
        self.head = nn.Linear(FEATURES, num_classes) if num_classes else None
        self.register_buffer("center", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    @property
    def description(self) -> str:
        """A phrase for the notes of a table."""
        if self.head is None:
            return f"an untrained convolutional network with the fixed weights of seed {self.seed}"
        return "a classifier of the training split"

    def forward(self, x: Tensor) -> Tensor:
        """Return class logits (B, num_classes)."""
        assert self.head is not None
        return self.head(self.body(x).relu())

    def features(self, x: Tensor) -> Tensor:
        """Return standardized features (B, FEATURES), before the last nonlinearity."""
        return (self.body(x) - self.center) / self.scale

    @torch.no_grad()
    def fit_standardization(self, chunks: Iterable[Tensor]) -> None:
        """Fit the mean and standard deviation of the features to images (B, C, H, W)."""
        raw = torch.cat([self.body(chunk) for chunk in chunks])
        self.center.copy_(raw.mean(0))
        self.scale.copy_(raw.std(0).clamp(min=1e-6))


class PerChannelExtractor(nn.Module):
    """An extractor of grayscale images, applied to every channel of a stack of such images."""

    def __init__(self, extractor: Extractor, channels: int) -> None:
        super().__init__()
        self.extractor, self.channels = extractor, channels
        self.width = channels * extractor.width

    @property
    def description(self) -> str:
        """A phrase for the notes of a table."""
        return f"{self.extractor.description}, applied to each of {self.channels} channels"

    def features(self, x: Tensor) -> Tensor:
        """Concatenate the features of the channels: (B, C, H, W) -> (B, C FEATURES)."""
        return (
            self.extractor.features(x.flatten(0, 1)[:, None]).unflatten(0, x.shape[:2]).flatten(1)
        )

    def predict_classes(self, x: Tensor) -> Tensor:
        """Classify every channel: (B, C, H, W) -> (B, C) int64."""
        return self.extractor(x.flatten(0, 1)[:, None]).argmax(1).unflatten(0, x.shape[:2])


class TorchScriptExtractor(nn.Module):
    """A TorchScript file of the user that takes color images as bytes.

    It receives uint8 (B, 3, H, W), grayscale repeated three times, at the size of the images, and
    returns (B, F) or (B, F, 1, 1). `return_features=True` is passed to a forward with this
    argument. The Inception network of published FIDs is distributed in this form and resizes its
    input itself. Raises ValueError for any other file.
    """

    def __init__(self, file: Path, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.body = _read_script(file)
        names = [argument.name for argument in self.body.forward.schema.arguments]
        self.options = {"return_features": True} if "return_features" in names else {}
        digest = fingerprint((file.read_bytes(),), size=4)
        self.width = self.features(torch.zeros(2, *shape)).shape[1]
        self.description = f"the TorchScript file {file.name} ({digest}), images given as RGB bytes"

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, F). Raises ValueError for any other output of the network."""
        pixels = to_uint8(on_white(x)).expand(-1, 3, -1, -1)
        try:
            found = self.body(pixels, **self.options)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(
                f"the extractor fails on uint8 {tuple(pixels.shape)}: {reason}"
            ) from None
        if not isinstance(found, Tensor) or found.flatten(1).shape[0] != len(x):
            raise ValueError(
                f"the extractor must return features (B, F); got {type(found).__name__}"
            )
        return found.flatten(1).float()


def get_extractor(
    name: str, train: Dataset, shape: tuple[int, int, int], num_classes: int, cache: Path
) -> Extractor | TorchScriptExtractor:
    """Return the extractor called `name`: auto, classifier, random, random:SEED, or a file.

    auto is the classifier of the training split if that has classes, else the random network.
    Raises ValueError for another name, or a classifier of images without classes.
    """
    if name == CLASSIFIER and not num_classes:
        raise ValueError("extractor must not be classifier for images without classes; use random")
    if name in (AUTO, CLASSIFIER):
        return extractor_for(train, shape, num_classes, cache)
    kind, _, seed = name.partition(":")
    if kind == RANDOM and (seed.isdecimal() or name == RANDOM):
        return extractor_for(train, shape, 0, cache, int(seed or 0))
    file = Path(name)
    if not file.is_file():
        raise ValueError(
            f"extractor must be auto, classifier, random, random:SEED or a file; got {name!r}"
        )
    return TorchScriptExtractor(file, shape)


def extractor_for(
    train: Dataset, shape: tuple[int, int, int], num_classes: int, cache: Path, seed: int = 0
) -> Extractor:
    """Return the extractor of a training split of (C, H, W) images, from `cache` or stored there.

    Without classes it stays untrained, with the weights of `seed`. It depends on the arguments and
    the bytes of the split, never on the random state of the caller. A damaged file is
    replaced.
    """
    rng = keyed_rng("image extractor", *([seed] if seed else []))
    extractor = build_with_seed(lambda: Extractor(*shape, num_classes, seed), rng)
    file = cache / f"image-extractor-{_key(extractor, train, seed)}.safetensors"
    if load_network(file, extractor) is None:
        if num_classes:
            _train(extractor, train, rng)
        (chosen,) = class_balanced_indices([train], MAX_STANDARDIZATION_IMAGES)
        extractor.fit_standardization(train.batch(part).x for part in chosen.split(CHUNK))
        store_tensors(file, extractor.state_dict(), {})
    return extractor.eval()


def _read_script(file: Path) -> Any:
    """Read a TorchScript file, on the CPU, in eval mode."""
    try:
        with warnings.catch_warnings():  # torch recommends its newer format
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(file), map_location="cpu").eval()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{file} must be a TorchScript file; got: {reason}") from None


def _stage(channels: int, wide: int, kernel: int, stride: int) -> nn.Module:
    """Build a convolution, a normalization over each image and a nonlinearity."""
    convolution = nn.Conv2d(channels, wide, kernel, stride, padding=1)
    return nn.Sequential(convolution, nn.GroupNorm(1, wide), nn.ReLU())


def _key(extractor: Extractor, train: Dataset, seed: int) -> str:
    """Hash all that determines the weights to 24 hex digits."""
    steps = evaluation_iterations(STEPS)
    content_of = [train.fingerprint, str(extractor), steps, BATCH, LR, SMOOTHING, CACHE_VERSION]
    content = json.dumps([*content_of, *([seed] if seed else [])])
    return fingerprint((content,), size=12)


def _train(extractor: Extractor, train: Dataset, rng: torch.Generator) -> None:
    """Fit the classifier to the training split."""

    def batches(rng: torch.Generator) -> Batch:
        return train.batch(torch.randint(len(train), (BATCH,), generator=rng))

    def loss(model: Extractor, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch.x), batch.condition, label_smoothing=SMOOTHING)

    fit(extractor, loss, batches, evaluation_iterations(STEPS), LR, rng)
