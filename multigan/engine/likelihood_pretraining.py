"""The stage before the game: the generator learns to give real samples a high likelihood.

Once per pass through the data it is measured on held-out samples; the weights that are best there
are the ones it ends with.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from multigan.core.modules import eval_mode
from multigan.core.protocols import Batch, Condition
from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.engine.batches import make_batch_stream
from multigan.engine.distributed import SINGLE_PROCESS, DistributedContext
from multigan.engine.optimization import NonFinitePolicy, Step, adam, optimizer_step
from multigan.engine.schedules import progress_of, value_at

HELD_OUT = "nll/valid"  # what a step reports that measured it


class LikelihoodPretraining:
    """Trains a generator with `log_likelihood`; `steps()` yields after every step.

    The loss is minus the log-likelihood of a sample in nats, averaged over the batch. The stage is
    over after `recipe.likelihood_steps`, or after `recipe.likelihood_patience` measurements in turn
    without a better one; the generator then has the best weights that were measured. `autocast` is
    the context of its forward passes.

    Raises ValueError for an empty validation split.
    """

    def __init__(
        self,
        recipe: Recipe,
        generator: Any,
        autocast: AbstractContextManager,
        *,
        seed: int,
        device: torch.device,
        workers: int = 0,
        guard: NonFinitePolicy | None = None,
        processes: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        self.guard, self.processes = NonFinitePolicy() if guard is None else guard, processes
        self.recipe, self.generator, self.autocast = recipe, generator, autocast
        self.seed, self.device = seed, device
        self.number = 0  # steps done
        self.best, self.stale = math.inf, 0  # held-out nats a sample; measurements since
        self.finished = False
        self._best_weights: dict[str, Tensor] = {}
        self.optimizer = adam(generator)
        own = keyed_rng(seed, "likelihood").initial_seed()  # other batches than the game's
        self.feed = make_batch_stream(recipe, own, device, workers, processes)
        self.held_out_data = recipe.data.split("valid")
        if len(self.held_out_data) == 0:
            raise ValueError("the validation split is empty; the likelihood stage stops by it")

    @property
    def epochs(self) -> float:
        """Passes through the data."""
        return self.feed.epochs(self.number)

    def steps(self, rate_share: float = 1.0) -> Iterator[Step]:
        """Train from the current step to the end of the stage, at a share of the learning rate."""
        batches = self.feed.batches(self.number)
        while not self.finished:
            values = self._update(next(batches), rate_share)
            self.number += 1
            out_of_steps = self.number >= self.recipe.likelihood_steps
            if out_of_steps or math.floor(self.epochs) > math.floor(
                self.feed.epochs(self.number - 1)
            ):
                values[HELD_OUT] = self.held_out()
                self._judge(values[HELD_OUT])
            patience = self.recipe.likelihood_patience
            if out_of_steps or (patience is not None and self.stale >= patience):
                self._finish()
            yield Step(self.number, 0, values)

    def _update(self, batch: Batch, rate_share: float) -> dict[str, Any]:
        progress = progress_of(self.number + 1, self.recipe.likelihood_steps)
        rate = rate_share * value_at(self.recipe.likelihood_lr, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

        def terms(x: Tensor, condition: Condition, micro: int) -> dict[str, Tensor]:
            with self.autocast:
                return {"loss/likelihood": nll(self.generator, Batch(x, condition)).mean()}

        values = optimizer_step(
            "likelihood",
            self.generator,
            self.optimizer,
            batch,
            terms,
            self.recipe.gradient_accumulation_steps,
            self.recipe.max_grad_norm,
            self.guard,
            self.processes,
        )
        return {"lr/likelihood": rate} | values

    def held_out(self) -> float:
        """Mean nats a sample of the validation split, in eval mode; processes take turns in it."""
        data, rank, world_size = self.held_out_data, self.processes.rank, self.processes.world_size
        parts = torch.arange(len(data)).split(self.recipe.batch_size)
        totals = torch.zeros(len(parts), dtype=torch.float64)
        with eval_mode(self.generator), torch.no_grad(), self.autocast:
            for k in range(rank, len(parts), world_size):
                first = int(parts[k][0])
                rng = keyed_rng(self.seed, "held out", first) if data.is_stochastic else None
                batch = tree_map(lambda leaf: leaf.to(self.device), data.batch(parts[k], rng))
                totals[k] = nll(self.generator, batch).double().sum()
        return sum(self.processes.total(totals[None]).tolist()) / len(data)

    def _judge(self, held_out: float) -> None:
        """Keep the weights if they are the best so far."""
        if held_out < self.best:
            self.best, self.stale = held_out, 0
            state = self.generator.state_dict()
            self._best_weights = {name: tensor.clone() for name, tensor in state.items()}
        else:
            self.stale += 1

    def _finish(self) -> None:
        """Go back to the best weights; none are kept where no measurement was a number."""
        if self._best_weights:
            self.generator.load_state_dict(self._best_weights)
        self._best_weights, self.finished = {}, True

    def state(self) -> dict[str, Any]:
        """What an exact continuation needs beside the generator's own tensors."""
        return {
            "number": self.number,
            "best": self.best,
            "stale": self.stale,
            "finished": self.finished,
            "best_weights": self._best_weights,
            "optimizer": {} if self.finished else self.optimizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self.number, self.finished = state["number"], state["finished"]
        self.best, self.stale = state["best"], state["stale"]
        weights = state["best_weights"]
        self._best_weights = {name: tensor.to(self.device) for name, tensor in weights.items()}
        if not self.finished:
            self.optimizer.load_state_dict(state["optimizer"])


def nll(generator: Any, batch: Batch) -> Tensor:
    """Minus the log-likelihood of each sample (B,)."""
    return -generator.log_likelihood(batch)
