"""Contracts of samples in less memory, such as tokens in place of one-hot rows."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from multigan.core.protocols import Condition, Dataset, Latent, SupportsEmbeddingPenalty


@runtime_checkable
class SupportsCompactSamples(Protocol):
    """A generator that also makes its samples in less memory: tokens in place of one-hot rows."""

    def generate(self, latent: Latent, condition: Condition = None) -> Tensor:
        """Make the samples of `__call__` in eval(), without a graph, in another representation."""
        ...


@runtime_checkable
class SupportsCompactFakes(SupportsCompactSamples, Protocol):
    """A generator whose compact samples can take the place of its samples in train()."""

    @property
    def is_hard(self) -> bool:
        """In train(), too, the samples without a graph are those of `generate`."""
        ...

    def expand(self, x: Tensor) -> Tensor:
        """The samples of `generate` as those of `__call__`."""
        ...


@runtime_checkable
class SupportsCompactInput(SupportsEmbeddingPenalty, Protocol):
    """A discriminator that also embeds compact samples, to the same values."""

    @property
    def embeds_compact(self) -> bool:
        """Compact samples can take the place of samples."""
        ...


@runtime_checkable
class SupportsCompactBatches(Protocol):
    """A dataset whose samples also come in less memory: tokens in place of one-hot rows."""

    def compact(self) -> Dataset:
        """The same samples in the representation of `SupportsCompactSamples.generate`."""
        ...
