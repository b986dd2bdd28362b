"""Protocols between a domain and the engine.

The shape legend of the whole project: B batch, Z latent, C channels, H W pixels, T time,
V vocabulary, P pitch, K tracks; "..." a domain's own axes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from multigan.core.argument_types import check_option_names
from multigan.core.data_counts import DataCounts
from multigan.core.progress import tracked
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.core.samples import Samples

Condition = Any  # a tree of tensors with leading axis B: tensor, dict, tuple, NamedTuple or None
Latent = Any  # likewise
Sample = Any  # a decoded sample: a PIL image, a string, a Song, a point
SAMPLING_BATCH_SIZE = 64  # samples of one random stream: sample k never depends on n


class Batch(NamedTuple):
    """Real data: `x` (B, ...) float, as D sees it, and the condition that belongs to it.

    Image in [-1, 1]; one-hot text (B, T, V); piano-roll (B, ...) in {0, 1}.
    """

    x: Tensor
    condition: Condition = None


@runtime_checkable
class Generator(Protocol):
    """Turn latents into samples in the space of `Batch.x`: an nn.Module and a component.

    Optional capabilities are the protocols below whose names begin with `Supports`.
    """

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """Draw `n` latents on the CPU; all randomness of sampling enters here."""
        ...

    def __call__(self, latent: Latent, condition: Condition = None) -> Tensor:
        """Samples (B, ...), differentiable in train(), hard in eval()."""
        ...


@runtime_checkable
class SupportsAnnealing(Protocol):
    """A generator or an augmentation with a value that depends on the progress of training.

    Called before each step, with the fraction of the run in [0, 1].
    """

    def anneal(self, progress: float) -> dict[str, float]:
        """Write the value into buffers, and return what to log."""
        ...


@runtime_checkable
class SupportsLikelihood(Protocol):
    """A generator with a likelihood: makes likelihood pretraining and held-out NLL possible."""

    def log_likelihood(self, batch: Batch) -> Tensor:
        """Log-likelihood (B,) of the real samples, in nats."""
        ...


@runtime_checkable
class SupportsPolicyGradient(Protocol):
    """A generator of discrete choices that are not relaxed: trained by policy gradient.

    Used where x, as made in train(), carries no gradient.
    """

    def policy_loss(
        self,
        x: Tensor,
        condition: Condition,
        costs: Tensor,
        weights: Tensor,
        total: Callable[[Tensor], Tensor],
        *,
        latent: Latent,
    ) -> Tensor:
        """Loss (B,) of the choices that made `x`, in place of the adversarial loss.

        costs (B, L) is what each logit of the discriminator costs the generator, weights (B, L)
        its weight; total(values (B, ...)) sums over the rows of the batch in all processes, without
        a graph; `latent` made `x`.
        """
        ...


@runtime_checkable
class SupportsInterpolation(Protocol):
    """A generator whose latents can be interpolated: makes `multigan interpolate` possible."""

    def interpolate(self, a: Latent, b: Latent, t: float) -> Latent:
        """The latents at fraction `t` of the path from `a` to `b`."""
        ...


@runtime_checkable
class SupportsConditionInterpolation(Protocol):
    """A conditional generator that can interpolate between two conditions."""

    def interpolate_condition(
        self, latent: Latent, start: Condition, end: Condition, t: float
    ) -> Tensor:
        """Samples (B, ...) at fraction `t` of the path from `start` to `end`."""
        ...


@runtime_checkable
class SupportsExampleCondition(Protocol):
    """A conditional generator that can be exported as a program.

    The tensors of the example become inputs of the program, next to the latents.
    """

    def example_condition(self, n: int) -> Condition:
        """The smallest condition of `n` samples that the generator accepts."""
        ...


@runtime_checkable
class SupportsPregeneration(Protocol):
    """A generator whose samples may be made ahead: the fakes of several updates in one pass.

    `is_batch_independent` is True where the samples of a batch never interact and the forward pass
    draws nothing itself.
    """

    is_batch_independent: bool


@runtime_checkable
class Discriminator(Protocol):
    """Score samples, higher for more real: an nn.Module and a component."""

    # True (batch norm, minibatch stddev, packing): separate forward passes for real and fake
    # samples, and no input-gradient penalties.
    uses_batch_statistics: bool

    def __call__(self, x: Tensor, condition: Condition = None) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, ...), or (logits, weights) with weight 0 at dead positions.

        The last map, to logits, goes through `in_float32`: losses compare small differences.
        """
        ...


@runtime_checkable
class SupportsFeatures(Protocol):
    """A discriminator with features: the diversity of samples is measured on them."""

    def features(self, x: Tensor, condition: Condition = None) -> Tensor:
        """Features (B, F) of the samples."""
        ...


