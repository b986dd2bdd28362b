"""Checks of a training's log: what was measured, and what to try, in two sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

LINES = 3  # consecutive log lines of a diagnosis before it is reported
# Steps that a diagnosis has to last: a quarter of the run, within these limits.
MIN_STEPS, STEPS_FRACTION, MAX_STEPS = 25, 4, 100
LOW_LOSS = 0.01  # of the loss at chance: the discriminator's loss below it
HIGH_LOSS = 1.03  # of the loss at chance: the discriminator's loss above it ...
NEGATIVE_GAP = 0.05  # ... while fakes score this fraction of it above reals
NEAR_CHANCE = 0.01  # of the loss at chance: a discriminator's loss that near it is that of guessing
HELD_NEAR_CHANCE = 0.05  # likewise: a larger gamma is no advice there
CLEAR_AUC, HELD_LOSS = 0.95, 0.85  # likewise: logits above it, of a loss above it, could gain much
EQUAL_AUC = 0.1  # of .5: logits that near it do not separate
SEPARATED_AUC = 0.75  # logits above it do
FALLEN_GRADIENT = 0.2  # of its norm at the start
EXPLODED_GRADIENT = 100.0  # times its norm at the start
DISTINCT_SAMPLES = 0.6  # accuracy of nearest neighbors that tell samples from held-out items
CLEARLY_DISTINCT = 0.7  # likewise: the gradient need not have fallen
DIVERGED_LOSS = 30.0  # of the loss at chance: the discriminator's loss above it
DOMINATING_PENALTY = 10.0  # times the discriminator's adversarial loss: a penalty above it
LOW_DIVERSITY = 0.1  # of the distance between reals: the mean distance between fakes below it
LOW_DIVERSITY_WITHIN = 0.2  # likewise, between those of one condition
MORE_DUPLICATES = 0.5  # fraction of fakes with a near-duplicate in the batch, above that of reals
EQUAL_REALS = 1e-4  # of their norm: the mean distance between reals below it
VANISHED = 1e-9  # root mean square of a gradient, a tenth of Adam's epsilon
LOW_SWING, HIGH_SWING, MIN_SWINGS = 0.5, 1.5, 4  # of the loss at chance; swings between them
LOW_AUC, HIGH_AUC = 0.3, 0.7  # likewise, of the separation of the logits


class LogLine(NamedTuple):
    """The figures of a log line that later lines are compared with; nan where unknown."""

    step: int
    loss: float  # of the discriminator, without its penalties
    auc: float
    at_rest: tuple[str, ...] = ()  # networks with a learning rate of 0


class LogSummary(NamedTuple):
    """Mean values of one log line, and the scales that they are compared with.

    loss_at_chance: the discriminator's loss at equal logits; 0 for a loss without a lower bound.
    sizes: trainable parameters of each network.
    start: gradient norms of each network at the start of the run, where known.
    recent: the last lines, this one included.
    two_sample_accuracy: of the last `neighbor_metrics`, where there are any.
    """

    values: Mapping[str, float]
    loss_at_chance: float
    sizes: Mapping[str, int]
    start: Mapping[str, float] = {}
    recent: Sequence[LogLine] = ()
    two_sample_accuracy: float | None = None

    @property
    def loss(self) -> float:
        """The discriminator's loss without its penalties."""
        return self.values.get("loss/discriminator_adversarial", self.values["loss/discriminator"])

    @property
    def penalty(self) -> float:
        """The weighted penalties in the discriminator's loss, without its further terms."""
        return self.values["loss/discriminator"] - self.loss - self.terms

    @property
    def terms(self) -> float:
        """The weighted further terms in the discriminator's loss, penalties of the user's too."""
        return self.values.get("loss/discriminator_terms", 0.0)

    @property
    def gap(self) -> float:
        """Mean logit of reals minus that of fakes."""
        return self.values["logits/gap"]

    @property
    def auc(self) -> float | None:
        """Probability that a real's logit exceeds a fake's, over the last lines; None if unknown.

        Many lines are averaged: that of one batch of 16 has a standard error of .1.
        """
        known = [line.auc for line in self.recent if not math.isnan(line.auc)][-MEAN_LINES:]
        return sum(known) / len(known) if known else self.values.get("logits/auc")

    @property
    def guesses(self) -> bool:
        """True where the discriminator's loss is that of equal logits."""
        chance = self.loss_at_chance
        return chance > 0 and abs(self.loss - chance) <= NEAR_CHANCE * chance

    @property
    def is_held(self) -> bool:
        """True where its loss is near chance under penalties, or further terms of the loss."""
        chance = self.loss_at_chance
        is_near = chance > 0 and abs(self.loss - chance) <= HELD_NEAR_CHANCE * chance
        return (is_near or self.is_clear) and (self.penalty > 0 or self.terms > 0)

    @property
    def is_clear(self) -> bool:
        """True where logits that separate almost all samples gain little of the loss at chance."""
        return 0 < HELD_LOSS * self.loss_at_chance <= self.loss and (self.auc or 0.0) >= CLEAR_AUC


