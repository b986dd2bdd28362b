"""Diagnose training from its log: collapse, divergence, dominance, vanishing gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.modules import eval_mode
from multigan.core.protocols import Condition
from multigan.core.recipe import Recipe
from multigan.engine.losses import get_loss

LINES = 3  # that a sign stands in before it is said
FEWEST, SHARE, MOST = 25, 4, 100  # steps that it stands for: a 4th of a short game
WON = 0.01  # of what guessing costs: D's loss below it
LOST = 1.03  # of what guessing costs: D's loss above it ...
BEHIND = 0.05  # ... while fakes score this share of it above reals
APART = 30.0  # of what guessing costs: D's loss above it
DOMINATES = 10.0  # times D's own loss: a penalty above it
VARIED = 0.1  # of the distance between reals: the mean distance between fakes below it
TWINS = 0.5  # more of the fakes than of the reals have a twin in their batch
ALIKE = 1e-4  # of their norm: the mean distance between reals below it
VANISHED = 1e-9  # root mean square of a gradient, a tenth of Adam's epsilon


def first_not_finite(
    values: Mapping[str, float], networks: Mapping[str, nn.Module] | None = None
) -> str | None:
    """The name of the first value, or tensor of a network, that is infinite or not a number."""
    for name, value in values.items():
        if not math.isfinite(value):
            return name
    for name, network in (networks or {}).items():
        for tensor_name, tensor in network.state_dict().items():
            if not torch.isfinite(tensor).all():
                return f"{name}.{tensor_name}"
    return None


class LogSummary(NamedTuple):
    """The means of one log line of the game, and what they are measured by."""

    values: Mapping[str, float]
    guessing: float  # D's loss where it cannot tell the sides apart; 0 for a game without bound
    sizes: Mapping[str, int]  # parameters of each network that learn

    @property
    def loss(self) -> float:
        """D's loss less its penalties."""
        return self.values.get("loss/discriminator_adversarial", self.values["loss/discriminator"])

    @property
    def penalty(self) -> float:
        """What the penalties weigh in D's loss."""
        return self.values["loss/discriminator"] - self.loss

    @property
    def gap(self) -> float:
        """How much higher reals score than fakes."""
        return self.values["logits/gap"]


def degenerate_data(figures: LogSummary) -> str | None:
    """All real samples are one and the same."""
    varied = figures.values.get("diversity/real", math.inf)
    if varied >= ALIKE:
        return None
    return (
        f"the real samples of a batch are all alike (they differ by {varied:.1g} of their size): "
        "look at the data, one sample may have been read over and over"
    )


def mode_collapse(figures: LogSummary) -> str | None:
    """The generator makes the same few samples again and again."""
    values = figures.values
    if "diversity/fake" not in values or values["diversity/real"] < ALIKE:
        return None
    varied, twins = (
        values["diversity/fake"],
        values["near_duplicates/fake"] - values["near_duplicates/real"],
    )
    if varied >= VARIED and twins <= TWINS:
        return None
    return (
        f"the generator has collapsed: its samples differ {100 * varied:.2g} % as much as real "
        f"ones and {100 * values['near_duplicates/fake']:.0f} % have a twin in their batch (real: "
        f"{100 * values['near_duplicates/real']:.0f} %); try the relativistic loss with r1 and "
        "r2, a larger gamma or a smaller learning rate"
    )


def divergence(figures: LogSummary) -> str | None:
    """The losses are out of all proportion."""
    if not 0 < APART * figures.guessing < figures.loss:
        return None
    return (
        f"the game comes apart: the discriminator's loss is {figures.loss:.3g}, where guessing "
        f"costs {figures.guessing:.3g}; try a learning rate that is ten times smaller"
    )


def discriminator_dominates(figures: LogSummary) -> str | None:
    """Nothing that the generator makes deceives the discriminator."""
    if figures.guessing <= 0 or figures.gap <= 0 or figures.loss >= WON * figures.guessing:
        return None
    return (
        f"the discriminator has won: real samples score {figures.gap:.3g} above fakes and its loss "
        f"is {figures.loss:.1g}, where guessing costs {figures.guessing:.3g}; try a larger gamma, "
        "or a smaller learning rate of the discriminator"
    )


def generator_dominates(figures: LogSummary) -> str | None:
    """The discriminator prefers fakes."""
    ahead = figures.gap < -BEHIND * figures.guessing
    if not (ahead and 0 < LOST * figures.guessing < figures.loss):
        return None
    return (
        f"the generator has won: fakes score {-figures.gap:.3g} above real samples and the "
        f"discriminator's loss is {figures.loss:.3g}, where guessing costs {figures.guessing:.3g}; "
        "does it learn? try a larger learning rate of the discriminator or more discriminator_steps"
    )


def penalty_dominates(figures: LogSummary) -> str | None:
    """The discriminator works for its penalties and not for the game."""
    own = max(abs(figures.loss), figures.guessing)
    if figures.penalty <= DOMINATES * own:
        return None
    return (
        f"the penalties dominate: they are {figures.penalty:.3g} of the discriminator's loss, the "
        f"game itself is {figures.loss:.3g}; try a smaller learning rate or a smaller gamma"
    )


