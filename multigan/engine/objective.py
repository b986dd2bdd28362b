"""What each network minimises on one batch: loss and penalties, reduced to one number.

A loss applies to each logit, paired by index; a sample's loss is the mean over its logits, weighted
where D gives weights (a pair counts with the product of its two weights). A penalty differentiates
the weighted mean logit of each sample, so that gamma does not depend on the number of logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.protocols import Augment, Condition
from multigan.core.trees import tree_cat
from multigan.engine.distributed import SINGLE_PROCESS, DistributedContext
from multigan.engine.gradient_penalties import get_penalty, squared_norm
from multigan.engine.losses import get_loss


class WeightedLogits(NamedTuple):
    """D's logits (B, L) and their weights (B, L): L logits a sample."""

    logits: Tensor
    weights: Tensor

    def per_sample(self) -> Tensor:
        """The weighted mean logit of each sample (B,)."""
        return weighted_mean(self.logits, self.weights)

    def subtract_mean(self, mean: Tensor) -> WeightedLogits:
        """These logits less the other side's mean over the batch."""
        return WeightedLogits(self.logits - mean, self.weights)

    def split_real_fake(self) -> tuple[WeightedLogits, WeightedLogits]:
        """The scores of the first and of the second half of the batch."""
        logits, weights = self.logits.tensor_split(2), self.weights.tensor_split(2)
        return WeightedLogits(logits[0], weights[0]), WeightedLogits(logits[1], weights[1])


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean over the logits of each sample: (B, L), (B, L) -> (B,); 0 where all weights are 0."""
    total = weights.sum(1)
    return (values * weights).sum(1) / torch.where(total > 0, total, 1)


def as_weighted_logits(output: Tensor | tuple[Tensor, Tensor]) -> WeightedLogits:
    """D's output, logits (B, ...) or a pair with weights, as a Score in float32 or wider."""
    logits, weights = output if isinstance(output, tuple) else (output, torch.ones_like(output))
    wide = torch.promote_types(logits.dtype, torch.float32)
    rows = len(logits)
    return WeightedLogits(logits.to(wide).reshape(rows, -1), weights.to(wide).reshape(rows, -1))