DEGENERATE, FROZEN, DEAD = "degenerate data", "frozen network", "dead discriminator"
DIVERGED, VANISHING = "divergence", "vanishing gradient"
SUPPRESSED = "penalty suppresses discriminator"
MEAN_LINES = 5  # of the log, over which the separation of the logits is averaged
LESS_PENALTY = "Try a gamma that is ten times smaller"
LESS_WEIGHT = "Try a weight of the discriminator's terms that is ten times smaller"
UNBOUNDED = "Try a discriminator without a sigmoid or another bound at its end"
CALMER = "Try the relativistic loss with r1 and r2, a larger gamma, or a smaller learning rate."
HELD = (
    "Try a gamma, or a weight of the discriminator's terms, that is ten times smaller: the "
    "discriminator hardly separates its logits."
)


def less_held(log: LogSummary) -> str:
    """Return what to try where penalties or further terms keep the discriminator at chance."""
    return LESS_PENALTY if log.penalty >= log.terms else LESS_WEIGHT


def calmer(is_held: bool) -> str:
    """Return what to try against a collapse; a larger gamma only where the logits separate."""
    return HELD if is_held else CALMER


def degenerate_data(log: LogSummary) -> str | None:
    """Detect real samples that are all equal."""
    diversity = log.values.get("diversity/real", math.inf)
    if diversity >= EQUAL_REALS:
        return None
    return (
        f"The real samples of a batch are all equal: they differ by {diversity:.1g} of their norm. "
        "Check the data: one sample may have been read repeatedly."
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
        f"Samples differ {100 * diversity:.2g} % as much as real ones, and {100 * duplicates:.0f} "
        f"% have a near-duplicate in their batch (real: {100 * duplicates_of_real:.0f} %). "
        f"{calmer(log.is_held)}"
    )


def collapse_within_conditions(log: LogSummary) -> str | None:
    """Detect a generator that repeats few samples of each condition."""
    diversity = log.values.get("diversity/fake_within_condition", math.inf)
    if diversity >= LOW_DIVERSITY_WITHIN:
        return None
    return (
        f"Samples of one class or condition differ {100 * diversity:.2g} % as much as real ones "
        f"of that condition: the generator ignores its latent. {calmer(log.is_held)}"
    )


def divergence(log: LogSummary) -> str | None:
    """Detect a discriminator loss far above chance."""
    if not 0 < DIVERGED_LOSS * log.loss_at_chance < log.loss:
        return None
    return (
        f"The discriminator's loss is {log.loss:.3g}; at chance it is {log.loss_at_chance:.3g}. "
        "Try a learning rate that is ten times smaller."
    )


def exploding_gradient(log: LogSummary) -> str | None:
    """Detect a gradient that has grown far beyond its norm at the start."""
    for name, start in log.start.items():
        norm = log.values.get(f"grad_norm/{name}", 0.0)
        if start > 0 and norm > EXPLODED_GRADIENT * start:
            return (
                f"The gradient norm of the {name} is {norm:.3g}; at the start it was {start:.3g}. "
                "Try a learning rate that is ten times smaller, or clip with max_grad_norm."
            )
    return None


