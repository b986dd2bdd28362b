"""Likelihood pretraining: the generator maximizes the likelihood of real samples.

The NLL of the validation split is computed once per epoch. The weights with the lowest are the
ones it ends with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from multigan.core.modules import eval_mode
from multigan.core.protocols import Batch, SupportsLikelihood
from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.engine.batches import compacted, make_batch_stream, micro_batches
from multigan.engine.distributed import SINGLE_PROCESS, DistributedContext
from multigan.engine.optimization import (
    NonFinitePolicy,
    Step,
    Values,
    adam,
    clear_gradients,
    detached,
    prepare_gradients,
    restore_optimizer,
)
from multigan.engine.schedules import BETA1, BETA2, LR, progress_of, value_at

VALIDATION_NLL = "nll/valid"  # log key of a step that computed it


class LikelihoodPretraining:
    """Trains a generator with `log_likelihood`; `steps()` yields after every step.

    The loss is the NLL of a sample in nats, averaged over the batch. Pretraining ends after
    `recipe.likelihood_steps`, or after `recipe.likelihood_patience` evaluations in a row without a
    better one. The generator then has its best weights. `autocast` is the context of its forward
    passes.

    Raises ValueError for an empty validation split.
    """

    def __init__(
        self,
        recipe: Recipe,
        generator: Any,
        autocast: AbstractContextManager[None],
        *,
        seed: int,
        device: torch.device,
        num_workers: int = 0,
        nonfinite_policy: NonFinitePolicy | None = None,
        processes: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        self.nonfinite_policy = NonFinitePolicy() if nonfinite_policy is None else nonfinite_policy
        self.recipe, self.generator, self.autocast = recipe, generator, autocast
        self.seed, self.device, self.processes = seed, device, processes
        self.number = 0  # steps done
        self.best = math.inf  # validation NLL, nats per sample
        self.evaluations_since_best = 0
        self.finished = False
        self._best_weights: dict[str, Tensor] = {}
        self.optimizer, self._parameters = adam(generator), list(generator.parameters())
        own_seed = keyed_rng(seed, "likelihood").initial_seed()  # not the adversarial batches
        self.reals = make_batch_stream(
            recipe, own_seed, device, num_workers, processes, compact=True
        )
        self.validation_data = compacted(recipe.data.split("valid"))
        if len(self.validation_data) == 0:
            raise ValueError(
                "likelihood pretraining must have a validation split to stop by; got an empty one: "
                "set likelihood_steps to 0"
            )

    @property
    def epochs(self) -> float:
        """Passes through the data."""
        return self.reals.epochs(self.number)

    def steps(self, lr_scale: float = 1.0) -> Iterator[Step]:
        """Train from the current step to the last, at `lr_scale` times the learning rate."""
        batches = self.reals.batches(self.number)
        while not self.finished:
            values = self._update(next(batches), lr_scale)
            self.number += 1
            out_of_steps = self.number >= self.recipe.likelihood_steps
            epochs_before = self.reals.epochs(self.number - 1)
            if out_of_steps or math.floor(self.epochs) > math.floor(epochs_before):
                values[VALIDATION_NLL] = self.validation_nll()
                self._keep_best(values[VALIDATION_NLL])
            patience = self.recipe.likelihood_patience
            if out_of_steps or (patience is not None and self.evaluations_since_best >= patience):
                self._finish()
            yield Step(self.number, 0, values)

    def _update(self, batch: Batch, lr_scale: float) -> Values:
        """Do one update on a batch; return its losses and the learning rate."""
        recipe, optimizer = self.recipe, self.optimizer
        progress = progress_of(self.number + 1, recipe.likelihood_steps)
        lr = lr_scale * value_at(recipe.likelihood_lr, progress)
        for group in optimizer.param_groups:
            group["lr"] = lr
        parts = []
        clear_gradients(self._parameters)
        for part in micro_batches(batch, recipe.gradient_accumulation_steps):
            with self.autocast:
                losses = {"loss/likelihood": nll(self.generator, part).mean()}
            (losses["loss/likelihood"] / recipe.gradient_accumulation_steps).backward()
            parts.append(detached(losses))
        values = prepare_gradients(
            "likelihood",
            self._parameters,
            parts,
            self.nonfinite_policy,
            recipe.max_grad_norm,
            self.processes,
        )
        if values:
            optimizer.step()
        clear_gradients(self._parameters)
        group = optimizer.param_groups[0]
        betas = dict(zip((BETA1, BETA2), group.get("betas", ()), strict=False))  # of Adam alone
        return {LR + "likelihood": lr} | betas | values

    def validation_nll(self) -> float:
        """Return the mean NLL of the validation split in nats, in eval mode.

        The processes share its batches.
        """
        data, rank, world_size = (
            self.validation_data,
            self.processes.rank,
            self.processes.world_size,
        )
        parts = torch.arange(len(data)).split(self.recipe.batch_size)
        totals = torch.zeros(len(parts), dtype=torch.float64)
        with eval_mode(self.generator), torch.no_grad(), self.autocast:
            for k in range(rank, len(parts), world_size):
                first = int(parts[k][0])
                rng = keyed_rng(self.seed, "held out", first) if data.is_stochastic else None
                batch = tree_map(lambda leaf: leaf.to(self.device), data.batch(parts[k], rng))
                totals[k] = nll(self.generator, batch).double().sum()
        return float(sum(self.processes.all_reduce_sum(totals[None]).tolist()) / len(data))

    def _keep_best(self, validation_nll: float) -> None:
        """Keep the weights if they are the best so far."""
        if validation_nll < self.best:
            self.best, self.evaluations_since_best = validation_nll, 0
            state = self.generator.state_dict()
            self._best_weights = {name: tensor.clone() for name, tensor in state.items()}
        else:
            self.evaluations_since_best += 1

    def _finish(self) -> None:
        """Return to the best weights; there are none where no NLL was finite."""
        if self._best_weights:
            self.generator.load_state_dict(self._best_weights)
        self._best_weights, self.finished = {}, True

    def state(self) -> dict[str, Any]:
        """Return what an exact continuation needs in addition to the generator's own tensors."""
        return {
            "number": self.number,
            "best": self.best,
            "evaluations_since_best": self.evaluations_since_best,
            "finished": self.finished,
            "best_weights": self._best_weights,
            "optimizer": {} if self.finished else self.optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self.number, self.finished = state["number"], state["finished"]
        self.best = state["best"]
        self.evaluations_since_best = state["evaluations_since_best"]
        weights = state["best_weights"]
        self._best_weights = {name: tensor.to(self.device) for name, tensor in weights.items()}
        if not self.finished:
            restore_optimizer(self.optimizer, state["optimizer"])


def nll(generator: SupportsLikelihood, batch: Batch) -> Tensor:
    """Return the negative log-likelihood of each sample (B,), in nats."""
    return -generator.log_likelihood(batch)
