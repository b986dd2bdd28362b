"""The adversarial training loop: discriminator and generator take turns, one Step at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from multigan.core.protocols import Batch, Condition
from multigan.core.recipe import Recipe
from multigan.core.trees import tree_map
from multigan.engine.averaging import EMA, Lookahead
from multigan.engine.batches import FakeBatches, StepRandomness, make_batch_stream, phase_name
from multigan.engine.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    restore_rng_state,
    rng_state,
)
from multigan.engine.likelihood_pretraining import LikelihoodPretraining, nll
from multigan.engine.monitoring import MAX_SAMPLES, diversity_metrics
from multigan.engine.objective import Objective
from multigan.engine.optimization import (
    RAISE,
    SKIP,
    Autocast,
    LossTerms,
    NonFinitePolicy,
    Step,
    adam,
    average_metrics,
    optimizer_step,
)
from multigan.engine.recipe_checks import check_recipe
from multigan.engine.schedules import (
    apply_schedules,
    penalty_weights,
    progress_of,
    value_at,
    with_burn_in,
)
from multigan.engine.sync_batch_norm import sync_batch_norm


class AdversarialTrainer:
    """Trains the networks of a recipe; `steps()` yields after every step.

    Where the recipe has a likelihood stage, `likelihood`, its steps come first; `number` and the
    schedules count those of the game alone.

    Every draw is a pure function of (seed, step, phase, micro-batch), so a trainer that was
    restored from `state()` continues bit by bit. Penalties are taken in float32 whatever the
    precision, and never through a compiled network. Each of several `processes` has its share of
    the batch; together they do what one would. Raises ValueError for a recipe that cannot be
    played, in one line.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        horizon: int | None = None,
        precision: str = "fp32",
        compile: bool = False,
        workers: int = 0,
        not_finite: str = RAISE,
        processes: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        check_recipe(recipe)
        self.recipe = with_burn_in(recipe)
        self.seed, self.device, self.processes = seed, torch.device(device), processes
        self._autocast = Autocast(precision, self.device)
        self._draws = StepRandomness(seed, self.device, processes)
        self.horizon = recipe.steps if horizon is None else horizon  # steps of the schedules
        self.number = 0  # steps done
        self.rate_share = 1.0  # of the learning rates: less after going back from a failure
        self.guard = NonFinitePolicy(not_finite)
        self._last: tuple[Tensor, Tensor, Condition] | None = None  # D's last batch
        self.generator = cast(Any, recipe.generator)
        self.discriminator = cast(Any, recipe.discriminator)
        for network in (self.generator, self.discriminator):
            network.to(self.device).train()
        self.fakes = FakeBatches(self.generator, recipe, self._draws, compile)
        self.ema = EMA(self.generator)
        sync_batch_norm(self.generator, processes)
        self.feed = make_batch_stream(recipe, seed, self.device, workers, processes)
        self.objective = Objective(
            self.discriminator,
            recipe.loss,
            {name: gamma for name, gamma in recipe.penalties.items() if gamma != 0},
            recipe.augment,
            compile=compile,
            processes=processes,
        )
        self.optimizers = {
            "generator": adam(self.generator),
            "discriminator": adam(self.discriminator),
        }
        self.lookahead = Lookahead(
            [self.generator, self.discriminator], recipe.lookahead_interval, recipe.lookahead_alpha
        )
        self.likelihood: LikelihoodPretraining | None = None
        if recipe.likelihood_steps > 0:
            self.likelihood = LikelihoodPretraining(
                recipe,
                self.generator,
                self._autocast(True),
                seed=seed,
                device=self.device,
                workers=workers,
                guard=self.guard,
                processes=processes,
            )

    @property
    def samples_seen(self) -> int:
        """Real samples that D's updates have seen."""
        return self.number * self.recipe.discriminator_steps * self.recipe.batch_size

    @property
    def steps_before(self) -> int:
        """Steps of the likelihood stage, as far as it has come."""
        return 0 if self.likelihood is None else self.likelihood.number

    @property
    def steps_done(self) -> int:
        """Steps of both stages so far."""
        return self.steps_before + self.number

    @property
    def learnt(self) -> bool:
        """Whether the last step was the last one of a likelihood stage."""
        return self.likelihood is not None and self.likelihood.finished and self.number == 0

    @property
    def total(self) -> int:
        """Steps of both stages; at most, while the likelihood stage may still end early."""
        ahead = self.likelihood is not None and not self.likelihood.finished
        return self.recipe.steps + (self.recipe.likelihood_steps if ahead else self.steps_before)

    @property
    def epochs(self) -> float:
        """Passes of this stage through the data; G's updates draw real batches of their own."""
        if self.likelihood is not None and not self.likelihood.finished:
            return self.likelihood.epochs
        return self.feed.epochs(self.number * self._batches_per_step)

    @property
    def _batches_per_step(self) -> int:
        return self.recipe.discriminator_steps + 1

    def networks(self) -> dict[str, nn.Module]:
        """The three networks, under the names of their weight files."""
        return {
            "generator": self.generator,
            "generator_ema": self.ema.module,
            "discriminator": self.discriminator,
        }

    def align(self) -> None:
        """Let all processes go on from the tensors of the first one."""
        self.processes.copy_first(self.networks().values())

    def steps(self) -> Iterator[Step]:
        """Train from the current step to the recipe's last, the likelihood stage first."""
        self.align()
        if self.likelihood is not None:
            for step in self.likelihood.steps(self.rate_share):
                self.ema.update(0, 0, halflife_samples=0)  # a copy: nothing to smooth yet
                yield step
        if self.number == 0:
            self.lookahead.begin()
        batches = self.feed.batches(self.number * self._batches_per_step)
        while self.number < self.recipe.steps:
            yield self._step(batches)

    def _step(self, batches: Iterator[Batch]) -> Step:
        progress = progress_of(self.number + 1, self.horizon)
        values = apply_schedules(
            self.recipe, self.optimizers, self.generator, progress, self.rate_share
        )

        # discriminator updates, behind an augmentation that may have a schedule of its own
        augment: Any = self.recipe.augment
        if hasattr(augment, "anneal"):
            values |= augment.anneal(progress)
        reals = [next(batches) for _ in range(self.recipe.discriminator_steps)]
        with torch.no_grad(), self._autocast(True):
            ahead = self.fakes.ahead(reals, self.number)
        parts = [
            self._discriminator_update(real, fake, update, progress)
            for update, (real, fake) in enumerate(zip(reals, ahead, strict=True))
        ]
        values |= average_metrics(parts)
        if "signs/real" in values:
            seen = self.recipe.discriminator_steps * self.recipe.batch_size
            values |= augment.update_probability(values["signs/real"], seen)
        if "logits/real" in values:  # else every one of them was left out
            values["logits/gap"] = values["logits/real"] - values["logits/fake"]

        # generator update, on a real batch of its own
        moved = self._generator_update(next(batches))
        values |= moved

        # a step back of both players, then the moving average of a generator that has moved
        self.number += 1
        self.lookahead.update(self.number)
        if moved:
            self.ema.update(
                self.recipe.discriminator_steps * self.recipe.batch_size,
                self.samples_seen,
                value_at(self.recipe.ema_halflife_samples, progress),
            )
        if self.guard.policy == SKIP:
            values["skipped_updates"] = self.guard.skipped
        return Step(self.steps_done, self.samples_seen, values)

    def _discriminator_update(
        self, batch: Batch, ahead: Tensor | None, update: int, progress: float
    ) -> dict[str, Tensor | float]:
        count = self.number * self.recipe.discriminator_steps + update
        due = count % self.recipe.penalty_interval == 0
        gammas = penalty_weights(self.recipe, progress) if due else {}

        def loss(real: Tensor, condition: Condition, micro: int) -> dict[str, Tensor]:
            key = (phase_name(update), micro)
            fake = ahead
            if fake is None:
                with torch.no_grad(), self._autocast(True):
                    fake = self.fakes.draw(len(real), condition, self.number, *key)
            fake = fake.to(real.dtype)
            self._last = (real, fake, condition)
            with self._autocast(not gammas):
                return self.objective.of_discriminator(
                    real, fake, condition, gammas, self._draws.rng("objective", self.number, *key)
                )

        return self._update("discriminator", batch, loss)

    def _generator_update(self, batch: Batch) -> dict[str, Tensor | float]:
        progress = progress_of(self.number + 1, self.horizon)
        weight = value_at(self.recipe.likelihood_weight, progress)

        def loss(real: Tensor, condition: Condition, micro: int) -> dict[str, Tensor]:
            with self._autocast(True):
                fake = self.fakes.draw(len(real), condition, self.number, "generator", micro)
                rng = self._draws.rng("objective", self.number, "generator", micro)
                policy_loss = getattr(self.generator, "policy_loss", None)
                terms = self.objective.of_generator(real, fake, condition, rng, policy_loss)
                if weight > 0:
                    cost = nll(self.generator, Batch(real, condition)).mean()
                    terms |= {
                        "loss/likelihood": cost,
                        "loss/generator": terms["loss/generator"] + weight * cost,
                    }
                return terms

        return self._update("generator", batch, loss)

    def _update(self, name: str, batch: Batch, terms: LossTerms) -> dict[str, Tensor | float]:
        recipe = self.recipe
        return optimizer_step(
            name,
            getattr(self, name),
            self.optimizers[name],
            batch,
            terms,
            recipe.gradient_accumulation_steps,
            recipe.max_grad_norm,
            self.guard,
            self.processes,
        )

    def look(self) -> dict[str, Tensor]:
        """How varied the last fakes of D's updates were beside their reals (engine/variety.py)."""
        if self._last is None:
            return {}
        rows = tree_map(lambda leaf: leaf[: MAX_SAMPLES // self.processes.world_size], self._last)
        return diversity_metrics(self.discriminator, *self.processes.gather(rows))

    def state(self) -> dict[str, Any]:
        """What an exact continuation needs beside the networks' own tensors."""
        augment: Any = self.recipe.augment
        return {
            "number": self.number,
            "optimizers": {k: optimizer.state_dict() for k, optimizer in self.optimizers.items()},
            "rate_share": self.rate_share,
            "guard": self.guard.state(),
            "lookahead": self.lookahead.state(),
            "augment": augment.state() if hasattr(augment, "state") else None,
            "likelihood": None if self.likelihood is None else self.likelihood.state(),
        } | rng_state(self.device, self.processes)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken; the networks' tensors are loaded by the caller, in
        the first process at least."""
        self.align()
        self.number, self.rate_share = state["number"], state["rate_share"]
        self.guard.restore(state["guard"])
        self._last = None
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self.lookahead.restore(state["lookahead"])
        augment: Any = self.recipe.augment
        if hasattr(augment, "restore"):
            augment.restore(state["augment"])
        if self.likelihood is not None:
            self.likelihood.restore(state["likelihood"])
        restore_rng_state(state, self.device, self.processes)
