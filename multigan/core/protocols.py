"""What a domain gives the engine, and the few helpers that both sides share.

The shape legend of the whole project: B batch, Z latent, C channels, H W pixels, T time,
V vocabulary, P pitch, K tracks; "..." a domain's own axes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from multigan.core.results_table import Table
from multigan.core.rng import keyed_rng

Condition = Any  # a tree of tensors with leading axis B: tensor, dict, tuple, NamedTuple or None
Latent = Any  # likewise
Sample = Any  # what a person gets: a PIL image, a string, a Song, a point
SAMPLING_CHUNK = 64  # samples drawn together from one key: sample k never depends on n


class Batch(NamedTuple):
    """Real data: `x` (B, ...) float, as D sees it, and the condition that belongs to it.

    Image in [-1, 1]; one-hot text (B, T, V); piano-roll (B, ...) in {0, 1}.
    """

    x: Tensor
    condition: Condition = None


@runtime_checkable
class Generator(Protocol):
    """An nn.Module and a Part that turns latents into samples in the space of `Batch.x`.

    Looked up once by the engine, and optional:
    `anneal(progress) -> dict[str, float]` writes buffers (a temperature) and returns what to log;
    `log_likelihood(batch) -> (B,)` in nats makes likelihood stages and held-out NLL possible;
    `policy_loss(x, condition, costs, weights, total) -> (B,)` is minimised instead of the game's
    loss where x, what it has just made in train(), carries no gradient (choices that cannot be
    relaxed): costs (B, L) are what each of D's logits costs the generator, weights (B, L) how they
    count; total(values (B, ...)) sums over the rows of the batch in all processes, without a graph;
    `interpolate(a, b, t) -> Latent` makes `multigan interpolate` possible;
    `morph(latent, start, end, t)`, samples between two conditions, lets it walk between those;
    `example_condition(n) -> Condition` is one that it takes, with as little in it as there can be:
    its tensors become the inputs of an exported generator, beside the latents;
    `samples_apart = True` says that the samples of a batch never meet in it and that it draws
    nothing itself: the fakes of several updates of D are then made in one pass.
    """

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """Draw `n` latents on the CPU; all randomness of sampling enters here."""
        ...

    def __call__(self, latent: Latent, condition: Condition = None) -> Tensor:
        """Samples (B, ...), differentiable in train(), hard in eval()."""
        ...


@runtime_checkable
class Discriminator(Protocol):
    """An nn.Module and a Part that scores samples: higher means more real, everywhere.

    Optional: `features(x, condition) -> (B, F)` for the collapse check; and the trio `embed(x)`,
    `score(e, condition)` and `squared_input_norm(grad_e) -> (B,)`, with which penalties are taken
    at e = embed(x). It is one of two things: a linear map, and the norm is that of the slope at x,
    which then need not be formed; or a reading of x without parameters (what sounds, for what is
    written), and the norm is the plain one of the slope at what is read.
    """

    couples_batch: bool  # True (batch norm, minibatch stddev, packing): separate forwards, no
    # input-gradient penalties

    def __call__(self, x: Tensor, condition: Condition = None) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, ...), or (logits, weights) with weight 0 at dead positions.

        The last map, to logits, goes through `in_float32`: losses compare small differences.
        """
        ...


