"""What pictures are seen through: a network that turns each into a vector of features.

Every extractor has `features(x) -> (B, F)` for pictures (B, C, H, W) in [-1, 1], its `width` F, and
a line `told` that names it. Nothing is downloaded: the two of our own are made here, any other is a
TorchScript file of the user's.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.fitting import build_with_seed, fit
from multigan.core.protocols import Batch, Dataset
from multigan.core.rng import keyed_rng
from multigan.image.metrics.balanced_subsets import CHUNK, class_balanced_subsets
from multigan.image.spec import to_uint8
from multigan.storage.files import write_atomically

FEATURES = 32  # width of our own networks' penultimate layer; sets must be larger
FIRST_WIDTH, LAST_WIDTH = 16, 64  # channels of the extractor's stages
POOLED = 4  # H and W of its last stage
STEPS, BATCH, LR, SMOOTHING = 400, 64, 2e-3, 0.1  # of the classifier
EXTRACTOR_VERSION = 1  # raise it when the same network would be trained otherwise
STANDARDISED = 10_000  # training pictures that the scale of the features is taken from, at most
AUTO, CLASSIFIER, RANDOM = "auto", "classifier", "random"  # what an extractor can be asked for


class Extractor(nn.Module):
    """A small convolutional network for pictures (B, C, H, W) of one size.

    `features` are standardised: over the training split each has mean 0 and sd 1, so that distances
    compare between data sets. Without classes there are no logits. The weights begin as drawn from
    `seed`, which is kept to be told.
    """

    centre: Tensor
    scale: Tensor
    width = FEATURES

    def __init__(self, channels: int, height: int, width: int, classes: int, seed: int = 0) -> None:
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
        self.head = nn.Linear(FEATURES, classes) if classes else None
        self.register_buffer("centre", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))

    @property
    def told(self) -> str:
        """What this is, for a person."""
        if self.head is None:
            return f"an untrained convolutional network with the fixed weights of seed {self.seed}"
        return "a classifier of the training split"

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


class PerChannelExtractor(nn.Module):
    """A grey picture's extractor, applied to every channel of a stack of grey pictures."""

    def __init__(self, layer: Extractor, channels: int) -> None:
        super().__init__()
        self.layer, self.channels = layer, channels
        self.width = channels * layer.width

    @property
    def told(self) -> str:
        """What this is, for a person."""
        return f"{self.layer.told}, applied to each of {self.channels} channels"

    def features(self, x: Tensor) -> Tensor:
        """The channels' features one after the other: (B, C, H, W) -> (B, C FEATURES)."""
        return self.layer.features(x.flatten(0, 1)[:, None]).unflatten(0, x.shape[:2]).flatten(1)

    def classes(self, x: Tensor) -> Tensor:
        """The class of every channel: (B, C, H, W) -> (B, C) int64."""
        return self.layer(x.flatten(0, 1)[:, None]).argmax(1).unflatten(0, x.shape[:2])


