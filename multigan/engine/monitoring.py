"""Diagnose training from its log: collapse, divergence, dominance, vanishing gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from multigan.core.modules import eval_mode
from multigan.core.protocols import Condition, SupportsFeatures
from multigan.core.recipe import Recipe
from multigan.engine.losses import loss_at_chance

LINES = 3  # consecutive log lines of a diagnosis before it is reported
# Steps that a diagnosis has to last: a quarter of the run, within these limits.
MIN_STEPS, STEPS_FRACTION, MAX_STEPS = 25, 4, 100
LOW_LOSS = 0.01  # of the loss at chance: the discriminator's loss below it
HIGH_LOSS = 1.03  # of the loss at chance: the discriminator's loss above it ...
NEGATIVE_GAP = 0.05  # ... while fakes score this fraction of it above reals
DIVERGED_LOSS = 30.0  # of the loss at chance: the discriminator's loss above it
DOMINATING_PENALTY = 10.0  # times the discriminator's adversarial loss: a penalty above it
LOW_DIVERSITY = 0.1  # of the distance between reals: the mean distance between fakes below it
MORE_DUPLICATES = 0.5  # fraction of fakes with a near-duplicate in the batch, above that of reals
EQUAL_REALS = 1e-4  # of their norm: the mean distance between reals below it
VANISHED = 1e-9  # root mean square of a gradient, a tenth of Adam's epsilon


def first_not_finite(
    values: Mapping[str, float], networks: Mapping[str, nn.Module] | None = None
) -> str | None:
    """Return the name of the first value, or tensor of a network, that is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            return name
    for name, network in (networks or {}).items():
        for tensor_name, tensor in network.state_dict().items():
            if not torch.isfinite(tensor).all():
                return f"{name}.{tensor_name}"
    return None


class LogSummary(NamedTuple):
    """Mean values of one log line, and the scales that they are compared with.

    loss_at_chance: the discriminator's loss at equal logits; 0 for a loss without a lower bound.
    sizes: trainable parameters of each network.
    """

    values: Mapping[str, float]
    loss_at_chance: float
    sizes: Mapping[str, int]

    @property
    def loss(self) -> float:
        """The discriminator's loss without its penalties."""
        return self.values.get("loss/discriminator_adversarial", self.values["loss/discriminator"])

    @property
    def penalty(self) -> float:
        """The weighted penalties in the discriminator's loss."""
        return self.values["loss/discriminator"] - self.loss

    @property
    def gap(self) -> float:
        """Mean logit of reals minus that of fakes."""
        return self.values["logits/gap"]


def degenerate_data(log: LogSummary) -> str | None:
    """Detect real samples that are all equal."""
    diversity = log.values.get("diversity/real", math.inf)
    if diversity >= EQUAL_REALS:
        return None
    return (
        f"the real samples of a batch are all equal (they differ by {diversity:.1g} of their norm):"
        " check the data, one sample may have been read repeatedly"
    )


def mode_collapse(log: LogSummary) -> str | None:
    """Detect a generator that repeats few samples."""
    values = log.values
    if "diversity/fake" not in values or values["diversity/real"] < EQUAL_REALS:
        return None
    diversity, duplicates = values["diversity/fake"], values["near_duplicates/fake"]
    duplicates_of_real = values["near_duplicates/real"]
    if diversity >= LOW_DIVERSITY and duplicates - duplicates_of_real <= MORE_DUPLICATES:
        return None
    return (
        f"the generator has collapsed: its samples differ {100 * diversity:.2g} % as much as real "
        f"ones and {100 * duplicates:.0f} % have a near-duplicate in their batch (real: "
        f"{100 * duplicates_of_real:.0f} %); try the relativistic loss with r1 and "
        "r2, a larger gamma or a smaller learning rate"
    )


def divergence(log: LogSummary) -> str | None:
    """Detect a discriminator loss far above chance."""
    if not 0 < DIVERGED_LOSS * log.loss_at_chance < log.loss:
        return None
    return (
        f"the training diverges: the discriminator's loss is {log.loss:.3g}; at chance it is "
        f"{log.loss_at_chance:.3g}; try a learning rate that is ten times smaller"
    )


def discriminator_dominates(log: LogSummary) -> str | None:
    """Detect a discriminator that separates real and fake samples perfectly."""
    if log.loss_at_chance <= 0 or log.gap <= 0 or log.loss >= LOW_LOSS * log.loss_at_chance:
        return None
    return (
        f"the discriminator dominates: real samples score {log.gap:.3g} above fakes and its loss "
        f"is {log.loss:.1g}; at chance it is {log.loss_at_chance:.3g}; try a larger gamma, "
        "or a smaller learning rate of the discriminator"
    )


def generator_dominates(log: LogSummary) -> str | None:
    """Detect a discriminator that scores fakes above reals."""
    prefers_fakes = log.gap < -NEGATIVE_GAP * log.loss_at_chance
    if not (prefers_fakes and 0 < HIGH_LOSS * log.loss_at_chance < log.loss):
        return None
    return (
        f"the generator dominates: fakes score {-log.gap:.3g} above real samples and the "
        f"discriminator's loss is {log.loss:.3g}; at chance it is {log.loss_at_chance:.3g}; "
        "try a larger learning rate of the discriminator or more discriminator_steps"
    )