@runtime_checkable
class Data(Protocol):
    """A set of real samples: a Part whose arguments are JSON.

    An in-memory set answers on the device of `indices` and keeps its tensors there. A set that
    draws (crops, transpositions) says `draws = True`; it is then asked for one sample at a time,
    each with its own rng keyed by (seed, epoch, index).
    """

    domain: Domain
    in_memory: bool
    draws: bool
    fingerprint: str  # of this split's bytes: a changed set is refused by resume and evaluate

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The samples at `indices` (B,): same indices and rng, same batch."""
        ...

    def split(self, name: str) -> Data:
        """The part called "train", "valid" or "test": deterministic, disjoint."""
        ...


class Medium(NamedTuple):
    """What a page shows of samples: `type` is a MIME type and says how `content` is shown."""

    type: str  # image/png, text/plain, application/json;profile=piano-roll, ...
    content: bytes


class Domain(Protocol):
    """What one sample is: a frozen dataclass that survives JSON.

    Optional: `media(samples) -> list[Medium]`, what a page shows of samples: one medium of each,
    or one of them all. A page falls back to `preview` (multigan/core/media.py).
    Optional: `choices() -> Mapping[str, Sequence[str]]`, by the name of a wish what it may be; one
    with nothing to choose from is not offered. Other wishes are free.
    Optional: `conditions`, the names of the wishes that make the condition of a generator: between
    two of these `multigan interpolate` can walk. Without it, between all.
    Optional: `unpack(folder)`, which writes what other programs can open of it (a tokenizer, say)
    beside recipe.json when a run begins.
    """

    selection: str  # a lower-is-better metric: the best checkpoint and early stopping go by it

    def sample(self, generator: Generator, n: int, rng: torch.Generator, **wishes) -> list[Sample]:
        """Draw `n` samples. Its keyword-only parameters ARE the options of `multigan sample`.

        One that deals something out in turn (classes) has a fourth parameter, `first: int = 0`: the
        number of the first of these samples among all that are asked for.
        """
        ...

    def decode(self, x: Tensor) -> list[Sample]:
        """Turn (B, ...) into what a person gets; clamps the range."""
        ...

    def preview(self, samples: list[Sample], path: Path, columns: int | None = None) -> list[Path]:
        """Write what a person looks at (`path` has no suffix); return the files.

        `columns` samples stand side by side; None leaves the arrangement to the domain.
        """
        ...

    def write(self, samples: list[Sample], folder: Path) -> list[Path]:
        """Write one file per sample, 000000.png ...; return the files.

        Optional beside it: `read_samples(folder) -> list[Sample]`, the samples that `write` wrote
        there, in order, equal to what they were: `multigan doctor` compares them. And, for what can
        be seen moving: `animate(frames, path) -> list[Path]` writes one moving picture of `frames`,
        a list of samples for each moment.
        """
        ...

    def evaluate(self, sampler: Sampler, data: Data, rng: torch.Generator, cache: Path) -> Table:
        """Measure `sampler` against `data`, a held-out split, with floors and counts.

        Raises Unmeasurable for data that the metrics cannot judge (too few samples, say).
        """
        ...


Augment = Callable[[Tensor, Condition, torch.Generator], tuple[Tensor, Condition]]
"""In front of D; twice differentiable; moves known cells along.

Optional, called before each step: `anneal(progress) -> dict[str, float]`, a pure function of the
share of the run (a chance that grows), which returns what to log. Or, called after D's updates of a
step, `adapt(sign, samples) -> dict[str, float]`: sign (0-dim, on the device) is the mean of +1 for
each real sample on D's real side and -1 for each other, samples how many they were; what it
remembers goes through `state()` and `restore(state)`, as JSON.
"""


@dataclass(frozen=True)
class Sampler:
    """A trained generator and the domain that decodes it."""

    domain: Domain
    generator: Generator

    def sample(self, n: int = 16, seed: int = 0, **wishes) -> list[Sample]:
        """Return `n` samples; sample k depends on the weights, the seed and the wishes only.

        Raises ValueError if n is negative, or for a wish that the domain does not know.
        """
        if n < 0:
            raise ValueError(f"n is {n}; wanted a number of samples, 0 or more")
        samples: list[Sample] = []
        deals = "first" in inspect.signature(self.domain.sample).parameters
        for chunk in range(math.ceil(n / SAMPLING_CHUNK)):
            rng = keyed_rng(seed, "sample", chunk)
            first = [chunk * SAMPLING_CHUNK] if deals else []
            samples += self.domain.sample(self.generator, SAMPLING_CHUNK, rng, *first, **wishes)
        return samples[:n]


class Unmeasurable(ValueError):
    """What `Domain.evaluate` raises for data that its metrics cannot judge: training goes on."""
