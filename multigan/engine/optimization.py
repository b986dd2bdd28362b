"""Optimizer steps: mixed precision, gradient reduction and clipping, and the non-finite policy."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn, optim
from torch.nn.utils import clip_grads_with_norm_

from multigan.engine.distributed import DistributedContext

PRECISIONS = ("fp32", "bf16")


class Autocast:
    """Context of a forward pass: "bf16" casts products and convolutions, weights stay float32.

    Raises ValueError for an unknown name.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        if name not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {name!r}")
        self.name, self.device = name, device

    def __call__(self, allowed: bool = True) -> AbstractContextManager[None]:
        """Return a context of the precision, or of float32 where bf16 is not `allowed`."""
        enabled = allowed and self.name == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


RAISE, SKIP, ROLLBACK = "raise", "skip", "rollback"
POLICIES = (RAISE, SKIP, ROLLBACK)
MAX_CONSECUTIVE_SKIPS = 10


class NonFiniteError(Exception):
    """An update with an infinite or undefined loss or gradient; the weights are unchanged."""


class NonFinitePolicy:
    """Decide before each optimizer step on losses and gradients that are not finite.

    "skip" leaves the step out, at most MAX_CONSECUTIVE_SKIPS times in a row. "raise" and
    "rollback" raise NonFiniteError; the caller then stops or returns to its last checkpoint. Only
    "skip" synchronizes with an accelerator in each step. The other policies see a failure there at
    the next log line, and weights are tested before a checkpoint.

    Raises ValueError for an unknown policy.
    """

    def __init__(self, policy: str = RAISE) -> None:
        if policy not in POLICIES:
            raise ValueError(f"on_nonfinite must be one of {', '.join(POLICIES)}; got {policy!r}")
        self.policy = policy
        self.skipped = 0  # updates left out in total
        self.consecutive: dict[str, int] = {}  # of the last updates of each network

    def check(self, name: str, loss: Tensor, norm: Tensor) -> bool:
        """Return True if network `name` may step, from its loss and the norm of its gradient."""
        if self.policy != SKIP and norm.device.type != "cpu":
            return True
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            self.consecutive[name] = 0
            return True
        culprit = f"the gradient of the {name}" if bool(torch.isfinite(loss)) else f"loss/{name}"
        if self.policy != SKIP:
            raise NonFiniteError(culprit)
        self.skipped += 1
        self.consecutive[name] = self.consecutive.get(name, 0) + 1
        if self.consecutive[name] > MAX_CONSECUTIVE_SKIPS:
            raise NonFiniteError(
                f"after {MAX_CONSECUTIVE_SKIPS} skipped updates in a row {culprit}"
            )
        return False

    def state(self) -> dict[str, Any]:
        """Return what an exact continuation needs."""
        return {"skipped": self.skipped, "consecutive": dict(self.consecutive)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self.skipped, self.consecutive = state["skipped"], dict(state["consecutive"])


class Step(NamedTuple):
    """One generator update and, in the adversarial stage, the discriminator updates before it.

    `number` counts the steps of all stages. `samples_seen` counts the real samples of the
    discriminator's updates (none in pretraining). `values` are numbers and 0-dim tensors on the
    device: means over micro-batches and over the discriminator's updates.
    """

    number: int
    samples_seen: int
    values: Mapping[str, Tensor | float]


Values = dict[str, Any]
"""Logged values by name: 0-dim tensors on the device, or numbers."""


def detached(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the values without their graphs."""
    return {name: value.detach() for name, value in losses.items()}


def prepare_gradients(
    name: str,
    parameters: Sequence[nn.Parameter],
    parts: list[dict[str, Tensor]],
    nonfinite_policy: NonFinitePolicy,
    max_grad_norm: float | None,
    processes: DistributedContext,
) -> Values:
    """Average the accumulated gradients over the processes, check and clip them.

    `parts` are the losses of each micro-batch; returned are their means over micro-batches and
    processes and `grad_norm/<name>`, the norm before clipping. All processes decide alike. An empty
    result means that the policy skips this optimizer step.
    """
    values = all_reduce_gradients(parameters, average_metrics(parts), processes)
    norm = total_norm([p.grad for p in parameters if p.grad is not None])
    if not nonfinite_policy.check(name, values[f"loss/{name}"], norm):
        return {}
    if max_grad_norm is not None:
        clip_grads_with_norm_(parameters, max_grad_norm, norm)
    return values | {f"grad_norm/{name}": norm}


def total_norm(gradients: list[Tensor]) -> Tensor:
    """Return the norm (0-dim) of all gradients together, which are on one device."""
    if not gradients:
        return torch.tensor(0.0)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def clear_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Free the gradients; a tenth of the time of the optimizers' own method."""
    for parameter in parameters:
        parameter.grad = None


def all_reduce_gradients(
    parameters: Sequence[nn.Parameter], values: dict[str, Any], processes: DistributedContext
) -> dict[str, Any]:
    """Average gradients, in place, and values over the processes, in one message.

    A gradient that no process has stays None, so that its parameter does not move.
    """
    if processes.world_size == 1:
        return values
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    absent = [k for k, parameter in enumerate(trainable) if parameter.grad is None]
    present = torch.ones(len(trainable), device=trainable[0].device)
    present[absent] = 0
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trainable]
    *averages, present = processes.all_reduce_mean([*gradients, *values.values(), present])
    for parameter, average in zip(trainable, averages, strict=False):
        parameter.grad = with_strides_of(parameter, average)
    for k in absent:
        trainable[k].grad = trainable[k].grad if present[k] > 0 else None
    return dict(zip(values, averages[len(trainable) :], strict=True))


def average_metrics(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Average each value over the parts that have it (lazy penalties are in some only)."""
    if len(parts) == 1:
        return dict(parts[0])
    names = dict.fromkeys(name for part in parts for name in part)
    columns = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: sum(column) / len(column) for name, column in columns.items()}


FUSED_DEVICES = ("cpu", "cuda")  # where torch updates a parameter in one kernel


def adam(network: nn.Module) -> optim.Adam:
    """Return Adam over the trainable parameters; learning rates are set before each step."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return optim.Adam(trainable, fused=all(map(can_be_fused, trainable)) or None)


def can_be_fused(parameter: Tensor) -> bool:
    """Check that a fused kernel can update the parameter: real floats without gaps in memory."""
    dense = parameter.stride() == torch.empty_like(parameter).stride()
    return dense and parameter.is_floating_point() and parameter.device.type in FUSED_DEVICES


def with_strides_of(parameter: Tensor, values: Tensor) -> Tensor:
    """Return `values` in the memory order of the parameter.

    Fused kernels walk through the memory of both, and give wrong values without an error where the
    orders differ.
    """
    if values.stride() == parameter.stride():
        return values
    return torch.empty_like(parameter, dtype=values.dtype).copy_(values)


def restore_optimizer(optimizer: optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Continue from the state of an optimizer of the same network, on this device.

    The choice of a fused kernel is that of `optimizer`, as the device may be another one.
    """
    groups = state["param_groups"]
    if len(groups) == len(optimizer.param_groups):  # else load_state_dict raises
        groups = [
            saved | {"fused": own["fused"]} if "fused" in own else saved
            for saved, own in zip(groups, optimizer.param_groups, strict=True)
        ]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = with_strides_of(parameter, value)


def build_optimizer(factory: Any, name: str, network: nn.Module) -> optim.Optimizer:
    """Return the optimizer of a network: Adam, or that of a function of its parameters.

    `factory` may also hold a function for each network by name. The optimizer may leave parameters
    out. Raises ValueError, in one line, for a network without trainable parameters, and where the
    function returns no optimizer of these parameters alone.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not trainable:
        held = "only frozen ones" if any(True for _ in network.parameters()) else "none"
        raise ValueError(
            f"the {name} must have trainable parameters; got {held}: call requires_grad_(True) on "
            "those to train"
        )
    if isinstance(factory, Mapping):
        factory = factory.get(name)
    if factory is None:
        return adam(network)
    try:
        found = factory(trainable)
    except Exception as error:  # a function of the caller raises arbitrary exceptions
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"optimizer must be a function of the parameters of the {name}; got: {reason}"
        ) from error
    if not isinstance(found, optim.Optimizer):
        raise ValueError(
            f"optimizer must return a torch optimizer of the {name}; got a {type(found).__name__}"
        )
    _check_optimizer(found, name, trainable)
    return found


def _check_optimizer(found: optim.Optimizer, name: str, trainable: list[nn.Parameter]) -> None:
    """Raise ValueError, in one line, for an optimizer that cannot train these parameters."""
    own = {id(parameter) for parameter in trainable}
    held = [id(parameter) for group in found.param_groups for parameter in group["params"]]
    if not held or not own.issuperset(held):
        others = "none" if not held else f"{sum(key not in own for key in held)} others"
        raise ValueError(
            f"optimizer must hold parameters of the {name} alone; got {others}: use the argument, "
            "optimizer=lambda parameters: ..."
        )
    closure = inspect.signature(found.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise ValueError(
            f"optimizer must step without a closure; got {type(found).__name__}: take one that "
            "needs a single gradient per step, such as Adam"
        )
