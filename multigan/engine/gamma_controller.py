"""Gamma from the discriminator's mean logits: a controller in place of a constant.

A gamma that suits one dataset is a hundred times too large or too small for another. Too large, and
the discriminator cannot tell real from fake: its logits are equal. Too small, and it separates
them, and both networks rotate. So gamma follows the loss of the mean logits of reals and fakes: its
logarithm falls while that is above a band, rises while it is below, and rests within. The
adversarial loss itself would not do: where logits of single samples are large and often wrong it is
near chance, too, but there the discriminator is unstable and gamma too small.

The band is wide, from half of the loss at chance to nearly all of it: on some data a good gamma
leaves the discriminator far ahead for most of the run, on others close to chance. Gamma rests while
the learning rates warm up, when the discriminator is ahead of any generator. It falls less and less
in the course of a run, as a loss near chance has two causes: a gamma that is too large, or a
generator that is good, which comes late. A discriminator that wins outright is answered at any
time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multigan.core.recipe import AutoGamma, Recipe, Schedule
from multigan.engine.losses import CHANCE_SHAPE, LOSSES, get_loss, loss_at_chance
from multigan.engine.schedules import GAMMA

SMOOTHING = 0.95  # of the moving average of the loss, in a step
HALF_BAND = 0.2  # around the target, in losses at chance, within which gamma rests
RESTING = (0.05, 0.95)  # the ends of the band, in losses at chance, whatever the target is
SOFTNESS = 0.04  # distance from the band, in losses at chance, at which the speed levels off
DRIFT = 8.0  # of the logarithm over the run at the initial speed, at most
DRIFT_DECAY = 3  # power of the rest of the run that the speed falls with: a total of DRIFT / 4
WON = 0.45  # loss over chance below which the discriminator wins outright
WON_SOFTNESS = 0.1  # distance from WON at which the speed levels off
RISE = 0.005  # of the logarithm in a step, at most, while the discriminator wins
MAX_DRIFT = 0.03  # of the logarithm in a step of a short run
LIMITS = (1e-4, 1e2)  # of gamma


class GammaController:
    """Moves the automatic gamma of a recipe: the loss of the mean logits stays in a band.

    `steps` is the length of the run. The state lives on `device`: no step waits for it.

    Raises ValueError for automatic gammas of different settings, and for a loss without a positive
    level at chance.
    """

    def __init__(self, recipe: Recipe, steps: int, device: torch.device) -> None:
        gammas = {k: v for k, v in recipe.penalties.items() if isinstance(v, AutoGamma)}
        self.names, settings = list(gammas), set(gammas.values())
        if len(settings) != 1:
            raise ValueError(
                "gamma auto must be one setting for all penalties of a recipe; got "
                + " and ".join(sorted(map(str, settings)))
            )
        (setting,) = settings
        self.target, self.chance = setting.target, loss_at_chance(recipe.loss)
        self.loss = get_loss(recipe.loss)
        if self.chance <= 0:
            known = ", ".join(name for name in LOSSES if loss_at_chance(name) > 0)
            raise ValueError(
                f"gamma auto must have a loss with a level at chance ({known}); "
                f"got {recipe.loss!r}: give gamma a number"
            )
        self.steps = max(1, steps)
        lr = recipe.discriminator_lr
        self.warmup = lr.warmup if isinstance(lr, Schedule) else 0.0  # fraction of the run
        precise = torch.float32 if device.type == "mps" else torch.float64
        self._log_gamma = torch.tensor(math.log(setting.start), dtype=precise, device=device)
        self._loss = torch.ones_like(self._log_gamma)  # moving average, in losses at chance

    @property
    def gamma(self) -> Tensor:
        """The current gamma (0-dim, on the device)."""
        return self._log_gamma.exp()

    def gammas(self) -> dict[str, Tensor]:
        """Return the gamma of every automatic penalty, by its log key."""
        return {GAMMA + name: self.gamma for name in self.names}

    @torch.no_grad()
    def update(self, real: Tensor, fake: Tensor, progress: float) -> None:
        """Follow the mean logits (0-dim) of the step at `progress` in [0, 1] of the run."""
        if self.loss.subtracts_opposite_mean:
            real, fake = real - fake, fake - real
        rows = [logit.float().expand(*CHANCE_SHAPE).clone() for logit in (real, fake)]
        loss = self.loss.discriminator(*rows).mean()
        self._loss = torch.lerp(loss.to(self._loss) / self.chance, self._loss, SMOOTHING)
        if progress < self.warmup:
            return
        low = max(self.target - HALF_BAND, RESTING[0])
        high = min(self.target + HALF_BAND, RESTING[1])
        below, above = (low - self._loss).clamp_min(0), (self._loss - high).clamp_min(0)
        won = (min(WON, low) - self._loss).clamp_min(0)
        drift = min(MAX_DRIFT, DRIFT / self.steps) * (1 - progress) ** DRIFT_DECAY
        direction = (below / SOFTNESS).tanh() - (above / SOFTNESS).tanh()
        move = RISE * (won / WON_SOFTNESS).tanh() + drift * direction
        self._log_gamma = (self._log_gamma + move).clamp(*map(math.log, LIMITS))

    def state(self) -> dict[str, Any]:
        """Return what an exact continuation needs."""
        return {"log_gamma": self._log_gamma, "loss": self._loss}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self._log_gamma = state["log_gamma"].to(self._log_gamma)
        self._loss = state["loss"].to(self._loss)


def make_gamma_controller(
    recipe: Recipe, steps: int, device: torch.device
) -> GammaController | None:
    """Return the controller of the recipe's automatic gammas; None where all are given."""
    automatic = any(isinstance(gamma, AutoGamma) for gamma in recipe.penalties.values())
    return GammaController(recipe, steps, device) if automatic else None
