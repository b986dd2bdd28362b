"""Adapters: plain modules and plain data as networks and datasets of the contract.

A domain adapts data through its table ADAPTERS: name -> "module:function", a function that returns
a `Dataset`, or None for data of another kind.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from multigan.core.modules import eval_mode
from multigan.core.protocols import (
    Batch,
    Condition,
    Dataset,
    Discriminator,
    Generator,
    HasSplitName,
)
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component, domain_table, domains, import_attribute
from multigan.core.splits import WHOLE
from multigan.core.trees import tree_map

LatentShape = int | tuple[int, ...]
INDEPENDENCE_TOLERANCE = 1e-3  # of the largest logit: a larger change by the batch is no rounding
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
        made: Tensor = _call(self.network, latent, condition, self.takes_condition)
        return made

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
        logits: Tensor = _call(self.network, x, condition, self.takes_condition)
        return logits


@component
class Networks(nn.ModuleDict):
    """Several networks by name, used as one; all are trained by the optimizer of their side.

    `forward(networks, *inputs)` combines them: (networks, latent, condition) of generators, and
    (networks, x, condition) of discriminators. Without it each network scores the sample, and the
    loss is the mean over all logits.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], forward: Callable[..., Any] | None = None
    ) -> None:
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


def _latent_shape(latent_dim: Any) -> tuple[int, ...]:
    shape = tuple(latent_dim) if isinstance(latent_dim, tuple | list) else (latent_dim,)
    if not shape or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(
            f"latent_dim must be a positive integer, or several in a tuple; got {latent_dim!r}"
        )
    return shape


def check_fit(data: Dataset, generator: Generator, discriminator: Discriminator) -> str:
    """Pass two samples through both networks; return a sentence about an unused condition, or "".

    Nothing is trained, no buffer changes and no random stream advances. Finds batch statistics
    that no layer shows. Raises ValueError in one line for networks that do not fit.
    """
    real = data.batch(torch.arange(min(2, len(data))), keyed_rng("fit"))
    if not isinstance(real.x, Tensor) or real.x.dtype != torch.float32:
        kind = real.x.dtype if isinstance(real.x, Tensor) else type(real.x).__name__
        raise ValueError(f"the samples of data must be float32 tensors; got {kind}")
    real = real._replace(x=real.x.to(torch.get_default_dtype()))  # the type of the networks
    latent = generator.sample_latent(len(real.x), keyed_rng("fit"))
    with torch.random.fork_rng(devices=[]), eval_mode(generator, discriminator), torch.no_grad():
        fake = _forward("generator", generator, latent, real.condition)
        _check_samples(fake, real.x)
        for x in (real.x, fake):
            _check_logits(_forward("discriminator", discriminator, x, real.condition), len(real.x))
        if isinstance(discriminator, ModuleDiscriminator) and _mixes_samples(discriminator, real):
            discriminator.uses_batch_statistics = True
    return _unused_condition(real.condition, generator, discriminator)


def _forward(name: str, network: Any, inputs: Any, condition: Condition) -> Any:
    """Call a network; its error becomes one line with the shapes."""
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    moved = tree_map(lambda leaf: leaf.to(device), (inputs, condition))
    try:
        return network(*moved)
    except Exception as error:  # a network of the caller raises arbitrary exceptions
        shapes = _shapes(inputs) + ("" if condition is None else f" and y {_shapes(condition)}")
        what = "latents" if name == "generator" else "samples"
        reason = " ".join(str(error).split()) or type(error).__name__
        fix = "; is latent_dim the size of its input?" if name == "generator" else ""
        raise ValueError(f"the {name} must accept {what} {shapes}; got: {reason}{fix}") from error


def _shapes(tree: Any) -> str:
    if isinstance(tree, Tensor):
        return str(tuple(tree.shape))
    branches = tree.values() if isinstance(tree, Mapping) else tree
    return ", ".join(_shapes(branch) for branch in branches)


def _check_samples(fake: Any, real: Tensor) -> None:
    if not isinstance(fake, Tensor):
        raise ValueError(f"the generator must return a tensor; got a {type(fake).__name__}")
    if fake.shape != real.shape:
        raise ValueError(
            f"the generator must make samples of shape {tuple(real.shape[1:])}, as the data have; "
            f"got {tuple(fake.shape[1:])}"
        )
    if fake.dtype != torch.get_default_dtype():
        kind = str(torch.get_default_dtype()).removeprefix("torch.")
        raise ValueError(f"the generator must make {kind} samples; got {fake.dtype}: convert them")
    if not fake.isfinite().all():
        raise ValueError("the generator must make finite samples; got NaN or infinity")


def _check_logits(output: Any, rows: int) -> None:
    logits = output[0] if isinstance(output, tuple) else output
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        kind = logits.dtype if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ValueError(f"the discriminator must return logits, a float tensor; got {kind}")
    if logits.ndim < 1 or len(logits) != rows:
        raise ValueError(
            f"the discriminator must return logits of shape ({rows}, ...) for {rows} samples; "
            f"got {tuple(logits.shape)}"
        )
    if not logits.isfinite().all():
        raise ValueError("the discriminator must return finite logits; got NaN or infinity")


def _mixes_samples(discriminator: ModuleDiscriminator, real: Batch) -> bool:
    """Check that the logits of a sample depend on the other one of its batch."""
    if len(real.x) < 2 or discriminator.uses_batch_statistics:
        return False
    try:
        parts = [tree_map(lambda leaf, k=k: leaf[k : k + 1], real) for k in range(2)]
        together, *alone = [_logits(discriminator, part) for part in (real, *parts)]
    except Exception:  # a network that takes no single sample
        return True
    largest = float(together.abs().max().clamp_min(1e-6))
    apart = torch.cat(alone)
    if apart.shape != together.shape:
        return True
    return float((together - apart).abs().max()) > INDEPENDENCE_TOLERANCE * largest


def _logits(discriminator: ModuleDiscriminator, batch: Batch) -> Tensor:
    output = _forward("discriminator", discriminator, batch.x, batch.condition)
    logits: Tensor = output[0] if isinstance(output, tuple) else output
    return logits


def _unused_condition(
    condition: Condition, generator: Generator, discriminator: Discriminator
) -> str:
    """Name the plain modules that ignore the condition, in a sentence; "" if there are none."""
    networks = {"generator": generator, "discriminator": discriminator}
    blind = [
        name
        for name, network in networks.items()
        if isinstance(network, ModuleGenerator | ModuleDiscriminator)
        and not network.takes_condition
    ]
    if condition is None or not blind:
        return ""
    named, verb = " and the ".join(blind), "takes" if len(blind) == 1 else "take"
    return f"the {named} {verb} no second argument in forward, so y is not used there"