def penalty_dominates(log: LogSummary) -> str | None:
    """Detect penalties that outweigh the adversarial loss."""
    adversarial = max(abs(log.loss), log.loss_at_chance)
    if log.penalty <= DOMINATING_PENALTY * adversarial:
        return None
    return (
        f"the penalties dominate: they are {log.penalty:.3g} of the discriminator's loss, the "
        f"adversarial loss is {log.loss:.3g}; try a smaller learning rate or a smaller gamma"
    )


def vanishing_gradient(log: LogSummary) -> str | None:
    """Detect a network with a gradient too small to move it."""
    for name, size in log.sizes.items():
        norm = log.values.get(f"grad_norm/{name}", math.inf)
        if norm < VANISHED * math.sqrt(size):
            return (
                f"the gradient of the {name} has vanished (norm {norm:.1g} over "
                f"{size} weights); try a smaller learning rate, another loss or a larger gamma"
            )
    return None


CHECKS: dict[str, Callable[[LogSummary], str | None]] = {
    "degenerate data": degenerate_data,
    "mode collapse": mode_collapse,
    "divergence": divergence,
    "discriminator dominates": discriminator_dominates,
    "generator dominates": generator_dominates,
    "penalty dominates": penalty_dominates,
    "vanishing gradient": vanishing_gradient,
}


class TrainingMonitor:
    """Reads the log lines of a run in order and reports the diagnoses that last.

    `schedule_steps` is the planned length of the run, by default the recipe's steps.
    """

    def __init__(self, recipe: Recipe, schedule_steps: int | None = None) -> None:
        self._loss_at_chance = loss_at_chance(recipe.loss)
        networks = {"discriminator": recipe.discriminator, "generator": recipe.generator}
        self._sizes = {
            name: sum(p.numel() for p in cast(nn.Module, network).parameters() if p.requires_grad)
            for name, network in networks.items()
        }
        self._steps = min_persistence(recipe.steps if schedule_steps is None else schedule_steps)
        self._seen: dict[str, list[int]] = {}  # name -> consecutive lines, step of the first

    def read(self, number: int, values: Mapping[str, float]) -> dict[str, str]:
        """Return the diagnoses of adversarial step `number` that have lasted, with messages."""
        if number < self._steps or "logits/gap" not in values:
            return {}
        log = LogSummary(values, self._loss_at_chance, self._sizes)
        found = {name: message for name, check in CHECKS.items() if (message := check(log))}
        before = self._seen
        self._seen = {}
        for name in found:
            lines, first = before.get(name, [0, number])
            self._seen[name] = [lines + 1, first]
        return {
            name: message
            for name, message in found.items()
            if self._seen[name][0] >= LINES and number - self._seen[name][1] >= self._steps
        }

    def state(self) -> dict[str, Any]:
        """Return what an exact continuation needs."""
        return {name: list(seen) for name, seen in self._seen.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self._seen = {name: list(seen) for name, seen in state.items()}


def min_persistence(steps: int) -> int:
    """Return the steps that a diagnosis has to last in a run of `steps`.

    As many steps at the start are ignored, so nothing is reported before twice as many.
    """
    return min(MAX_STEPS, max(MIN_STEPS, steps // STEPS_FRACTION))


def has_enough_logs(steps: int, logged: Iterable[int]) -> bool:
    """Return True if a diagnosis was possible in a run of `steps` that logged at steps `logged`."""
    read = [number for number in logged if number >= min_persistence(steps)]
    return len(read) >= LINES and read[-1] - read[0] >= min_persistence(steps)


MAX_SAMPLES = 256  # of each side
NEAR_DUPLICATE = 0.01  # of the mean distance between two reals: nearer samples count as the same
EQUAL = 1e-6  # of the reals' mean norm: a mean distance that is rounding


@torch.no_grad()
def diversity_metrics(
    discriminator: Any, real: Tensor, fake: Tensor, condition: Condition
) -> dict[str, Tensor]:
    """Measure diversity by distances in the discriminator's features, else between samples.

    `diversity/real` is the mean distance between two reals over their mean norm; `diversity/fake`
    that of two fakes over the reals'. `near_duplicates/*` are the fractions of samples with another
    one nearer than a hundredth of the reals' mean distance. Uses no random numbers and changes no
    buffer. Empty for a batch of one sample; without values of fakes where all reals are equal.
    """
    if len(real) < 2:
        return {}
    with eval_mode(discriminator):
        sides = [real, fake]
        if isinstance(discriminator, SupportsFeatures):
            sides = [discriminator.features(x, condition) for x in sides]
        sides = [x.float().flatten(1) for x in sides]
    center = sides[0].mean(0)  # cdist multiplies matrices: inaccurate far from the origin
    distances = [torch.cdist(side - center, side - center) for side in sides]
    n = len(real)
    means = [between.sum() / (n * (n - 1)) for between in distances]
    near = [
        (between.fill_diagonal_(torch.inf).amin(1) < NEAR_DUPLICATE * means[0]).float().mean()
        for between in distances
    ]
    norm = sides[0].norm(dim=1).mean()
    real_metrics = {"diversity/real": means[0] / norm.clamp_min(torch.finfo(norm.dtype).tiny)}
    if means[0] <= EQUAL * norm:
        return real_metrics
    return real_metrics | {
        "diversity/fake": means[1] / means[0],
        "near_duplicates/real": near[0],
        "near_duplicates/fake": near[1],
    }
