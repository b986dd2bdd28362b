"""Streams of real batches, batches of fakes, and the random generators of one step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils import data as torch_data

from multigan.core.compact_samples import (
    SupportsCompactBatches,
    SupportsCompactFakes,
    SupportsCompactInput,
)
from multigan.core.protocols import (
    Batch,
    Condition,
    Dataset,
    Generator,
    Latent,
    SupportsKeyedBatches,
    SupportsPrefetch,
    SupportsPregeneration,
)
from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat, tree_map
from multigan.engine.distributed import DistributedContext
from multigan.engine.gradient_penalties import get_penalty


class StepRandomness:
    """Random streams that are functions of (seed, purpose, step, phase, micro-batch)."""

    def __init__(self, seed: int, device: torch.device, processes: DistributedContext) -> None:
        self.seed, self.device, self.processes = seed, device, processes

    def rng(self, purpose: str, step: int, phase: str, micro: int) -> torch.Generator:
        """Return the same stream in every process."""
        return keyed_rng(self.seed, purpose, step, phase, micro)

    def latent(self, generator: Generator, n: int, step: int, phase: str, micro: int) -> Latent:
        """Return this process's `n` latents, on the device."""
        rng = self.rng("latent", step, phase, micro)
        latents = generator.sample_latent(n * self.processes.world_size, rng)
        return tree_map(lambda leaf: leaf.to(self.device), self.processes.local_shard(latents))


class FakeBatches:
    """Fakes of a generator, compiled if asked for, for the updates of both networks.

    Those of the discriminator's updates `is_compact` where all that reads them allows it.
    """

    def __init__(
        self,
        generator: Generator,
        recipe: Recipe,
        randomness: StepRandomness,
        compile: bool = False,
    ) -> None:
        self.generator = cast(Any, generator)
        self.randomness = randomness
        self._generate: Callable[..., Tensor] = torch.compile(generator) if compile else generator
        self.is_compact = reads_compact(recipe) and not compile
        self._for_discriminator = self.generator.generate if self.is_compact else self._generate
        independent = (
            isinstance(generator, SupportsPregeneration) and generator.is_batch_independent
        )
        self.pregenerates = (
            independent
            and recipe.discriminator_steps > 1
            and recipe.gradient_accumulation_steps == 1
        )

    def sample(self, n: int, condition: Condition, step: int, phase: str, micro: int) -> Tensor:
        """Generate `n` fakes (n, ...): with a graph for an update of the generator."""
        make = self._generate if torch.is_grad_enabled() else self._for_discriminator
        return make(self.latent(n, step, phase, micro), condition)

    def expand(self, x: Tensor) -> Tensor:
        """Return samples of the discriminator's updates as the generator makes them."""
        return cast(Tensor, self.generator.expand(x)) if self.is_compact else x

    def pregenerate(self, reals: Sequence[Batch], step: int) -> Sequence[Tensor | None]:
        """Generate the fakes of all discriminator updates in one pass; None each if not allowed."""
        if not self.pregenerates:
            return [None] * len(reals)
        counts = [len(real.x) for real in reals]
        latents = [self.latent(n, step, phase_name(k), 0) for k, n in enumerate(counts)]
        condition = tree_cat([real.condition for real in reals])
        fakes = self._for_discriminator(tree_cat(latents), condition)
        parts: Sequence[Tensor] = fakes.split(counts)
        return parts

    def latent(self, n: int, step: int, phase: str, micro: int) -> Latent:
        """Return the latents (n, ...) of a batch of fakes: a function of its key."""
        return self.randomness.latent(self.generator, n, step, phase, micro)


def phase_name(update: int) -> str:
    """Return the phase of a discriminator update in its step: a key of its random streams."""
    return f"discriminator {update}"


def micro_batches(batch: Batch, n: int) -> Iterator[Batch]:
    """Split a batch into `n` parts, in order."""
    for k in range(n):
        yield tree_map(lambda leaf, k=k: leaf.tensor_split(n)[k], batch)