def discriminator_dominates(log: LogSummary) -> str | None:
    """Detect a discriminator that separates real and fake samples perfectly."""
    if log.loss_at_chance <= 0 or log.gap <= 0 or log.loss >= LOW_LOSS * log.loss_at_chance:
        return None
    return (
        f"Real samples score {log.gap:.3g} above fakes and the discriminator's loss is "
        f"{log.loss:.1g}; at chance it is {log.loss_at_chance:.3g}. Try a larger gamma, "
        "or a smaller learning rate of the discriminator."
    )


def generator_dominates(log: LogSummary) -> str | None:
    """Detect a discriminator that scores fakes above reals."""
    prefers_fakes = log.gap < -NEGATIVE_GAP * log.loss_at_chance
    if not (prefers_fakes and 0 < HIGH_LOSS * log.loss_at_chance < log.loss):
        return None
    return (
        f"Fakes score {-log.gap:.3g} above real samples and the discriminator's loss is "
        f"{log.loss:.3g}; at chance it is {log.loss_at_chance:.3g}. Try a larger learning rate of "
        "the discriminator, or more discriminator_steps."
    )


def dead_discriminator(log: LogSummary) -> str | None:
    """Detect a discriminator that guesses and learns nothing, while samples differ from data.

    Equal logits are right where samples are as good as data: nearest neighbors decide that.
    """
    auc, accuracy = log.auc, log.two_sample_accuracy
    norm = log.values.get("grad_norm/discriminator", math.inf)
    start = log.start.get("discriminator", 0.0)
    if not (log.guesses or (log.loss_at_chance <= 0 and auc is not None)):
        return None
    fallen = norm < FALLEN_GRADIENT * start
    # Saturated logits are equal but for rounding, and any order of them means nothing.
    if auc is not None and (auc > 0.5 + EQUAL_AUC or (auc < 0.5 - EQUAL_AUC and not fallen)):
        return None
    if accuracy is None and not fallen:
        return None
    if accuracy is not None and accuracy < (DISTINCT_SAMPLES if fallen else CLEARLY_DISTINCT):
        return None
    separation = f"real samples score {log.gap:.2g} above fakes" + (
        "" if auc is None else f" and exceed them in {auc:.0%} of pairs"
    )
    fix = less_held(log) if log.is_held else UNBOUNDED
    return (
        f"The discriminator does not tell real from fake: {separation}, its loss is {log.loss:.4g} "
        f"(at chance {log.loss_at_chance:.4g}), and its gradient norm went from {start:.2g} to "
        f"{norm:.2g}. {fix}, or a larger learning rate of the discriminator."
    )


def suppressed_discriminator(log: LogSummary) -> str | None:
    """Detect penalties that keep the logits equal although the discriminator separates samples.

    Further terms of its loss count like penalties: those of the user are among them. Logits that
    separate less count where nearest neighbors tell samples from data.
    """
    auc, accuracy = log.auc, log.two_sample_accuracy
    if auc is None or not (log.is_held and (log.guesses or log.is_clear)):
        return None
    is_distinct = accuracy is not None and accuracy >= CLEARLY_DISTINCT
    if auc < (0.5 + EQUAL_AUC if is_distinct else SEPARATED_AUC):
        return None
    named = "penalties" if log.penalty >= log.terms else "further terms"
    return (
        f"The {named} of the discriminator's loss keep the logits equal: real samples exceed fakes "
        f"in {auc:.0%} of pairs, but by {log.gap:.2g} only, and the adversarial loss is "
        f"{log.loss:.4g}; at chance it is {log.loss_at_chance:.4g}. {less_held(log)}."
    )


