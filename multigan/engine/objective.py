"""Objective of each network on one batch: loss and penalties, reduced to one number.

A loss applies to each logit, paired by index. A sample's loss is the mean over its logits, weighted
where the discriminator gives weights; a pair counts with the product of its two weights. A penalty
differentiates the weighted mean logit of each sample, so gamma does not depend on their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.protocols import (
    Augment,
    Condition,
    Discriminator,
    SupportsAdaptation,
    SupportsEmbeddingPenalty,
)
from multigan.core.trees import tree_cat
from multigan.engine.distributed import SINGLE_PROCESS, DistributedContext
from multigan.engine.gradient_penalties import get_penalty, squared_norm
from multigan.engine.losses import LOSSES, check_loss, get_loss, of_every_logit

BOUNDED = [name for name, loss in LOSSES.items() if loss.decision_boundary is not None]


class WeightedLogits(NamedTuple):
    """Logits (B, L) of the discriminator and their weights (B, L): L logits per sample."""

    logits: Tensor
    weights: Tensor | None  # None: all are 1

    def per_sample(self) -> Tensor:
        """Return the weighted mean logit of each sample (B,)."""
        return weighted_mean(self.logits, self.weights)

    def subtract_mean(self, mean: Tensor) -> WeightedLogits:
        """Subtract the mean (0-dim) of the other side's logits."""
        return WeightedLogits(self.logits - mean, self.weights)

    def split_real_fake(self) -> tuple[WeightedLogits, WeightedLogits]:
        """Split a batch of reals followed by as many fakes."""
        logits = self.logits.tensor_split(2)
        weights = (None, None) if self.weights is None else self.weights.tensor_split(2)
        return WeightedLogits(logits[0], weights[0]), WeightedLogits(logits[1], weights[1])


def weighted_mean(values: Tensor, weights: Tensor | None) -> Tensor:
    """Average over the logits: (B, L), (B, L) -> (B,); 0 where all weights are 0."""
    if weights is None:
        return values.squeeze(1) if values.shape[1] == 1 else values.sum(1) / values.shape[1]
    total = weights.sum(1)
    return (values * weights).sum(1) / torch.where(total > 0, total, 1)


def as_weighted_logits(output: Tensor | tuple[Tensor, Tensor]) -> WeightedLogits:
    """Convert logits (B, ...), or a pair with weights, to float32 or wider (B, L)."""
    logits, weights = output if isinstance(output, tuple) else (output, None)
    wide, rows = torch.promote_types(logits.dtype, torch.float32), len(logits)
    if weights is not None:
        weights = weights.to(wide).reshape(rows, -1)
    return WeightedLogits(logits.to(wide).reshape(rows, -1), weights)