@runtime_checkable
class SupportsEmbeddingPenalty(Protocol):
    """A discriminator whose gradient penalties are taken at e = embed(x).

    `embed` is one of two things: a linear map, with the norm of the gradient at x, which then need
    not be formed; or a transcription of x without parameters, with the plain norm of the gradient
    at its result.
    """

    def embed(self, x: Tensor) -> Tensor:
        """The embedding of the samples."""
        ...

    def score(self, e: Tensor, condition: Condition = None) -> Tensor | tuple[Tensor, Tensor]:
        """Logits, or (logits, weights), of embedded samples."""
        ...

    def squared_input_norm(self, grad_e: Tensor) -> Tensor:
        """Squared norm (B,) of the input gradient, from the gradient at the embedding."""
        ...


@runtime_checkable
class Refiner(Protocol):
    """A network that judges the samples of one generator: an nn.Module and a component.

    Its logit is the logarithm of the density of real samples over that of the generator's, up to a
    constant.
    """

    learning_rate: float  # that it is trained with

    def observe(self, x: Tensor, condition: Condition = None) -> Any:
        """The observation of samples: a tree of tensors (B, ...) on the device of `x`.

        `x` is as in a batch, or compact. Nothing here is trained.
        """
        ...

    def __call__(self, observed: Any, generator: Generator) -> Tensor:
        """Logits (B,) of what was observed; the generator is not trained."""
        ...


@runtime_checkable
class Dataset(Protocol):
    """A set of real samples: a component whose arguments are JSON.

    Every dataset answers on the device of `indices`; one in memory keeps its tensors there, any
    other is read by several processes where that is asked for. A dataset that draws (crops,
    transpositions) is stochastic: it is asked for one sample at a time, each with its own rng keyed
    by (seed, epoch, index).
    """

    domain: Domain
    in_memory: bool
    is_stochastic: bool
    fingerprint: str  # of this split's bytes: resume and evaluate refuse a changed dataset

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The samples at `indices` (B,): same indices and rng, same batch."""
        ...

    def split(self, name: str) -> Dataset:
        """The split "train", "valid" or "test": deterministic, disjoint."""
        ...


@runtime_checkable
class SupportsPrefetch(Protocol):
    """A dataset on disk that can read samples ahead of their use."""

    def prefetch(self, indices: Tensor) -> None:
        """Begin to read the samples at `indices` (B,), without waiting for them."""
        ...


@runtime_checkable
class HasClassNames(Protocol):
    """A domain whose samples have classes: the name of each label, () without labels."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names, in the order of the labels."""
        ...


@runtime_checkable
class SupportsKeyedBatches(Protocol):
    """A stochastic dataset that draws many samples in one call, each with an rng of its own."""

    def keyed_batch(self, indices: Tensor, rngs: Sequence[torch.Generator]) -> Batch:
        """The samples at `indices` (B,): those of `batch` with one index and its rng each."""
        ...


@runtime_checkable
class HasLabels(Protocol):
    """A dataset whose labels are known without reading its samples."""

    labels: Tensor | None  # (N,) int64, the condition of every sample; None without labels


@runtime_checkable
class SupportsDataCounts(Protocol):
    """A dataset that counts what its reader used, changed and left out."""

    def data_counts(self) -> DataCounts | None:
        """The counts of the whole source, for the start of a training and the report."""
        ...


@runtime_checkable
class HasSplitName(Protocol):
    """A dataset that may hold all splits at once: a recipe trains on its training split."""

    split_name: str  # "all", "train", "valid" or "test"

    def split(self, name: str) -> Dataset:
        """The split "train", "valid" or "test" of all samples."""
        ...


class Medium(NamedTuple):
    """One medium of samples on a page: `type` is a MIME type, `content` its bytes."""

    type: str  # image/png, text/plain, application/json;profile=piano-roll, ...
    content: bytes


