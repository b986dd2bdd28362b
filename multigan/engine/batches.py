"""Streams of real batches, batches of fakes, and the random generators of one step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import data as torch_data

from multigan.core.protocols import Batch, Condition, Dataset, Latent
from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat, tree_map
from multigan.engine.distributed import DistributedContext


class StepRandomness:
    """Random streams that are functions of (seed, purpose, step, phase, micro-batch)."""

    def __init__(self, seed: int, device: torch.device, processes: DistributedContext) -> None:
        self.seed, self.device, self.processes = seed, device, processes

    def rng(self, purpose: str, step: int, phase: str, micro: int) -> torch.Generator:
        """The same stream in every process."""
        return keyed_rng(self.seed, purpose, step, phase, micro)

    def latent(self, generator: Any, n: int, step: int, phase: str, micro: int) -> Latent:
        """This process's `n` latents, on the device."""
        rng = self.rng("latent", step, phase, micro)
        drawn = generator.sample_latent(n * self.processes.world_size, rng)
        return tree_map(lambda leaf: leaf.to(self.device), self.processes.own(drawn))


class FakeBatches:
    """Draws what a generator, compiled if asked for, makes for the updates of both players."""

    def __init__(
        self, generator: Any, recipe: Recipe, randomness: StepRandomness, compile: bool = False
    ) -> None:
        self.generator, self.randomness = generator, randomness
        self._generate = torch.compile(generator) if compile else generator
        apart = getattr(generator, "is_batch_independent", False)
        self.together = (
            apart and recipe.discriminator_steps > 1 and recipe.gradient_accumulation_steps == 1
        )

    def draw(self, n: int, condition: Condition, step: int, phase: str, micro: int) -> Tensor:
        """`n` fakes (n, ...)."""
        return self._generate(self._latent(n, step, phase, micro), condition)

    def ahead(self, reals: Sequence[Batch], step: int) -> Sequence[Tensor | None]:
        """Those of all of D's updates, from one pass where the generator allows it; else None."""
        if not self.together:
            return [None] * len(reals)
        counts = [len(real.x) for real in reals]
        latents = [self._latent(n, step, phase_name(k), 0) for k, n in enumerate(counts)]
        condition = tree_cat([real.condition for real in reals])
        return self._generate(tree_cat(latents), condition).split(counts)

    def _latent(self, n: int, step: int, phase: str, micro: int) -> Latent:
        return self.randomness.latent(self.generator, n, step, phase, micro)


def phase_name(update: int) -> str:
    """The phase of D's update in a step, under which its draws are made."""
    return f"discriminator {update}"


class BatchStream:
    """Real batches for one process. `batch_size` counts all processes together.

    With several processes each has its share of every one of the `micro_batches`, end to end.

    An in-memory set is indexed on the device; any other goes through torch's DataLoader with
    `workers` processes, in the same order. Raises ValueError for an empty set or a batch size
    that the processes cannot share.
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
        workers: int = 0,
        micro_batches: int = 1,
    ) -> None:
        if len(data) == 0:
            raise ValueError("the data set is empty; wanted at least one sample")
        parts = world_size * (micro_batches if world_size > 1 else 1)
        if batch_size < 1 or batch_size % parts:
            times = f" times {micro_batches} micro-batches" if parts > world_size else ""
            raise ValueError(
                f"batch_size is {batch_size}; wanted a positive multiple of {parts}, "
                f"the number of processes{times}"
            )
        self.data, self.seed, self.batch_size = data, seed, batch_size
        self.device, self.workers = torch.device(device), workers
        self._share = batch_size // parts
        self._starts = [first * self._share for first in range(rank, parts, world_size)]
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def epochs(self, batches: int) -> float:
        """How often the set has been passed through after so many batches."""
        return batches * self.batch_size / len(self.data)

    def places(self, number: int) -> tuple[list[int], Tensor]:
        """Epochs and indices (share,) of this process's samples of batch `number`."""
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
        """Batch `start` and all that follow it, on the device."""
        in_order = (
            self._indexed if self.data.in_memory and not self.data.is_stochastic else self._loaded
        )
        return in_order(start)

    def _indexed(self, number: int) -> Iterator[Batch]:
        while True:
            yield self.data.batch(self.places(number)[1].to(self.device))
            number += 1

    def _loaded(self, start: int) -> Iterator[Batch]:
        loader = torch_data.DataLoader(
            _Samples(self.data, self.seed),
            batch_sampler=self._batches_of_places(start),  # type: ignore[arg-type]
            num_workers=0 if self.data.in_memory else self.workers,
            collate_fn=tree_cat,
            generator=keyed_rng(self.seed, "workers"),  # else the global stream would advance
        )
        for batch in loader:
            yield tree_map(lambda leaf: leaf.to(self.device), batch)

    def _batches_of_places(self, number: int) -> Iterator[list[tuple[int, int]]]:
        while True:
            epochs, indices = self.places(number)
            yield list(zip(epochs, indices.tolist(), strict=True))
            number += 1


class _Samples(torch_data.Dataset):
    """One sample at a time, drawn by (seed, epoch, index) whoever loads it."""

    def __init__(self, data: Dataset, seed: int) -> None:
        self.data, self.seed = data, seed

    def __getitem__(self, place: tuple[int, int]) -> Batch:
        epoch, index = place
        rng = keyed_rng(self.seed, "sample", epoch, index) if self.data.is_stochastic else None
        return self.data.batch(torch.tensor([index]), rng)


def make_batch_stream(
    recipe: Recipe, seed: int, device: torch.device, workers: int, processes: DistributedContext
) -> BatchStream:
    """The batches of a recipe, for one of its processes."""
    return BatchStream(
        recipe.data,
        seed=seed,
        batch_size=recipe.batch_size,
        device=device,
        rank=processes.rank,
        world_size=processes.world_size,
        workers=workers,
        micro_batches=recipe.gradient_accumulation_steps,
    )