class Objective:
    """The game of one recipe on given networks: two functions of a batch.

    With `compile` D runs compiled where no penalty is taken, but for its embedding. With several
    processes a batch is this one's share of the rows. Raises ValueError where D couples the samples
    of a batch and a penalty needs their gradients apart or other processes have some of them, where
    D embeds its input and an augmentation would have to come before the embedding, or where an
    augmentation adapts to the sign of logits that the loss leaves free.
    """

    def __init__(
        self,
        discriminator: Any,
        loss: str,
        penalties: Mapping[str, Any],
        augment: Augment | None = None,
        compile: bool = False,
        processes: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        self.discriminator, self.augment, self.processes = discriminator, augment, processes
        self.loss = get_loss(loss)
        self.penalties = {name: get_penalty(name) for name in penalties}
        self.needs_signs = hasattr(augment, "update_probability")
        if self.needs_signs and self.loss.decision_boundary is None:
            raise ValueError(
                "the augmentation adapts to the side on which D's real logits stand, and the loss "
                f"{loss} knows no sides: take a scheduled one, or the loss nonsaturating or hinge"
            )
        self.uses_batch_statistics = bool(getattr(discriminator, "uses_batch_statistics", False))
        self.embeds = hasattr(discriminator, "embed")
        judge = discriminator.score if self.embeds else discriminator
        self._forward = torch.compile(judge) if compile else judge
        if penalties and self.uses_batch_statistics:
            raise ValueError(
                f"penalties {', '.join(penalties)} need each sample's own gradient, but the "
                "discriminator couples the batch (batch norm, minibatch stddev or packing): "
                "take one of the two away"
            )
        if self.uses_batch_statistics and processes.world_size > 1:
            raise ValueError(
                "the discriminator couples the batch (batch norm, minibatch stddev or packing), "
                f"whose rows {processes.world_size} processes share: train it in one"
            )
        if penalties and self.embeds and augment is not None:
            raise ValueError(
                "penalties on this discriminator are taken at its embedding, where no "
                "augmentation can come before them: take one of the two away"
            )

    def discriminator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Condition,
        gammas: Mapping[str, float],
        rng: torch.Generator,
    ) -> dict[str, Tensor]:
        """`loss/discriminator` to minimise, and its parts; `gammas` are those due in this step."""
        if self.uses_batch_statistics:
            real_score = self._score([real], condition, rng)
            fake_score = self._score([fake], condition, rng)
        else:  # one forward for both sides, whose slopes are then one autograd call
            both, conditions = [real, fake], tree_cat([condition, condition])
            at_ends = any(self.penalties[name].at in ("real", "fake") for name in gammas)
            if at_ends:
                score, squared = self._input_gradient_norms(both, conditions, rng)
                slopes = dict(zip(("real", "fake"), squared.tensor_split(2), strict=True))
            else:
                score = self._score(both, conditions, rng)
            real_score, fake_score = score.split_real_fake()
        loss = self._reduce(self.loss.discriminator, real_score, fake_score)
        values = {
            "logits/real": real_score.per_sample().mean(),
            "logits/fake": fake_score.per_sample().mean(),
        }
        if self.needs_signs and self.loss.decision_boundary is not None:
            values["signs/real"] = (
                (real_score.per_sample() - self.loss.decision_boundary).sign().mean()
            )
        if gammas:
            values["loss/discriminator_adversarial"] = loss  # without the penalties
        for name, gamma in gammas.items():
            at, cost = self.penalties[name]
            if callable(at):
                points = self._penalty_points(at, real, fake, rng)
                squared = self._input_gradient_norms([points], condition, rng)[1]
            else:
                squared = slopes[at]
            values[f"penalty/{name}"] = cost(squared).mean()
            loss = loss + gamma * values[f"penalty/{name}"]
        return {"loss/discriminator": loss} | values

    def generator_loss(
        self,
        real: Tensor,
        fake: Tensor,
        condition: Condition,
        rng: torch.Generator,
        policy_loss: Callable[..., Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """`loss/generator` to minimise; D is frozen, so no weight gradient of it is computed.

        Where no gradient flows through `fake`, its maker's `policy_loss`, if it has one, is
        minimised instead, and what the game costs it is reported as `loss/generator_adversarial`.
        """
        real_score = None
        with frozen_parameters(self.discriminator):
            fake_score = self._score([fake], condition, rng)
            if self.loss.generator_sees_real:
                with torch.no_grad():
                    real_score = self._score([real], condition, rng)
        costs, weights = self._per_logit_losses(self.loss.generator, real_score, fake_score)
        cost = weighted_mean(costs, weights).mean()
        if policy_loss is None or fake.requires_grad:
            return {"loss/generator": cost}
        paid = (costs.detach(), weights.detach(), self.processes.all_reduce_sum)
        loss = policy_loss(fake, condition, *paid).mean()
        return {"loss/generator": loss, "loss/generator_adversarial": cost}

    def _score(
        self, sides: list[Tensor], condition: Condition, rng: torch.Generator
    ) -> WeightedLogits:
        """The scores of one side of the game or of both, in one forward."""
        if self.augment is not None:
            seen, condition = self._augmented(_joined(sides), condition, rng, len(sides))
            sides = [seen]
        return as_weighted_logits(self._forward(self._embed(sides), condition))

    def _embed(self, sides: list[Tensor]) -> Tensor:
        """The sides as one batch, embedded before they are joined: an embedding is narrower."""
        return _joined([self.discriminator.embed(x) for x in sides] if self.embeds else sides)

    def _augmented(
        self, x: Tensor, condition: Condition, rng: torch.Generator, sides: int
    ) -> tuple[Tensor, Condition]:
        """What D sees of x, one side of the game or both; drawn for the rows of all processes."""
        if self.augment is None:
            return x, condition
        everyone = self.processes.tile((x, condition), sides)
        return self.processes.local_shard(self.augment(everyone[0], everyone[1], rng), sides)

    def _penalty_points(
        self, at: Callable[..., Tensor], real: Tensor, fake: Tensor, rng: torch.Generator
    ) -> Tensor:
        """Where a penalty takes its slopes, which may depend on the rows of all processes."""
        everyone = self.processes.all_gather((real, fake))
        return self.processes.local_shard(at(*everyone, rng))

    def _input_gradient_norms(
        self, sides: list[Tensor], condition: Condition, rng: torch.Generator
    ) -> tuple[WeightedLogits, Tensor]:
        """The scores at the sides, and |grad of each sample's mean logit|^2 (B,) with its graph.

        The slope is taken before augmentation, or at D's embedding; samples do not meet in D, so
        the gradient of the sum serves all of them.
        """
        d, entry = self.discriminator, self._embed(sides)
        if self.embeds:
            entry = entry if entry.requires_grad else entry.requires_grad_()
            score = as_weighted_logits(d.score(entry, condition))
        else:
            entry = entry.detach().requires_grad_()
            score = as_weighted_logits(d(*self._augmented(entry, condition, rng, len(sides))))
        (slope,) = torch.autograd.grad(score.per_sample().sum(), entry, create_graph=True)
        return score, d.squared_input_norm(slope) if self.embeds else squared_norm(slope)

    def _reduce(
        self, loss: Callable[..., Tensor], real: WeightedLogits | None, fake: WeightedLogits
    ) -> Tensor:
        return weighted_mean(*self._per_logit_losses(loss, real, fake)).mean()

    def _per_logit_losses(
        self, loss: Callable[..., Tensor], real: WeightedLogits | None, fake: WeightedLogits
    ) -> tuple[Tensor, Tensor]:
        """What each logit costs (B, L), and its weight (B, L)."""
        if real is None:
            return loss(None, fake.logits), fake.weights
        if self.loss.subtracts_opposite_mean:
            means = [self.processes.global_mean(side.per_sample()) for side in (fake, real)]
            real, fake = real.subtract_mean(means[0]), fake.subtract_mean(means[1])
        return loss(real.logits, fake.logits), real.weights * fake.weights


def _joined(sides: list[Tensor]) -> Tensor:
    """One batch of all; a single side as it is, without a copy."""
    return sides[0] if len(sides) == 1 else torch.cat(sides)


@contextmanager
def frozen_parameters(module: nn.Module) -> Iterator[None]:
    """A block in which no parameter of `module` requires a gradient; its own mask returns."""
    thawed = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in thawed:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in thawed:
            parameter.requires_grad_(True)
