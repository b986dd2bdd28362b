"""Adapters: plain modules and plain data as networks and datasets of the contract.

A domain adapts data through its table ADAPTERS: name -> "module:function", a function that returns
a `Dataset`, or None for data of another kind.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from multigan.core.protocols import Condition, Dataset, Discriminator, Generator, HasSplitName
from multigan.core.serialization import component, domain_table, domains, import_attribute
from multigan.core.splits import WHOLE

LatentShape = int | tuple[int, ...]
BATCH_NORMS = nn.modules.batchnorm._BatchNorm  # 1d, 2d, 3d, lazy and synchronized


def as_dataset(data: Any) -> Dataset:
    """Return `data` as a dataset: itself, or what a domain makes of it.

    A dataset of all splits becomes its training split. Raises ValueError for anything else.
    """
    if not isinstance(data, Dataset):
        places = [place for name in domains() for place in domain_table(name, "ADAPTERS").values()]
        found = (import_attribute(place)(data) for place in places)
        adapted = next((dataset for dataset in found if dataset is not None), None)
        if adapted is None:
            raise ValueError(
                "data must be a Dataset, an array, a pair of arrays (x, y), a torch Dataset or a "
                f"datasets.Dataset; got a {type(data).__name__}"
            )
        data = adapted
    return training_split(data)


def training_split(data: Dataset) -> Dataset:
    """Return the training split of a dataset that holds all splits; any other dataset itself."""
    whole = isinstance(data, HasSplitName) and data.split_name == WHOLE
    return data.split("train") if whole else data


@component
class ModuleGenerator(nn.Module):
    """A plain module as a generator: its latents are standard Gaussian (n, *latent_dim).

    The condition is passed to a module whose forward takes a second argument.
    """

    def __init__(self, network: nn.Module, latent_dim: LatentShape) -> None:
        """Raises ValueError for a `latent_dim` that is no positive number, or several of them."""
        super().__init__()
        self.latent_shape = _latent_shape(latent_dim)
        self.network = network
        self.takes_condition = takes_condition(network)

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        """Draw `n` standard Gaussian latents (n, *latent_dim) on the CPU."""
        return torch.randn(n, *self.latent_shape, generator=rng)

    def forward(self, latent: Tensor, condition: Condition = None) -> Tensor:
        """(B, *latent_dim) -> samples (B, ...)."""
        made = _call(self.network, latent, condition, self.takes_condition)
        samples: Tensor = _with_batch_axis(made, latent)
        return samples

    def interpolate(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """The latent at `t` in [0, 1] of the path from a to b; weights keep it Gaussian."""
        angle = t * math.pi / 2
        return math.cos(angle) * a + math.sin(angle) * b


@component
class ModuleDiscriminator(nn.Module):
    """A plain module as a discriminator.

    The condition is passed to a module whose forward takes a second argument. Batch statistics are
    found by looking at its layers, or given.
    """

    def __init__(self, network: nn.Module, uses_batch_statistics: bool | None = None) -> None:
        super().__init__()
        self.network = network
        self.takes_condition = takes_condition(network)
        found = has_batch_norm(network) if uses_batch_statistics is None else uses_batch_statistics
        self.uses_batch_statistics = found

    def forward(self, x: Tensor, condition: Condition = None) -> Tensor | tuple[Tensor, Tensor]:
        """Logits (B, ...) of samples (B, ...)."""
        made = _call(self.network, x, condition, self.takes_condition)
        logits: Tensor = _with_batch_axis(made, x)
        return logits


@component
class Networks(nn.ModuleDict):
    """Several networks by name, used as one; all are trained by the optimizer of their side.

    `forward(networks, *inputs)` combines them: (networks, latent, condition) of generators, and
    (networks, x, condition) of discriminators. Without it each network scores the sample, and the
    loss is the mean over all logits. Raises ValueError for a value that is no module.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], forward: Callable[..., Any] | None = None
    ) -> None:
        for name, network in networks.items():
            if not isinstance(network, nn.Module):
                kind = type(network).__name__
                raise ValueError(f"the network {name!r} must be an nn.Module; got a {kind}")
        super().__init__(networks)
        self.combine = forward

    def forward(self, inputs: Tensor, condition: Condition = None) -> Any:
        """The result of the function, or the logits (B, L) of all networks side by side."""
        if self.combine is not None:
            return self.combine(self, inputs, condition)
        parts = [_call(n, inputs, condition, takes_condition(n)) for n in self.values()]
        return torch.cat([part.reshape(len(inputs), -1) for part in parts], dim=1)


def as_generator(network: Any, latent_dim: LatentShape | None) -> Generator:
    """Return `network` as a generator. Raises ValueError for what cannot be one."""
    if isinstance(network, Generator):
        own = network.latent_shape if type(network) is ModuleGenerator else None
        if latent_dim is not None and _latent_shape(latent_dim) != own:
            raise ValueError(
                f"latent_dim must not be given for a generator with sample_latent; got {latent_dim}"
            )
        return network
    if isinstance(network, Mapping) or type(network) is nn.ModuleDict:
        raise ValueError(
            "several generators must be Networks(dictionary, forward), where "
            "forward(networks, latent, condition) makes the samples; got a dictionary"
        )
    if not isinstance(network, nn.Module):
        raise ValueError(f"generator must be an nn.Module; got a {type(network).__name__}")
    if latent_dim is None:
        raise ValueError(
            f"latent_dim must be given for a generator without sample_latent; got "
            f"{type(network).__name__}: add latent_dim=..., the size of its input"
        )
    return ModuleGenerator(network, latent_dim)


def as_discriminator(network: Any) -> Discriminator:
    """Return `network` as a discriminator. Raises ValueError for what cannot be one."""
    if isinstance(network, Mapping) or type(network) is nn.ModuleDict:
        network = Networks(dict(network.items()))
    if isinstance(network, Discriminator):
        return network
    if not isinstance(network, nn.Module):
        raise ValueError(f"discriminator must be an nn.Module; got a {type(network).__name__}")
    return ModuleDiscriminator(network)


def unwrapped(network: Any) -> Any:
    """The module that the caller passed: without its adapter."""
    return (
        network.network if isinstance(network, ModuleGenerator | ModuleDiscriminator) else network
    )


def takes_condition(network: nn.Module) -> bool:
    """Check that the forward of a module takes a second positional argument."""
    kinds = [p.kind for p in inspect.signature(network.forward).parameters.values()]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter.VAR_POSITIONAL in kinds or sum(k in positional for k in kinds) > 1


def has_batch_norm(network: nn.Module) -> bool:
    """Check that a module anywhere normalizes over the batch."""
    return any(isinstance(module, BATCH_NORMS) for module in network.modules())


def _call(network: nn.Module, inputs: Tensor, condition: Condition, takes: bool) -> Any:
    return network(inputs, condition) if takes and condition is not None else network(inputs)


def _with_batch_axis(output: Any, inputs: Tensor) -> Any:
    """Give the output of one sample the batch axis that a squeeze() has removed."""
    if not isinstance(output, Tensor) or len(inputs) != 1:
        return output
    return output if output.ndim and len(output) == 1 else output[None]


def _latent_shape(latent_dim: Any) -> tuple[int, ...]:
    sizes = latent_dim if isinstance(latent_dim, tuple | list) else (latent_dim,)
    try:
        shape = tuple(index(size) for size in sizes if not isinstance(size, bool))
    except TypeError:
        shape = ()
    if not shape or len(shape) != len(sizes) or min(shape) < 1:
        raise ValueError(
            f"latent_dim must be a positive integer, or several in a tuple; got {latent_dim!r}"
        )
    return shape
