"""Check at construction that networks of the caller fit the data, by trying them on samples.

Whatever a network raises becomes a ValueError of one sentence, which names the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from multigan.core.adapters import ModuleDiscriminator, ModuleGenerator
from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import (
    Batch,
    Condition,
    Dataset,
    Discriminator,
    Generator,
    HasClassNames,
)
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_leaves, tree_map

INDEPENDENCE_TOLERANCE = 1e-3  # of the largest logit: a larger change by the batch is no rounding
TRIED = 4  # numbers of samples are multiples of it, which groups and packs of samples divide
PROBABILITIES = ("least_squares",)  # losses that are right for values in [0, 1]
# Steps of a graph that move values and do not change them.
MOVES = ("View", "Reshape", "UnsafeView", "Squeeze", "Unsqueeze", "Transpose", "T", "Permute")
NO_GRAD_CALL = "incompatible with .grad()"  # of torch's reentrant checkpoints: backward only
# A fragment of torch's message -> what to do about it.
HINTS = {
    "index out of range": "an nn.Embedding must have a row for every label, from 0 to the largest",
    "scalar types: Long": "an nn.Embedding takes integers (N,): give y as such labels",
}


@runtime_checkable
class HasConditions(Protocol):
    """A dataset that holds the conditions of the samples of all splits."""

    y: Condition  # leading axis: all samples; the tree of a batch


def check_networks(generator: Any, discriminator: Any) -> None:
    """Raise ValueError, in one line, for networks that share trainable parameters."""
    own = [
        {id(p): name for name, p in network.named_parameters() if p.requires_grad}
        for network in (generator, discriminator)
        if isinstance(network, nn.Module)
    ]
    if len(own) == 2 and (shared := own[0].keys() & own[1].keys()):
        names = sorted(own[1][key] for key in shared)
        raise ValueError(
            "the generator and the discriminator must have trainable parameters of their own, as "
            f"each is frozen while the other is updated; got {len(names)} in both, {names[0]!r} of "
            "the discriminator first: copy the module with copy.deepcopy"
        )


def _check_values(**networks: Any) -> None:
    """Raise ValueError, in one line, for networks on the meta device."""
    for name, network in networks.items():
        if any(tensor.is_meta for tensor in network.parameters()):
            raise ValueError(
                f"the {name} must have values; got parameters on the meta device: build it on "
                "another device"
            )


def check_fit(
    data: Dataset,
    generator: Any,
    discriminator: Any,
    loss: Any = None,
    is_penalized: bool = False,
) -> list[str]:
    """Pass a few samples through both networks, in both modes; return sentences of warning.

    Two numbers of samples are tried that no axis of the data has, with the smallest and the largest
    label. Nothing is trained; buffers and torch's global random state are restored, other
    random generators that a network uses are not. Finds batch statistics that no layer
    shows. With `is_penalized` gradients must be differentiable by autograd.grad, as penalties do.
    Raises ValueError in one line for networks that do not fit.
    """
    _check_values(generator=generator, discriminator=discriminator)
    real, latent, few = _tried(data, generator)
    fewer: tuple[Batch, Any] = tree_map(lambda leaf: leaf[:few], (real, latent))
    with _unchanged(generator, discriminator), eval_mode(generator, discriminator):
        with torch.no_grad():
            fake = _check_outputs(real, latent, generator, discriminator)
        ends_in_sigmoid = _check_training(
            real, latent, fake, few, generator, discriminator, is_penalized
        )
        with torch.no_grad():  # the last pass: old spectral norm keeps the graph of its weight
            _check_outputs(*fewer, generator, discriminator)
    notes = [_unused_condition(real.condition, generator, discriminator)]
    if ends_in_sigmoid and isinstance(loss, str) and loss not in PROBABILITIES:
        notes.append(
            f"the discriminator ends in a sigmoid; the loss {loss} is of logits: leave the sigmoid "
            "out"
        )
    return [note for note in notes if note]


def _tried(data: Dataset, generator: Any) -> tuple[Batch, Any, int]:
    """Return the samples and latents that are tried, and a smaller number of them to try."""
    if not len(data):
        raise ValueError("data must have a sample to train on; got none")
    real = _read(data, 1)
    sizes = {size for leaf in tree_leaves((real.x, real.condition)) for size in leaf.shape[1:]}
    latent = generator.sample_latent(1, keyed_rng("fit"))
    sizes |= {size for leaf in tree_leaves(latent) for size in leaf.shape[1:]}
    numbers = (number for number in count(TRIED, TRIED) if number not in sizes)
    few, many = next(numbers), next(numbers)
    real = _read(data, many)
    known = _known_conditions(data, real.condition)
    if known is not None:
        real = real._replace(condition=tree_map(_with_extremes, real.condition, known))
    return real, generator.sample_latent(many, keyed_rng("fit")), few


def _read(data: Dataset, number: int) -> Batch:
    """Read samples, some of them repeatedly where there are few."""
    real = data.batch(torch.arange(number) % len(data), keyed_rng("fit"))
    if not isinstance(real.x, Tensor) or real.x.dtype != torch.float32:
        kind = real.x.dtype if isinstance(real.x, Tensor) else type(real.x).__name__
        raise ValueError(f"the samples of data must be float32 tensors; got {kind}")
    return real._replace(x=real.x.to(torch.get_default_dtype()))  # the type of the networks


def _known_conditions(data: Dataset, condition: Condition) -> Condition:
    """Return all conditions of the data, or all labels; None where they are not known."""
    if isinstance(condition, Tensor):
        named = data.domain.class_names if isinstance(data.domain, HasClassNames) else ()
        labels = getattr(data.domain, "labels", ()) or range(len(named))
        return torch.tensor(labels) if labels else None
    return data.y if isinstance(data, HasConditions) and condition is not None else None


def _with_extremes(condition: Tensor, known: Tensor) -> Tensor:
    """Put the smallest and the largest label first, in integers (B,)."""
    if condition.is_floating_point() or condition.ndim != 1 or not known.numel():
        return condition
    return torch.cat([torch.stack([known.min(), known.max()]).to(condition), condition[2:]])


@contextmanager
def _unchanged(*networks: Any) -> Iterator[None]:
    """Restore the global random state of torch and the buffers of networks."""
    saved = [
        (module, name, buffer, buffer.clone())
        for network in networks
        for module in network.modules()
        for name, buffer in module.named_buffers(recurse=False)
        if not is_lazy(buffer)
    ]
    devices = {p.device for n in networks for p in n.parameters() if p.device.type == "cuda"}
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        with torch.no_grad():
            for module, name, buffer, values in saved:
                buffer.copy_(values)
                if getattr(module, name) is not buffer:
                    setattr(module, name, buffer)


def _check_outputs(real: Batch, latent: Any, generator: Any, discriminator: Any) -> Tensor:
    """Check the shapes and values of samples and logits; return the samples."""
    fake: Any = _forward("generator", generator, latent, real.condition)
    _check_samples(fake, real.x)
    for x in (real.x, fake):
        _check_logits(_forward("discriminator", discriminator, x, real.condition), len(real.x))
    made: Tensor = fake
    return made


def _check_training(
    real: Batch,
    latent: Any,
    fake: Tensor,
    few: int,
    generator: Any,
    discriminator: Any,
    is_penalized: bool,
) -> bool:
    """Check in training mode that gradients reach both networks, and find batch statistics.

    Returns True for a discriminator that ends in a sigmoid.
    """
    is_plain = isinstance(discriminator, ModuleDiscriminator)
    if not is_plain and not isinstance(generator, ModuleGenerator):
        return False  # networks of the contract state these things themselves
    mixes = is_plain and _mixes_samples(discriminator, real, fake, few)
    for network in (generator, discriminator):
        network.train()
    with torch.inference_mode(False), torch.enable_grad():
        made = _forward("generator", generator, latent, real.condition)
        _check_samples(made, real.x)
        is_trained = any(p.requires_grad for p in generator.parameters())
        if isinstance(generator, ModuleGenerator) and is_trained and not made.requires_grad:
            raise ValueError(
                "the generator must make samples with a graph; got a tensor without one: leave out "
                "detach() and torch.no_grad() in its forward"
            )
        ends_in_sigmoid = False
        if is_plain and made.requires_grad:
            x = made.detach().requires_grad_()
            ends_in_sigmoid = _check_gradient(x, real.condition, discriminator, is_penalized)
    mixes = mixes or (is_plain and _mixes_samples(discriminator, real, fake, few))
    for network in (generator, discriminator):
        network.eval()
    if mixes:
        discriminator.uses_batch_statistics = True
    return ends_in_sigmoid


def _check_gradient(
    x: Tensor, condition: Condition, discriminator: Any, is_penalized: bool
) -> bool:
    """Check that the logits depend on the samples `x`, in a way that can be differentiated.

    Returns True if they are values of a sigmoid.
    """
    output = _forward("discriminator", discriminator, x, condition)
    _check_logits(output, len(x))
    logits = output[0] if isinstance(output, tuple) else output
    reason = "logits without a gradient"
    try:
        if logits.requires_grad:
            (gradient,) = torch.autograd.grad(logits.sum(), x, allow_unused=True)
            reason = "" if gradient is not None else reason
    except RuntimeError as error:
        reason = _sentence(error)
    if NO_GRAD_CALL in reason and is_penalized:
        raise ValueError(
            "the discriminator must be differentiable by torch.autograd.grad for penalties; got a "
            "reentrant checkpoint: pass use_reentrant=False to it"
        )
    if reason and NO_GRAD_CALL not in reason:
        raise ValueError(
            f"the discriminator must be differentiable in its samples; got {reason}: leave out "
            "detach() and torch.no_grad() in its forward, and use its first argument"
        )
    return _last_operation(logits) == "Sigmoid"


def _last_operation(values: Tensor) -> str:
    """Return the last operation in the graph of `values` that changed them: Addmm, Sigmoid, ..."""
    node: Any = values.grad_fn
    while node is not None:
        name = str(node.name()).partition("Backward")[0]
        if name not in MOVES or not node.next_functions:
            return name
        node = node.next_functions[0][0]
    return ""


def _forward(name: str, network: Any, inputs: Any, condition: Condition) -> Any:
    """Call a network; its error becomes one line with the shapes."""
    device = device_of(network)
    moved = tree_map(lambda leaf: leaf.to(device), (inputs, condition))
    try:
        return network(*moved)
    except Exception as error:  # a network of the caller raises arbitrary exceptions
        shapes = _shapes(inputs) + ("" if condition is None else f" and y {_described(condition)}")
        what = "latents" if name == "generator" else "samples"
        reason = _sentence(error)
        hint = next((hint for part, hint in HINTS.items() if part in reason), "")
        if not hint and name == "generator":
            hint = "is latent_dim the size of its input?"
            hint = hint if condition is None else "are latent_dim and y what it takes?"
        fix = f"; {hint}" if hint else ""
        raise ValueError(f"the {name} must accept {what} {shapes}; got: {reason}{fix}") from error


def _sentence(error: Exception) -> str:
    """The message of an error in one line, or the name of its type."""
    return " ".join(str(error).split()) or type(error).__name__


def _shapes(tree: Any) -> str:
    if isinstance(tree, Tensor):
        return str(tuple(tree.shape))
    branches = tree.values() if isinstance(tree, Mapping) else tree
    return ", ".join(_shapes(branch) for branch in branches)


def _described(condition: Condition) -> str:
    """The types and shapes of a condition, and the limits of labels."""
    parts = []
    for leaf in tree_leaves(condition):
        is_whole = not leaf.is_floating_point() and leaf.numel()
        limits = f" of {int(leaf.min())} to {int(leaf.max())}" if is_whole else ""
        parts.append(f"{tuple(leaf.shape)} {str(leaf.dtype).removeprefix('torch.')}{limits}")
    return ", ".join(parts)


def _check_samples(fake: Any, real: Tensor) -> None:
    if not isinstance(fake, Tensor):
        raise ValueError(f"the generator must return a tensor; got a {type(fake).__name__}")
    if fake.shape != real.shape:
        raise ValueError(
            f"the generator must make samples of shape {tuple(real.shape[1:])}, as the data have; "
            f"got {_without_batch(fake.shape, len(real))}"
        )
    if fake.dtype != torch.get_default_dtype():
        kind = str(torch.get_default_dtype()).removeprefix("torch.")
        raise ValueError(f"the generator must make {kind} samples; got {fake.dtype}: convert them")
    if not fake.isfinite().all():
        raise ValueError("the generator must make finite samples; got NaN or infinity")


def _without_batch(shape: tuple[int, ...], rows: int) -> str:
    """The shape of a sample; the whole shape where its first axis is not the batch."""
    if shape[:1] == (rows,):
        return str(tuple(shape[1:]))
    return f"{tuple(shape)} for {rows} latents"


def _check_logits(output: Any, rows: int) -> None:
    if isinstance(output, tuple) and len(output) != 2:
        raise ValueError(
            "the discriminator must return logits, or a pair of logits and their weights; got a "
            f"tuple of {len(output)}: return the logits alone, and use others in a Term"
        )
    logits, weights = output if isinstance(output, tuple) else (output, None)
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
    if isinstance(output, tuple):
        _check_weights(weights, logits)


def _check_weights(weights: Any, logits: Tensor) -> None:
    """Check the second of two outputs, which many discriminators use for class logits."""
    expected = f"the weights of logits {tuple(logits.shape)}, each 0 or more"
    got = f"a {type(weights).__name__}"
    if isinstance(weights, Tensor):
        fits = math.prod(weights.shape) == logits.numel() and len(weights) == len(logits)
        if fits and not bool((weights < 0).any()) and bool(torch.isfinite(weights).all()):
            return
        got = "negative or undefined values" if fits else f"a tensor {tuple(weights.shape)}"
    raise ValueError(
        f"the second output of the discriminator must be {expected}; got {got}: return the logits "
        "alone, and use class logits or features in a Term (see examples/acgan.py)"
    )


def _mixes_samples(discriminator: Any, real: Batch, fake: Tensor, few: int) -> bool:
    """Check that the logits of the first samples depend on the others of their batch.

    All batches have one size and one random stream, so that dropout does not differ. A
    discriminator with noise of its own, which scores a batch differently twice, is not compared;
    either batch is scored twice, since two values of a noise may be close by chance.
    One sample fewer than `few` stays, so that the last pack of samples is divided.
    """
    if discriminator.uses_batch_statistics:
        return False
    x = real.x.to(fake.device)
    kept = few - 1
    mixed = torch.cat([x[:kept], fake[kept:].detach()])
    found = []
    for samples in (x, x, mixed, mixed):
        with _unchanged(discriminator), torch.no_grad():
            found.append(_logits(discriminator, samples, real.condition)[:kept])
    limit = INDEPENDENCE_TOLERANCE * float(found[0].abs().max().clamp_min(1e-6))
    changes = [float((found[i] - found[j]).abs().max()) for i, j in ((0, 1), (2, 3), (0, 2))]
    if any(change > limit for change in changes[:2]):
        return False
    return not changes[2] <= limit  # NaN is a change


def _logits(discriminator: Any, x: Tensor, condition: Condition) -> Tensor:
    output = _forward("discriminator", discriminator, x, condition)
    logits: Tensor = output[0] if isinstance(output, tuple) else output
    return logits.detach()


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