class TorchScriptExtractor(nn.Module):
    """A network of the user's: a TorchScript file that takes colour pictures as bytes.

    It is given uint8 (B, 3, H, W), grey repeated three times, at the size of the pictures, and
    returns (B, F) or (B, F, 1, 1); a forward with an argument `return_features` is asked for them.
    That is how the Inception network of published FIDs is passed on; it resizes by itself.
    Raises ValueError for what is no such file.
    """

    def __init__(self, file: Path, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.body = _read_script(file)
        names = [argument.name for argument in self.body.forward.schema.arguments]
        self.wishes = {"return_features": True} if "return_features" in names else {}
        digest = hashlib.blake2b(file.read_bytes(), digest_size=4).hexdigest()
        self.width = self.features(torch.zeros(2, *shape)).shape[1]
        self.told = f"the TorchScript file {file.name} ({digest}), pictures given as RGB bytes"

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, F). Raises ValueError if the network answers otherwise."""
        pixels = to_uint8(x).expand(-1, 3, -1, -1)
        try:
            found = self.body(pixels, **self.wishes)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(
                f"the extractor refuses {tuple(pixels.shape)} bytes: {reason}"
            ) from None
        if not isinstance(found, Tensor) or found.flatten(1).shape[0] != len(x):
            raise ValueError(f"the extractor returns no features (B, F) but {type(found).__name__}")
        return found.flatten(1).float()


def get_extractor(
    wish: str, train: Dataset, shape: tuple[int, int, int], classes: int, cache: Path
) -> Extractor | TorchScriptExtractor:
    """The extractor that `wish` names: auto, classifier, random, random:SEED, or a file.

    auto is the classifier of the training split where that has classes, else the random network.
    Raises ValueError for another wish, or a classifier of pictures without classes.
    """
    if wish == CLASSIFIER and not classes:
        raise ValueError("extractor classifier: these pictures have no classes to train one on")
    if wish in (AUTO, CLASSIFIER):
        return extractor_for(train, shape, classes, cache)
    kind, _, seed = wish.partition(":")
    if kind == RANDOM and (seed.isdecimal() or wish == RANDOM):
        return extractor_for(train, shape, 0, cache, int(seed or 0))
    file = Path(wish)
    if not file.is_file():
        raise ValueError(
            f"no extractor {wish!r}; known: auto, classifier, random, random:SEED, a file"
        )
    return TorchScriptExtractor(file, shape)


def extractor_for(
    train: Dataset, shape: tuple[int, int, int], classes: int, cache: Path, seed: int = 0
) -> Extractor:
    """The extractor of a training split of (C, H, W) pictures, from `cache` or made and kept there.

    Without classes it stays untrained, with the weights of `seed`. It depends on these and on the
    split's bytes only, never on the caller's random state. A file that cannot be read is replaced.
    """
    rng = keyed_rng("image extractor", *([seed] if seed else []))
    extractor = build_with_seed(lambda: Extractor(*shape, classes, seed), rng)
    file = cache / f"image-extractor-{_key(extractor, train, seed)}.safetensors"
    try:
        extractor.load_state_dict(load_file(file))
    except (FileNotFoundError, SafetensorError):
        if classes:
            _train(extractor, train, rng)
        extractor.standardise(class_balanced_subsets([train], STANDARDISED)[0].x)
        _store(extractor, file)
    return extractor.eval()


def _read_script(file: Path) -> Any:
    """The network of a TorchScript file, on the CPU, in eval mode."""
    try:
        with warnings.catch_warnings():  # torch would rather have its own newer format
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(file), map_location="cpu").eval()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{file} is no TorchScript file: {reason}") from None


def _stage(channels: int, wide: int, kernel: int, stride: int) -> nn.Module:
    """Convolution, normalisation over each picture, nonlinearity."""
    convolution = nn.Conv2d(channels, wide, kernel, stride, padding=1)
    return nn.Sequential(convolution, nn.GroupNorm(1, wide), nn.ReLU())


def _key(extractor: Extractor, train: Dataset, seed: int) -> str:
    """24 hex digits of all that decides the weights."""
    made_of = [train.fingerprint, str(extractor), STEPS, BATCH, LR, SMOOTHING, EXTRACTOR_VERSION]
    content = json.dumps([*made_of, *([seed] if seed else [])])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def _train(extractor: Extractor, train: Dataset, rng: torch.Generator) -> None:
    """Fit the classifier to the training split."""

    def batches(rng: torch.Generator) -> Batch:
        return train.batch(torch.randint(len(train), (BATCH,), generator=rng))

    def loss(model: Extractor, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch.x), batch.condition, label_smoothing=SMOOTHING)

    fit(extractor, loss, batches, STEPS, LR, rng)


def _store(extractor: Extractor, file: Path) -> None:
    """Keep the weights; readers never see half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, save(extractor.state_dict()))