class Objective:
    """Losses of both networks as functions of a batch.

    With `compile` the discriminator runs compiled where no penalty is taken, except its embedding.
    With several processes a batch is this process's share of the rows.

    Raises ValueError for three combinations: batch statistics with penalties or several processes;
    penalties at an embedding with an augmentation; an adaptive augmentation with a loss that has no
    decision boundary.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        loss: Any,
        penalties: Mapping[str, Any],
        augment: Augment | None = None,
        compile: bool = False,
        processes: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        self.discriminator: Any = discriminator
        self.augment, self.processes = augment, processes
        check_loss(loss)
        self.loss = get_loss(loss)
        self.penalties = {name: get_penalty(name) for name in penalties}
        self.last_logits: tuple[Tensor, Tensor] | None = None  # of reals and fakes, (B,) each
        self.needs_signs = isinstance(augment, SupportsAdaptation)
        if self.needs_signs and self.loss.decision_boundary is None:
            raise ValueError(
                "an adaptive augmentation must have a loss with a fixed decision boundary "
                f"({', '.join(BOUNDED)}); got {loss!r}: change "
                "the loss or take a scheduled augmentation"
            )
        self.uses_batch_statistics = discriminator.uses_batch_statistics
        self.embeds = isinstance(discriminator, SupportsEmbeddingPenalty)
        forward: Callable[..., Any] = discriminator
        if isinstance(discriminator, SupportsEmbeddingPenalty):
            forward = discriminator.score
        self._forward = torch.compile(forward) if compile else forward
        if penalties and self.uses_batch_statistics:
            raise ValueError(
                f"penalties {', '.join(penalties)} need each sample's own gradient; the "
                "discriminator uses batch statistics (batch norm, minibatch stddev or packing): "
                "remove either"
            )
        if self.uses_batch_statistics and processes.world_size > 1:
            raise ValueError(
                "a discriminator with batch statistics (batch norm, minibatch stddev or packing) "
                f"must be trained in one process; got {processes.world_size}"
            )
        if penalties and self.embeds and augment is not None:
            raise ValueError(
                "penalties of this discriminator are taken at its embedding, which an augmentation "
                "cannot precede: remove either"
            )

    def discriminator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Condition,
        gammas: Mapping[str, float | Tensor],
        rng: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return `loss/discriminator` to minimize and its parts, with the penalties of `gammas`."""
        if self.uses_batch_statistics:
            real_logits = self._logits([real], condition, rng)
            fake_logits = self._logits([fake], condition, rng)
        else:  # one forward pass for both sides: one autograd call for their gradients
            both, conditions = [real, fake], tree_cat([condition, condition])
            at_ends = any(self.penalties[name].at in ("real", "fake") for name in gammas)
            if at_ends:
                logits, squared = self._input_gradient_norms(both, conditions, rng)
                norms = dict(zip(("real", "fake"), squared.tensor_split(2), strict=True))
            else:
                logits = self._logits(both, conditions, rng)
            real_logits, fake_logits = logits.split_real_fake()
        loss = self._reduce(self.loss.discriminator, real_logits, fake_logits)
        of_real, of_fake = real_logits.per_sample().detach(), fake_logits.per_sample().detach()
        self.last_logits = (of_real, of_fake)
        values = {"logits/real": of_real.mean(), "logits/fake": of_fake.mean()}
        if self.needs_signs and self.loss.decision_boundary is not None:
            values["signs/real"] = (of_real - self.loss.decision_boundary).sign().mean()
        if self.penalties:
            values["loss/discriminator_adversarial"] = loss  # without the penalties
        for name, gamma in gammas.items():
            at, cost = self.penalties[name]
            if callable(at):
                points = self._penalty_points(at, real, fake, rng)
                squared = self._input_gradient_norms([points], condition, rng)[1]
            else:
                squared = norms[at]
            values[f"penalty/{name}"] = cost(squared).mean()
            weight = gamma.to(loss) if isinstance(gamma, Tensor) else gamma
            loss = loss + weight * values[f"penalty/{name}"]
        return {"loss/discriminator": loss} | values

    def generator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Condition,
        rng: torch.Generator,
        policy_loss: Callable[..., Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return `loss/generator` to minimize, with the discriminator's weights frozen.

        Where no gradient flows through `fake`, the generator's `policy_loss`, if given, is
        minimized instead; the adversarial loss is then reported as `loss/generator_adversarial`.
        Raises ValueError there for a loss that is a mean, as no logit has an advantage.
        """
        real_logits = None
        with frozen_parameters(self._parameters):
            fake_logits = self._logits([fake], condition, rng)
            if self.loss.generator_sees_real:
                with torch.no_grad():
                    real_logits = self._logits([real], condition, rng)
        costs, weights = self._per_logit_losses(self.loss.generator, real_logits, fake_logits)
        cost = weighted_mean(costs, weights).mean()
        if policy_loss is None or fake.requires_grad:
            return {"loss/generator": cost}
        if not any(costs.stride()):  # one number, expanded
            raise ValueError(
                "loss must return a value for each logit with estimator reinforce; got a mean"
            )
        weights = torch.ones_like(costs) if weights is None else weights.detach()
        arguments = (costs.detach(), weights, self.processes.all_reduce_sum)
        loss = policy_loss(fake, condition, *arguments).mean()
        return {"loss/generator": loss, "loss/generator_adversarial": cost}

    @cached_property
    def _parameters(self) -> list[nn.Parameter]:
        """The parameters of the discriminator; found once, as that is slow."""
        return list(self.discriminator.parameters())

    def _logits(
        self, sides: list[Tensor], condition: Condition, rng: torch.Generator
    ) -> WeightedLogits:
        """Return the logits of one side (real, fake) or of both, in one forward pass."""
        if self.augment is not None:
            x, condition = self._augmented(_concatenated(sides), condition, rng, len(sides))
            sides = [x]
        return as_weighted_logits(self._forward(self._embed(sides), condition))

    def _embed(self, sides: list[Tensor]) -> Tensor:
        """Concatenate the sides, after the embedding where there is one: it is narrower."""
        return _concatenated([self.discriminator.embed(x) for x in sides] if self.embeds else sides)

    def _augmented(
        self, x: Tensor, condition: Condition, rng: torch.Generator, sides: int
    ) -> tuple[Tensor, Condition]:
        """Augment one side or both, with the random numbers of the rows of all processes."""
        if self.augment is None:
            return x, condition
        x, condition = self.processes.tile((x, condition), sides)
        shard: tuple[Tensor, Condition] = self.processes.local_shard(
            self.augment(x, condition, rng), sides
        )
        return shard

    def _penalty_points(
        self, at: Callable[..., Tensor], real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Return the points (B, ...) of a penalty, a function of the rows of all processes."""
        everywhere = self.processes.all_gather((real, fake))
        points: Tensor = self.processes.local_shard(at(*everywhere, rng))
        return points

    def _input_gradient_norms(
        self, sides: list[Tensor], condition: Condition, rng: torch.Generator
    ) -> tuple[WeightedLogits, Tensor]:
        """Return the logits and |gradient of each sample's mean logit|^2 (B,), with its graph.

        The gradient is taken before augmentation, or at the discriminator's embedding. Samples do
        not interact, so one gradient of the sum is that of each of them.
        """
        d, x = self.discriminator, self._embed(sides)
        if self.embeds:
            x = x if x.requires_grad else x.requires_grad_()
            logits = as_weighted_logits(d.score(x, condition))
        else:
            x = x.detach().requires_grad_()
            logits = as_weighted_logits(d(*self._augmented(x, condition, rng, len(sides))))
        (gradient,) = torch.autograd.grad(logits.per_sample().sum(), x, create_graph=True)
        return logits, d.squared_input_norm(gradient) if self.embeds else squared_norm(gradient)

    def _reduce(
        self, loss: Callable[..., Tensor], real: WeightedLogits | None, fake: WeightedLogits
    ) -> Tensor:
        return weighted_mean(*self._per_logit_losses(loss, real, fake)).mean()

    def _per_logit_losses(
        self, loss: Callable[..., Tensor], real: WeightedLogits | None, fake: WeightedLogits
    ) -> tuple[Tensor, Tensor | None]:
        """Return the loss of each logit (B, L) and its weight (B, L), None where all are 1."""
        if real is None:
            return of_every_logit(loss(None, fake.logits), fake.logits), fake.weights
        if self.loss.subtracts_opposite_mean:
            means = [self.processes.global_mean(side.per_sample()) for side in (fake, real)]
            real, fake = real.subtract_mean(means[0]), fake.subtract_mean(means[1])
        costs = of_every_logit(loss(real.logits, fake.logits), fake.logits)
        if real.weights is None or fake.weights is None:
            return costs, fake.weights
        return costs, real.weights * fake.weights


def _concatenated(sides: list[Tensor]) -> Tensor:
    """Concatenate tensors; a single one is not copied."""
    return sides[0] if len(sides) == 1 else torch.cat(sides)


@contextmanager
def frozen_parameters(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Freeze the parameters in a block; those that were trainable are so after it."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
