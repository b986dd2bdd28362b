"""Adversarial training, one step at a time: discriminator updates, then a generator update."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor, nn

from multigan.core.adapters import unwrapped
from multigan.core.protocols import (
    Batch,
    Condition,
    Latent,
    SupportsAdaptation,
    SupportsAnnealing,
    SupportsPolicyGradient,
)
from multigan.core.recipe import Recipe, TermInputs
from multigan.core.trees import tree_map
from multigan.engine.averaging import EMA, Lookahead
from multigan.engine.batches import (
    FakeBatches,
    StepRandomness,
    make_batch_stream,
    micro_batches,
    phase_name,
)
from multigan.engine.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    restore_rng_state,
    rng_state,
)
from multigan.engine.diversity import MAX_SAMPLES, diversity_metrics, pairwise_auc
from multigan.engine.gamma_controller import make_gamma_controller
from multigan.engine.likelihood_pretraining import LikelihoodPretraining, nll
from multigan.engine.objective import Objective
from multigan.engine.optimization import (
    RAISE,
    SKIP,
    Autocast,
    NonFinitePolicy,
    Step,
    Values,
    average_metrics,
    build_optimizer,
    clear_gradients,
    detached,
    prepare_gradients,
    restore_optimizer,
)
from multigan.engine.recipe_checks import check_recipe
from multigan.engine.schedules import (
    EMA_HALFLIFE,
    apply_schedules,
    penalty_weights,
    progress_of,
    value_at,
    with_burn_in,
)
from multigan.engine.sync_batch_norm import sync_batch_norm
from multigan.engine.terms import add_terms

STATISTICS_SAMPLES = 2048  # of the batch norm statistics of the averaged generator, at least


class AdversarialTrainer:
    """Trains the networks of a recipe; `steps()` yields after every step.

    Likelihood pretraining, `likelihood`, comes first where the recipe has it. `number` and the
    schedules count the adversarial steps alone.

    Every random number is a pure function of (seed, step, phase, micro-batch), so a trainer
    restored from `state()` continues bit by bit. Penalties are taken in float32 at any precision,
    and never through a compiled network. Each of several `processes` has its share of the batch;
    together they do what one would. `schedule_steps` is the length of the schedules, by default
    the recipe's steps. `on_nonfinite` is a policy of `NonFinitePolicy`.

    Raises ValueError, in one line, for a recipe that cannot be trained.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        schedule_steps: int | None = None,
        precision: str = "fp32",
        compile: bool = False,
        num_workers: int = 0,
        on_nonfinite: str = RAISE,
        processes: DistributedContext = SINGLE_PROCESS,
    ) -> None:
        check_recipe(recipe)
        self.given_recipe, self.recipe = recipe, with_burn_in(recipe)
        self.seed, self.device, self.processes = seed, torch.device(device), processes
        self._autocast = Autocast(precision, self.device)
        self._randomness = StepRandomness(seed, self.device, processes)
        self.schedule_steps = recipe.steps if schedule_steps is None else schedule_steps
        self.number = 0  # adversarial steps done
        self.lr_scale = 1.0  # factor on the learning rates, lowered by each rollback
        self.nonfinite_policy = NonFinitePolicy(on_nonfinite)
        self._last_discriminator_batch: tuple[Tensor, Tensor, Condition] | None = None
        self.generator = cast(Any, recipe.generator)
        self.discriminator = cast(Any, recipe.discriminator)
        for network in (self.generator, self.discriminator):
            network.to(self.device).train()
        self.fakes = FakeBatches(self.generator, recipe, self._randomness, compile)
        self.ema = EMA(self.generator)
        sync_batch_norm(self.generator, processes)
        self.reals = make_batch_stream(
            recipe, seed, self.device, num_workers, processes, self.fakes.is_compact
        )
        penalties = {name: gamma for name, gamma in recipe.penalties.items() if gamma != 0}
        self.objective = Objective(
            self.discriminator, recipe.loss, penalties, recipe.augment, compile, processes
        )
        self.gamma_controller = make_gamma_controller(recipe, self.schedule_steps, self.device)
        self.optimizers = {
            "generator": build_optimizer(recipe.optimizer, "generator", self.generator),
            "discriminator": build_optimizer(recipe.optimizer, "discriminator", self.discriminator),
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
                num_workers=num_workers,
                nonfinite_policy=self.nonfinite_policy,
                processes=processes,
            )

    @cached_property
    def _parameters(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of both networks; found once, as that is slow."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        return {name: list(network.parameters()) for name, network in networks.items()}

    def _policy_loss(self, n: int, phase: str, micro: int) -> Callable[..., Tensor] | None:
        """The loss of a generator of discrete samples, `n` of them, given their latents."""
        if not isinstance(self.generator, SupportsPolicyGradient):
            return None

        def policy_loss(*arguments: Any) -> Tensor:
            latent = self.fakes.latent(n, self.number, phase, micro)
            loss: Tensor = self.generator.policy_loss(*arguments, latent=latent)
            return loss

        return policy_loss

    @property
    def progress(self) -> float:
        """Fraction in [0, 1] of the schedules at the step to come."""
        return progress_of(self.number + 1, self.schedule_steps)

    @property
    def samples_seen(self) -> int:
        """Number of real samples in the discriminator's updates so far."""
        return self.number * self.recipe.discriminator_steps * self.recipe.batch_size

    @property
    def pretraining_steps(self) -> int:
        """Steps of likelihood pretraining so far."""
        return 0 if self.likelihood is None else self.likelihood.number

    @property
    def steps_done(self) -> int:
        """Steps of both stages so far."""
        return self.pretraining_steps + self.number

    @property
    def pretraining_done(self) -> bool:
        """True right after the last step of likelihood pretraining."""
        return self.likelihood is not None and self.likelihood.finished and self.number == 0

    @property
    def total_steps(self) -> int:
        """Steps of both stages; an upper bound while pretraining may still stop early."""
        ahead = self.likelihood is not None and not self.likelihood.finished
        pretraining = self.recipe.likelihood_steps if ahead else self.pretraining_steps
        return self.recipe.steps + pretraining

    @property
    def epochs(self) -> float:
        """Passes of this stage through the data; generator updates use real batches too."""
        if self.likelihood is not None and not self.likelihood.finished:
            return self.likelihood.epochs
        return self.reals.epochs(self.number * self._batches_per_step)

    @property
    def _batches_per_step(self) -> int:
        return self.recipe.discriminator_steps + 1

    def networks(self) -> dict[str, nn.Module]:
        """Return the three networks under the names of their weight files."""
        return {
            "generator": self.generator,
            "generator_ema": self.ema.module,
            "discriminator": self.discriminator,
        }

    def sync_replicas(self) -> None:
        """Copy the tensors of rank 0 to all processes."""
        self.processes.broadcast_parameters(self.networks().values())

    def steps(self) -> Iterator[Step]:
        """Train from the current step to the recipe's last, likelihood pretraining first."""
        self.sync_replicas()
        if self.likelihood is not None:
            for step in self.likelihood.steps(self.lr_scale):
                self.ema.update(0, 0, halflife_samples=0)  # a copy: nothing to smooth yet
                yield step
        if self.number == 0:
            self.lookahead.begin()
        batches = self.reals.batches(self.number * self._batches_per_step)
        while self.number < self.recipe.steps:
            yield self._step(batches)

    def _step(self, batches: Iterator[Batch]) -> Step:
        recipe, progress, augment = self.recipe, self.progress, self.recipe.augment
        samples = recipe.discriminator_steps * recipe.batch_size
        values = apply_schedules(recipe, self.optimizers, self.generator, progress, self.lr_scale)
        if isinstance(augment, SupportsAnnealing):
            values |= augment.anneal(progress)
        if self.gamma_controller is not None:
            values |= self.gamma_controller.gammas()
        weights = penalty_weights(recipe, values)

        # discriminator updates
        reals = [next(batches) for _ in range(recipe.discriminator_steps)]
        with torch.no_grad(), self._autocast(True):
            fakes = self.fakes.pregenerate(reals, self.number)
        parts = [
            self._discriminator_update(real, fake, update, weights)
            for update, (real, fake) in enumerate(zip(reals, fakes, strict=True))
        ]
        values |= average_metrics(parts)
        if "signs/real" in values:
            adaptive = cast(SupportsAdaptation, augment)
            values |= adaptive.update_probability(values["signs/real"], samples)
        if "logits/real" in values:  # absent where every update was skipped
            if self.gamma_controller is not None:
                logits = (values["logits/real"], values["logits/fake"])
                self.gamma_controller.update(*logits, progress)
            values["logits/gap"] = values["logits/real"] - values["logits/fake"]

        # generator update, on a real batch of its own
        losses = self._generator_update(next(batches))
        values |= losses

        # lookahead of both networks, then the moving average of a generator that was updated
        self.number += 1
        self.lookahead.update(self.number)
        if losses:
            self.ema.update(samples, self.samples_seen, values[EMA_HALFLIFE])
        if self.nonfinite_policy.policy == SKIP:
            values["skipped_updates"] = self.nonfinite_policy.skipped
        return Step(self.steps_done, self.samples_seen, values)

    def _discriminator_update(
        self, batch: Batch, pregenerated: Tensor | None, k: int, weights: Mapping[str, float]
    ) -> Values:
        """Do the `k`-th discriminator update of this step; return its losses, {} if skipped.

        `weights` are those of the penalties, in an update where they are due.
        """
        recipe, phase, optimizer = self.recipe, phase_name(k), self.optimizers["discriminator"]
        parameters = self._parameters["discriminator"]
        count = self.number * recipe.discriminator_steps + k
        due = count % recipe.penalty_interval == 0
        gammas = weights if due else {}
        parts = []
        clear_gradients(parameters)
        for micro, part in enumerate(micro_batches(batch, recipe.gradient_accumulation_steps)):
            real, condition = part
            fake = pregenerated
            if fake is None:
                with torch.no_grad():
                    fake = self.generate(part, phase, micro)
            fake = fake.to(real.dtype)
            self._last_discriminator_batch = (real, fake, condition)
            rng = self._randomness.rng("objective", self.number, phase, micro)
            with self._autocast(not gammas):
                losses = self.objective.discriminator_loss(real, fake, condition, gammas, rng)
                losses = self._add_terms("discriminator", losses, part, fake, phase, micro)
            (losses["loss/discriminator"] / recipe.gradient_accumulation_steps).backward()
            parts.append(detached(losses))
        values = self._prepare_gradients("discriminator", parts)
        if values:
            optimizer.step()
        clear_gradients(parameters)
        return values

    def _generator_update(self, batch: Batch) -> Values:
        """Do the generator update of this step; return its losses, {} if skipped."""
        recipe, phase, optimizer = self.recipe, "generator", self.optimizers["generator"]
        parameters = self._parameters["generator"]
        likelihood_weight = value_at(recipe.likelihood_weight, self.progress)
        parts = []
        clear_gradients(parameters)
        for micro, part in enumerate(micro_batches(batch, recipe.gradient_accumulation_steps)):
            real, condition = part
            rng = self._randomness.rng("objective", self.number, phase, micro)
            with self._autocast(True):
                fake = self.generate(part, phase, micro)
                policy_loss = self._policy_loss(len(real), phase, micro)
                losses = self.objective.generator_loss(real, fake, condition, rng, policy_loss)
                if likelihood_weight > 0:
                    losses["loss/likelihood"] = nll(self.generator, part).mean()
                    weighted = likelihood_weight * losses["loss/likelihood"]
                    losses["loss/generator"] = losses["loss/generator"] + weighted
                losses = self._add_terms("generator", losses, part, fake, phase, micro)
            (losses["loss/generator"] / recipe.gradient_accumulation_steps).backward()
            parts.append(detached(losses))
        values = self._prepare_gradients("generator", parts)
        if values:
            optimizer.step()
        clear_gradients(parameters)
        return values

    def generate(self, real: Batch, phase: str, micro: int) -> Tensor:
        """Generate as many fakes as `real` has samples, under its conditions."""
        with self._autocast(True):
            return self.fakes.sample(len(real.x), real.condition, self.number, phase, micro)

    def _add_terms(
        self,
        network: str,
        losses: dict[str, Tensor],
        real: Batch,
        fake: Tensor,
        phase: str,
        micro: int,
    ) -> dict[str, Tensor]:
        """Add the recipe's own terms of one network to its loss."""

        def inputs() -> TermInputs:
            return TermInputs(
                real=real.x,
                fake=fake,
                condition=real.condition,
                latent=self.fakes.latent(len(real.x), self.number, phase, micro),
                generator=unwrapped(self.generator),
                discriminator=unwrapped(self.discriminator),
                rng=self._randomness.rng("terms", self.number, phase, micro),
                progress=self.progress,
            )

        return add_terms(losses, network, self.recipe, inputs)

    def _prepare_gradients(self, name: str, parts: list[dict[str, Tensor]]) -> Values:
        """Average over micro-batches and processes, check, clip; {} where no step is to be made."""
        return prepare_gradients(
            name,
            self._parameters[name],
            parts,
            self.nonfinite_policy,
            self.recipe.max_grad_norm,
            self.processes,
        )

    def update_ema_statistics(self) -> None:
        """Compute the averaged generator's batch norm statistics; needed before it is used.

        The conditions are those of the batches to come. Training does not depend on the call.
        """
        if not self.ema.needs_statistics:
            return
        rng = self._randomness.rng("ema statistics", self.number, "generator", 0)
        reals = self.reals.batches(self.number * self._batches_per_step)

        def batches() -> Iterator[tuple[Latent, Condition]]:
            real, done = next(reals), 0
            while done < STATISTICS_SAMPLES:
                latent = self.generator.sample_latent(len(real.x), rng)
                yield tree_map(lambda leaf: leaf.to(self.device), latent), real.condition
                done += len(real.x)
                real = real if real.condition is None else next(reals)

        self.ema.update_statistics(batches())
        self.processes.broadcast_parameters([self.ema.module])

    def diversity_metrics(self) -> dict[str, Tensor]:
        """Diversity of the last fakes and reals of the discriminator; {} before the first step.

        `logits/auc` is the probability that the logit of a real exceeds that of a fake.
        """
        logits = self.objective.last_logits
        if self._last_discriminator_batch is None or logits is None:
            return {}
        rows = MAX_SAMPLES // self.processes.world_size
        batch = tree_map(lambda leaf: leaf[:rows], (*self._last_discriminator_batch, *logits))
        *batch, real, fake = self.processes.all_gather(batch)
        batch = [*map(self.fakes.expand, batch[:2]), *batch[2:]]
        diversity = diversity_metrics(self.discriminator, *batch)
        return diversity | {"logits/auc": pairwise_auc(real, fake)}

    def state(self) -> dict[str, Any]:
        """Return what an exact continuation needs in addition to the networks' own tensors."""
        augment = self.recipe.augment
        return {
            "number": self.number,
            "optimizers": {k: optimizer.state_dict() for k, optimizer in self.optimizers.items()},
            "lr_scale": self.lr_scale,
            "nonfinite_policy": self.nonfinite_policy.state(),
            "lookahead": self.lookahead.state(),
            "gamma": None if self.gamma_controller is None else self.gamma_controller.state(),
            "augment": augment.state() if isinstance(augment, SupportsAdaptation) else None,
            "likelihood": None if self.likelihood is None else self.likelihood.state(),
        } | rng_state(self.device, self.processes)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken.

        The caller loads the networks' tensors, at least on rank 0.
        """
        self.sync_replicas()
        self.number, self.lr_scale = state["number"], state["lr_scale"]
        self.nonfinite_policy.restore(state["nonfinite_policy"])
        self._last_discriminator_batch = None
        for name, optimizer in self.optimizers.items():
            restore_optimizer(optimizer, state["optimizers"][name])
        self.lookahead.restore(state["lookahead"])
        if self.gamma_controller is not None:
            self.gamma_controller.restore(state["gamma"])
        if isinstance(self.recipe.augment, SupportsAdaptation):
            self.recipe.augment.restore(state["augment"])
        if self.likelihood is not None:
            self.likelihood.restore(state["likelihood"])
        restore_rng_state(state, self.device, self.processes)