@runtime_checkable
class Domain(Protocol):
    """The meaning of one sample: a frozen dataclass that survives JSON."""

    # A lower-is-better metric: it selects the best checkpoint and decides early stopping.
    selection_metric: str

    def sample(
        self, generator: Generator, n: int, rng: torch.Generator, **options: Any
    ) -> list[Sample]:
        """Draw `n` samples. Its keyword-only parameters are the options of `multigan sample`.

        A domain that distributes something in turn (classes) has a fourth parameter,
        `first: int = 0`: the index of the first of these samples among all requested ones.
        """
        ...

    def decode(self, x: Tensor) -> list[Sample]:
        """Turn (B, ...) into samples that a person can use; clamps the range."""
        ...

    def preview(self, samples: list[Sample], path: Path, columns: int | None = None) -> list[Path]:
        """Write an overview of the samples (`path` has no suffix); return the files.

        `columns` samples stand side by side; None leaves the arrangement to the domain.
        """
        ...

    def write(self, samples: list[Sample], folder: Path) -> list[Path]:
        """Write one file per sample, 000000.png ...; return the files.

        Keyword-only parameters of a domain's own are options of `multigan sample`.
        """
        ...

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Compare `sampler` with `data`, a held-out split, with floors and counts.

        Raises EvaluationSkipped for data that the metrics cannot judge (too few samples).
        """
        ...


@runtime_checkable
class SupportsRefiner(Protocol):
    """A domain with a refiner of its own; others refine with the discriminator of the run."""

    def build_refiner(self, generator: Generator, data: Dataset) -> Refiner:
        """A new refiner of a generator, for the training split `data`."""
        ...


@runtime_checkable
class SupportsRefinerEpochs(Protocol):
    """A domain that states how long a discriminator is trained against a finished generator."""

    refiner_epochs: int  # unless the user states it; 0: only the scale of the logit is fitted


@runtime_checkable
class SupportsLikelihoodUnits(Protocol):
    """A domain that states likelihoods in nats per unit too: token, character."""

    def likelihood_units(self, data: Dataset) -> Mapping[str, float]:
        """The mean number of each unit in a sample of `data`."""
        ...


@runtime_checkable
class SupportsMedia(Protocol):
    """A domain with media of its own for pages; others show what `preview` writes."""

    def media(self, samples: list[Sample]) -> list[Medium]:
        """One medium of each sample, or one of them all."""
        ...


@runtime_checkable
class SupportsOptionChoices(Protocol):
    """A domain whose sampling options have a closed set of values; other options are free."""

    def option_choices(self) -> Mapping[str, Sequence[str]]:
        """Values by option; an option without a value to choose is not offered."""
        ...


@runtime_checkable
class SupportsWeightsOf(Protocol):
    """A domain where equal shapes of weights do not mean equal meanings: `--init-from` asks it."""

    def check_weights_of(self, other: Any) -> None:
        """Raise ValueError, after "SOURCE: ", if weights of `other`, of this type, do not fit."""


@runtime_checkable
class SupportsConditionOptions(Protocol):
    """A domain that names the options which make a condition.

    `multigan interpolate` can interpolate between two of these; without the names, between all.
    """

    condition_options: tuple[str, ...]


@runtime_checkable
class SupportsAssets(Protocol):
    """A domain with files that other programs can open (a tokenizer)."""

    def save_assets(self, folder: Path) -> None:
        """Write them next to recipe.json when a run begins."""
        ...


@runtime_checkable
class SupportsReadSamples(Protocol):
    """A domain that reads back what `write` wrote: `multigan doctor` compares both."""

    def read_samples(self, folder: Path) -> list[Sample]:
        """The samples in order, equal to those written."""
        ...


@runtime_checkable
class SupportsAnimation(Protocol):
    """A domain whose samples can be animated."""

    def animate(self, frames: list[list[Sample]], path: Path) -> list[Path]:
        """Write one animation; `frames` holds the samples of each moment."""
        ...


Augment = Callable[[Tensor, Condition, torch.Generator], tuple[Tensor, Condition]]
"""An augmentation in front of the discriminator: twice differentiable; moves observed cells along.

It may implement SupportsAnnealing or SupportsAdaptation.
"""


@runtime_checkable
class SupportsAdaptation(Protocol):
    """An augmentation whose probability follows the discriminator (ADA).

    Called after the discriminator's updates of a step.
    """

    def update_probability(self, sign: Tensor, samples: int) -> dict[str, float]:
        """Adapt to `sign`, and return what to log.

        sign (0-dim, on the device) is the mean of +1 for each real sample that the discriminator
        takes for real and -1 for each other; `samples` is their number.
        """
        ...

    def state(self) -> Any:
        """The state of the adaptation, as JSON."""
        ...

    def restore(self, state: Any) -> None:
        """Bring a state back."""
        ...


@dataclass(frozen=True)
class Sampler:
    """A trained generator and the domain that decodes it; `defaults` are options of sampling."""

    domain: Domain
    generator: Generator
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def sample(self, n: int = 16, seed: int = 0, **options: Any) -> Samples:
        """Return `n` samples; sample k depends only on the weights, the seed and the options.

        A notebook shows them. Raises ValueError unless n is an integer, 0 or more, for an option
        that the domain does not have, and for a value that it refuses.
        """
        if not hasattr(n, "__index__") or n < 0:
            raise ValueError(f"n must be a number of samples, 0 or more; got {n}")
        check_option_names(self.domain.sample, options)
        samples: list[Sample] = []
        has_first = "first" in inspect.signature(self.domain.sample).parameters
        chunks = range(math.ceil(n / SAMPLING_BATCH_SIZE))
        for chunk in tracked(chunks, n, "samples drawn", SAMPLING_BATCH_SIZE):
            rng = keyed_rng(seed, "sample", chunk)
            first = [chunk * SAMPLING_BATCH_SIZE] if has_first else []
            samples += self.domain.sample(
                self.generator, SAMPLING_BATCH_SIZE, rng, *first, **{**self.defaults, **options}
            )
        return Samples(samples[:n], self.domain)


class EvaluationSkipped(ValueError):
    """Raised by `Domain.evaluate` for data that its metrics cannot judge; training continues."""