def penalty_dominates(log: LogSummary) -> str | None:
    """Detect penalties that outweigh the adversarial loss."""
    adversarial = max(abs(log.loss), log.loss_at_chance)
    if log.penalty <= DOMINATING_PENALTY * adversarial:
        return None
    return (
        f"The penalties are {log.penalty:.3g} of the discriminator's loss, the adversarial loss is "
        f"{log.loss:.3g}. Try a smaller learning rate or a smaller gamma."
    )


def vanishing_gradient(log: LogSummary) -> str | None:
    """Detect a network with a gradient too small to move it."""
    for name, size in log.sizes.items():
        norm = log.values.get(f"grad_norm/{name}", math.inf)
        if norm < VANISHED * math.sqrt(size):
            return (
                f"The gradient norm of the {name} is {norm:.1g} over {size:,} weights. "
                "Try a smaller learning rate, another loss or a larger gamma."
            )
    return None


def frozen_network(log: LogSummary) -> str | None:
    """Detect a network that does not move: no trainable weight, or a learning rate of 0.

    A schedule that ends at 0 is no fault: the last lines have the rate too.
    """
    for name, size in log.sizes.items():
        rests = name in at_rest(log.values, log.sizes)
        if size == 0 or (rests and all(name in line.at_rest for line in log.recent[-LINES:])):
            cause = "has no trainable weight" if size == 0 else "has a learning rate of 0"
            return f"The {name} {cause}, so it does not learn. Try {name}_lr above 0."
    return None


def at_rest(values: Mapping[str, float], networks: Iterable[str]) -> tuple[str, ...]:
    """Return the networks that have a learning rate of 0 in a log line."""
    return tuple(name for name in networks if values.get(f"lr/{name}", math.inf) == 0)


def oscillation(log: LogSummary) -> str | None:
    """Detect a discriminator that wins and loses in turn."""
    chance = log.loss_at_chance
    losses = [line.loss for line in log.recent]
    swings = _swings(losses, LOW_SWING * chance, HIGH_SWING * chance) if chance > 0 else 0
    named, values, scale = "loss", losses, f"; at chance it is {chance:.3g}"
    if swings < MIN_SWINGS:
        values = [line.auc for line in log.recent if not math.isnan(line.auc)]
        swings, named = _swings(values, LOW_AUC, HIGH_AUC), "AUC"
        scale = "; at chance it is .5"
    if swings < MIN_SWINGS:
        return None
    steps = log.recent[-1].step - log.recent[0].step
    return (
        f"The discriminator's {named} went {swings} times between {min(values):.2g} and "
        f"{max(values):.2g} in {steps:,} steps{scale}. Try half of both learning rates, "
        "or lookahead (lookahead_interval)."
    )


def _swings(values: Sequence[float], low: float, high: float) -> int:
    """Return how often values went from below `low` to above `high` or back."""
    sides = [value >= high for value in values if value <= low or value >= high]
    return sum(a != b for a, b in pairwise(sides))


CHECKS: dict[str, Callable[[LogSummary], str | None]] = {
    DEGENERATE: degenerate_data,
    "mode collapse": mode_collapse,
    "collapse within conditions": collapse_within_conditions,
    DIVERGED: divergence,
    "exploding gradient": exploding_gradient,
    "discriminator dominates": discriminator_dominates,
    "generator dominates": generator_dominates,
    DEAD: dead_discriminator,
    SUPPRESSED: suppressed_discriminator,
    "penalty dominates": penalty_dominates,
    VANISHING: vanishing_gradient,
    FROZEN: frozen_network,
    "oscillation": oscillation,
}


def min_persistence(steps: int) -> int:
    """Return the steps that a diagnosis has to last in a run of `steps`.

    As many steps at the start are ignored, so nothing is reported before twice as many.
    """
    return min(MAX_STEPS, max(MIN_STEPS, steps // STEPS_FRACTION))


def has_enough_logs(steps: int, logged: Iterable[int]) -> bool:
    """Return True if a diagnosis was possible in a run of `steps` that logged at steps `logged`."""
    read = [number for number in logged if number >= min_persistence(steps)]
    return len(read) >= LINES and read[-1] - read[0] >= min_persistence(steps)