def vanishing_gradient(figures: LogSummary) -> str | None:
    """A network is given no gradient that could move it."""
    for name, size in figures.sizes.items():
        norm = figures.values.get(f"grad_norm/{name}", math.inf)
        if norm < VANISHED * math.sqrt(size):
            return (
                f"no progress: the gradient of the {name} has vanished (norm {norm:.1g} over "
                f"{size} weights); try a smaller learning rate, another loss or a larger gamma"
            )
    return None


CHECKS: dict[str, Callable[[LogSummary], str | None]] = {
    "alike reals": degenerate_data,
    "collapse": mode_collapse,
    "apart": divergence,
    "discriminator won": discriminator_dominates,
    "generator won": generator_dominates,
    "penalty dominates": penalty_dominates,
    "no progress": vanishing_gradient,
}


class TrainingMonitor:
    """Reads one log line of a run after the other, and says which signs last.

    `horizon` is the length that the run was planned with, by default the recipe's steps.
    """

    def __init__(self, recipe: Recipe, horizon: int | None = None) -> None:
        self._guessing = loss_at_chance(recipe.loss)
        self._sizes = {
            name: sum(p.numel() for p in network.parameters() if p.requires_grad)  # type: ignore
            for name, network in (
                ("discriminator", recipe.discriminator),
                ("generator", recipe.generator),
            )
        }
        self._steps = min_persistence(recipe.steps if horizon is None else horizon)
        self._seen: dict[str, list[int]] = {}  # sign -> lines in a row, step of the first of them

    def read(self, number: int, values: Mapping[str, float]) -> dict[str, str]:
        """The signs of step `number` of the game that have lasted, by name, each a sentence."""
        if number < self._steps or "logits/gap" not in values:
            return {}
        figures = LogSummary(values, self._guessing, self._sizes)
        found = {name: said for name, sign in CHECKS.items() if (said := sign(figures))}
        before = self._seen
        self._seen = {}
        for name in found:
            lines, first = before.get(name, [0, number])
            self._seen[name] = [lines + 1, first]
        return {
            name: said
            for name, said in found.items()
            if self._seen[name][0] >= LINES and number - self._seen[name][1] >= self._steps
        }

    def state(self) -> dict[str, Any]:
        """What an exact continuation needs."""
        return {name: list(seen) for name, seen in self._seen.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self._seen = {name: list(seen) for name, seen in state.items()}


def min_persistence(steps: int) -> int:
    """How many steps of a game of `steps` a sign has to stand for; the first so many tell nothing.

    So nothing is said before twice as many.
    """
    return min(MOST, max(FEWEST, steps // SHARE))


def has_enough_logs(steps: int, logged: Iterable[int]) -> bool:
    """Whether a sign could have been said in a game of `steps` with lines at the steps `logged`."""
    told = [number for number in logged if number >= min_persistence(steps)]
    return len(told) >= LINES and told[-1] - told[0] >= min_persistence(steps)


def loss_at_chance(loss: str) -> float:
    """D's loss where real and fake score the same, 0: it cannot tell them apart."""
    nothing = torch.zeros(1)
    return float(get_loss(loss).discriminator(nothing, nothing))


MAX_SAMPLES = 256  # samples of each side, at most
NEAR_DUPLICATE = 0.01  # of the mean distance between two reals: nearer samples count as the same
EQUAL = 1e-6  # of the reals' mean norm: a mean distance that is rounding


@torch.no_grad()
def diversity_metrics(
    discriminator: Any, real: Tensor, fake: Tensor, condition: Condition
) -> dict[str, Tensor]:
    """Distances in D's features, or between samples as they are where it shows none.

    `diversity/real` is the mean distance between two reals, as a share of their mean norm;
    `diversity/fake` is that of two fakes, as a share of the reals'; `near_duplicates/real` and
    `near_duplicates/fake` are the shares of samples with another one nearer than a hundredth
    of it. Nothing is drawn, no buffer moves. Empty for a batch of one sample;
    nothing of fakes where all reals are equal.
    """
    if len(real) < 2:
        return {}
    with eval_mode(discriminator):
        features = getattr(discriminator, "features", lambda x, condition: x)
        sides = [features(x, condition).float().flatten(1) for x in (real, fake)]
    centre = sides[0].mean(0)  # cdist multiplies matrices: far from the origin it would be coarse
    distances = [torch.cdist(side - centre, side - centre) for side in sides]
    n = len(real)
    means = [between.sum() / (n * (n - 1)) for between in distances]
    near = [
        (between.fill_diagonal_(torch.inf).amin(1) < NEAR_DUPLICATE * means[0]).float().mean()
        for between in distances
    ]
    norm = sides[0].norm(dim=1).mean()
    of_reals = {"diversity/real": means[0] / norm.clamp_min(torch.finfo(norm.dtype).tiny)}
    if means[0] <= EQUAL * norm:
        return of_reals
    return of_reals | {
        "diversity/fake": means[1] / means[0],
        "near_duplicates/real": near[0],
        "near_duplicates/fake": near[1],
    }