class BatchStream:
    """Real batches of one process; `batch_size` counts all processes together.

    Each of several processes has its share of every one of the `micro_batches`, concatenated. A
    dataset that does not draw is indexed on the device, and reads the next batch ahead if it can
    prefetch. One that draws, or is not in memory with `num_workers` processes, goes through torch's
    DataLoader, in the same order.

    Raises ValueError for an empty dataset or a batch size that the processes cannot share.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        seed: int,
        batch_size: int,
        device: str | torch.device = "cpu",
        rank: int = 0,
        world_size: int = 1,
        num_workers: int = 0,
        micro_batches: int = 1,
    ) -> None:
        if len(data) == 0:
            raise ValueError("the dataset must have at least one sample; got none")
        parts = world_size * (micro_batches if world_size > 1 else 1)
        if batch_size < 1 or batch_size % parts:
            times = f" times {micro_batches} micro-batches" if parts > world_size else ""
            raise ValueError(
                f"batch_size must be a positive multiple of {parts}, the number of "
                f"processes{times}; got {batch_size}"
            )
        self.data, self.seed, self.batch_size = data, seed, batch_size
        self.device, self.num_workers = torch.device(device), num_workers
        self._share = batch_size // parts
        self._starts = [first * self._share for first in range(rank, parts, world_size)]
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def epochs(self, batches: int) -> float:
        """Return the passes through the dataset after so many batches."""
        return batches * self.batch_size / len(self.data)

    def sample_indices(self, number: int) -> tuple[list[int], Tensor]:
        """Return epochs and indices (share,) of this process's samples of batch `number`."""
        epochs: list[int] = []
        parts: list[Tensor] = []
        for start in self._starts:
            first, end = number * self.batch_size + start, len(epochs) + self._share
            while len(epochs) < end:
                left = end - len(epochs)
                epoch, offset = divmod(first + self._share - left, len(self.data))
                part = self._permutation(epoch)[offset : offset + left]
                epochs += [epoch] * len(part)
                parts.append(part)
        return epochs, torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            rng = keyed_rng(self.seed, "epoch", epoch)
            self._epoch, self._order = epoch, torch.randperm(len(self.data), generator=rng)
        return self._order

    def batches(self, start: int = 0) -> Iterator[Batch]:
        """Yield batch `start` and all that follow it, on the device."""
        by_workers = self.num_workers > 0 and not self.data.in_memory
        in_order = self._loaded if self.data.is_stochastic or by_workers else self._indexed
        return in_order(start)

    def _indexed(self, number: int) -> Iterator[Batch]:
        if isinstance(self.data, SupportsPrefetch):
            yield from self._prefetched(self.data.prefetch, number)
        while True:
            yield self.data.batch(self.sample_indices(number)[1].to(self.device))
            number += 1

    def _prefetched(self, prefetch: Callable[[Tensor], None], number: int) -> Iterator[Batch]:
        indices = self.sample_indices(number)[1]
        while True:
            number += 1
            following = self.sample_indices(number)[1]
            prefetch(following)
            yield self.data.batch(indices.to(self.device))
            indices = following

    def _loaded(self, start: int) -> Iterator[Batch]:
        with warnings.catch_warnings():  # of more workers than CPUs: their number is the caller's
            warnings.filterwarnings("ignore", "This DataLoader will create")
            loader = torch_data.DataLoader(
                _Samples(self.data, self.seed),
                batch_sampler=self._batches_of_indices(start),
                num_workers=0 if self.data.in_memory else self.num_workers,
                collate_fn=tree_cat,
                generator=keyed_rng(self.seed, "workers"),  # else the global stream would advance
            )
            loaded = iter(loader)
        for batch in loaded:
            yield tree_map(lambda leaf: leaf.to(self.device), batch)

    def _batches_of_indices(self, number: int) -> Iterator[list[tuple[int, int]]]:
        while True:
            epochs, indices = self.sample_indices(number)
            yield list(zip(epochs, indices.tolist(), strict=True))
            number += 1


class _Samples(torch_data.Dataset[Batch]):
    """Samples, each a function of (seed, epoch, index) in any worker."""

    def __init__(self, data: Dataset, seed: int) -> None:
        self.data, self.seed = data, seed

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        rng = keyed_rng(self.seed, "sample", epoch, index) if self.data.is_stochastic else None
        return self.data.batch(torch.tensor([index]), rng)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[Batch]:
        """Return the samples of a batch; in one piece where the dataset can."""
        if not (isinstance(self.data, SupportsKeyedBatches) and self.data.is_stochastic):
            return [self[key] for key in keys]
        rngs = [keyed_rng(self.seed, "sample", *key) for key in keys]
        return [self.data.keyed_batch(torch.tensor([index for _, index in keys]), rngs)]


def compacted(data: Dataset) -> Dataset:
    """Return the dataset with compact samples if it has them, else itself."""
    return data.compact() if isinstance(data, SupportsCompactBatches) else data


def reads_compact(recipe: Recipe) -> bool:
    """Check that the updates of the discriminator can take compact samples.

    All that reads a sample must be able to: no penalty between samples, no augmentation, and no
    term of the recipe's own.
    """
    generator, discriminator = recipe.generator, recipe.discriminator
    ends = ("real", "fake")
    return (
        isinstance(recipe.data, SupportsCompactBatches)
        and isinstance(generator, SupportsCompactFakes)
        and generator.is_hard
        and isinstance(discriminator, SupportsCompactInput)
        and discriminator.embeds_compact
        and all(get_penalty(k).at in ends for k, gamma in recipe.penalties.items() if gamma != 0)
        and recipe.augment is None
        and not recipe.losses
    )


def make_batch_stream(
    recipe: Recipe,
    seed: int,
    device: torch.device,
    num_workers: int,
    processes: DistributedContext,
    compact: bool = False,
) -> BatchStream:
    """Return the real batches of a recipe, for one of its processes."""
    return BatchStream(
        compacted(recipe.data) if compact else recipe.data,
        seed=seed,
        batch_size=recipe.batch_size,
        device=device,
        rank=processes.rank,
        world_size=processes.world_size,
        num_workers=num_workers,
        micro_batches=recipe.gradient_accumulation_steps,
    )
