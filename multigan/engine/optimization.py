"""Optimizer steps: mixed precision, gradient reduction and clipping, and the non-finite policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn, optim
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from multigan.core.protocols import Batch, Condition
from multigan.core.trees import tree_map
from multigan.engine.distributed import SINGLE_PROCESS, DistributedContext

PRECISIONS = ("fp32", "bf16")


class Autocast:
    """The context of a forward pass: "bf16" casts products and convolutions, weights stay float32.

    Raises ValueError for an unknown name.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        if name not in PRECISIONS:
            raise ValueError(f"precision {name!r} is unknown; known: {', '.join(PRECISIONS)}")
        self.name, self.device = name, device

    def __call__(self, allowed: bool = True) -> AbstractContextManager:
        """A context to enter; where bf16 is not `allowed`, one of float32."""
        enabled = allowed and self.name == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)


RAISE, SKIP, ROLLBACK = "raise", "skip", "rollback"
POLICIES = (RAISE, SKIP, ROLLBACK)
MAX_CONSECUTIVE_SKIPS = 10  # more of them say that waiting does not help


class NonFiniteError(Exception):
    """An update that cannot be made; the weights are as they were before it."""


class NonFinitePolicy:
    """Asked before each optimiser step whether it may be made.

    "skip" leaves the update out, at most SKIPS_IN_A_ROW times in turn; "raise" and "rollback"
    raise NotFinite, and whoever drives the trainer stops or goes back to its last checkpoint. A
    device that works ahead of the CPU is waited for under "skip" only: under the others the
    norms that are reported say it at the next log line, and weights are tested before a
    checkpoint. Raises ValueError for an unknown policy.
    """

    def __init__(self, policy: str = RAISE) -> None:
        if policy not in POLICIES:
            raise ValueError(f"not_finite is {policy!r}; known: {', '.join(POLICIES)}")
        self.policy = policy
        self.skipped = 0  # updates left out, all in all
        self.in_a_row: dict[str, int] = {}  # for each network: of its last updates

    def allows(self, name: str, loss: Tensor, norm: Tensor) -> bool:
        """Whether the network called `name` may step: `loss` and the norm of its gradients."""
        if self.policy != SKIP and norm.device.type != "cpu":
            return True
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            self.in_a_row[name] = 0
            return True
        culprit = f"the gradient of the {name}" if bool(torch.isfinite(loss)) else f"loss/{name}"
        if self.policy != SKIP:
            raise NonFiniteError(culprit)
        self.skipped += 1
        self.in_a_row[name] = self.in_a_row.get(name, 0) + 1
        if self.in_a_row[name] > MAX_CONSECUTIVE_SKIPS:
            raise NonFiniteError(
                f"after {MAX_CONSECUTIVE_SKIPS} updates left out in a row {culprit}"
            )
        return False

    def state(self) -> dict[str, Any]:
        """What an exact continuation needs."""
        return {"skipped": self.skipped, "in_a_row": dict(self.in_a_row)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self.skipped, self.in_a_row = state["skipped"], dict(state["in_a_row"])


class Step(NamedTuple):
    """One generator update and, in the adversarial stage, the discriminator updates before it.

    `number` counts the steps of all stages. `samples_seen` counts the reals of D's updates (none in
    the likelihood stage); `values` are 0-dim tensors on the device (means over micro-batches and
    over D's updates) and numbers.
    """

    number: int
    samples_seen: int
    values: Mapping[str, Tensor | float]


LossTerms = Callable[[Tensor, Condition, int], dict[str, Tensor]]
"""(x, condition, micro-batch) -> the terms of the loss by name."""


def optimizer_step(
    name: str,
    network: nn.Module,
    optimizer: optim.Optimizer,
    batch: Batch,
    terms_of: LossTerms,
    gradient_accumulation_steps: int = 1,
    max_grad_norm: float | None = None,
    guard: NonFinitePolicy | None = None,
    processes: DistributedContext = SINGLE_PROCESS,
) -> dict[str, Tensor | float]:
    """One step down `loss/<name>`: the gradients of all micro-batches, averaged; their terms.

    Both are averaged over the processes, so that all of them decide and step alike.

    `grad_norm/<name>` is the norm before any clipping. Where the guard forbids the step, it is
    left out: weights and moments stay as they are.
    """
    guard = NonFinitePolicy() if guard is None else guard
    optimizer.zero_grad(set_to_none=True)
    parts = []
    for micro in range(gradient_accumulation_steps):
        x, condition = tree_map(
            lambda leaf, micro=micro: leaf.tensor_split(gradient_accumulation_steps)[micro], batch
        )
        terms = terms_of(x, condition, micro)
        (terms[f"loss/{name}"] / gradient_accumulation_steps).backward()
        parts.append({key: term.detach() for key, term in terms.items()})
    values = all_reduce_gradients(network, average_metrics(parts), processes)
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    norm = get_total_norm(gradients)
    if guard.allows(name, values[f"loss/{name}"], norm):
        values[f"grad_norm/{name}"] = norm
        if max_grad_norm is not None:
            clip_grads_with_norm_(network.parameters(), max_grad_norm, norm)
        optimizer.step()
    else:
        values = {}
    optimizer.zero_grad(set_to_none=True)
    return values


def all_reduce_gradients(
    network: nn.Module, values: dict[str, Any], processes: DistributedContext
) -> dict[str, Any]:
    """Average the gradients of a network, in place, and the values over the processes, in one go.

    A gradient that no process has stays None: its parameter does not move.
    """
    if processes.world_size == 1:
        return values
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    absent = [k for k, parameter in enumerate(learnt) if parameter.grad is None]
    present = torch.ones(len(learnt), device=learnt[0].device)
    present[absent] = 0
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in learnt]
    *averages, present = processes.average([*gradients, *values.values(), present])
    for parameter, average in zip(learnt, averages, strict=False):
        parameter.grad = average
    for k in absent:
        learnt[k].grad = learnt[k].grad if present[k] > 0 else None
    return dict(zip(values, averages[len(learnt) :], strict=True))


def average_metrics(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean of each value over the parts that have it (lazy penalties are in some only)."""
    if len(parts) == 1:
        return dict(parts[0])
    names = dict.fromkeys(name for part in parts for name in part)
    columns = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: sum(column) / len(column) for name, column in columns.items()}


def adam(network: nn.Module) -> optim.Adam:
    """Adam over the parameters that the recipe left unfrozen; rates are set before each step."""
    return optim.Adam([p for p in network.parameters() if p.requires_grad])
