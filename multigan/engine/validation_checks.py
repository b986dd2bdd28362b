"""Checks of the measurements at a checkpoint: what was measured, and what to try."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from multigan.core.quality import Quality
from multigan.engine.log_checks import CALMER, DIVERGED, HELD

LOW_DIVERSITY = 0.5  # of that of held-out items
SAME_SPREAD = 1.0  # likewise, in all directions: samples that vary so much have not collapsed
FAR = 1.5  # from the training items, over held-out items: collapsed samples are near to some
DIVERGED_RATIO, DIVERGED_SPREAD = 10.0, 2.0  # samples that far away, and so different, have left
MISSING_MODES = 0.3  # of the held-out items: those in bins without a sample
COPIES, MAX_RATIO = 0.2, 0.7  # fraction of copies, and the distance ratio below which they count
TIMES_BY_CHANCE = 5.0  # a fraction of copies above chance
# Share of samples near a training item: part of the way from chance to all, its standard deviations
# above chance, and the distance ratio below which both count.
TRAIN_EXCESS, TRAIN_Z, NEAR = 0.4, 1.64, 0.5
FOLLOWED = 0.25  # of the way from chance to real data: a condition that is followed less is ignored
CLEAR_CONDITIONS = 0.2  # above chance: conditions of real data that nearest neighbors agree on
Z_SCORE = 3.0  # standard errors above chance: conditions that say something about the data
WORSE_EXCESS, WORSE_SHARE = 2.0, 0.1  # times the best excess over the floor; of the baseline's


class CheckpointSummary(NamedTuple):
    """Measurements at a checkpoint.

    neighbors: of `neighbor_metrics`.
    history: the validation figure of each checkpoint so far, by step.
    step: the present step.
    is_held: penalties or further terms keep the discriminator at chance; see `LogSummary.is_held`.
    cause: the diagnosis of the last log line that explains what is wrong with samples, if any.
    """

    neighbors: Mapping[str, float]
    history: Mapping[int, Quality]
    step: int
    is_held: bool = False
    cause: str | None = None

    def advice(self, usual: str) -> str:
        """Return what to try: first of all against the cause; a larger gamma unless it is large."""
        if self.cause is not None:
            return f"Try the advice of another diagnosis first: {self.cause}."
        return HELD if self.is_held else usual

    @property
    def has_diverged(self) -> bool:
        """True where samples are far from all data and from each other."""
        ratio, spread = (self.neighbors.get(name, 0.0) for name in ("distance_ratio", "spread"))
        return ratio >= DIVERGED_RATIO and spread >= DIVERGED_SPREAD

    @property
    def varies_otherwise(self) -> bool:
        """True where samples vary, but not in the directions in which the data do, far from them.

        Samples of one mode vary too, within it, but they are as near to the data as the data are.
        """
        found = self.neighbors
        low = found.get("diversity", math.inf) < LOW_DIVERSITY
        far = found.get("distance_ratio", 0.0) >= FAR
        return low and far and found.get("spread", 0.0) >= LOW_DIVERSITY


def divergence(now: CheckpointSummary) -> str | None:
    """Detect samples that have left the data behind."""
    if not now.has_diverged:
        return None
    ratio, spread = (now.neighbors[name] for name in ("distance_ratio", "spread"))
    usual = "Try a learning rate that is ten times smaller."
    advice = usual if now.cause == DIVERGED else now.advice(usual)
    return (
        f"Samples of the averaged generator are {ratio:.3g} times as far from training items as "
        f"held-out items are, and differ {spread:.2g} times as much. {advice}"
    )


def underfitting(now: CheckpointSummary) -> str | None:
    """Detect samples that vary, but not as the data do."""
    if not now.varies_otherwise:
        return None
    spread, diversity = (100 * now.neighbors[name] for name in ("spread", "diversity"))
    return (
        f"Samples of the averaged generator differ {spread:.2g} % as much as held-out items, but "
        f"{diversity:.2g} % as much in the directions in which the data vary most: the generator "
        "has not learned the data yet. Try more steps, or a larger network."
    )


def collapse(now: CheckpointSummary) -> str | None:
    """Detect samples that differ much less than held-out items do."""
    return _low_diversity(
        now,
        "",
        "Samples of the averaged generator differ {} as much as held-out items in the directions "
        "in which the data vary most.",
    )


def collapse_within_conditions(now: CheckpointSummary) -> str | None:
    """Detect samples of one condition that differ much less than held-out items of it do."""
    return _low_diversity(
        now,
        "_within_condition",
        "Samples of one class or condition differ {} as much as held-out items of it in the "
        "directions in which those vary most.",
    )


def _low_diversity(now: CheckpointSummary, pairs: str, sentence: str) -> str | None:
    """Describe samples that hardly vary in the directions of the data, and less in all."""
    diversity = now.neighbors.get(f"diversity{pairs}", math.inf)
    spread = now.neighbors.get(f"spread{pairs}", 0.0)
    varies = now.varies_otherwise and spread >= LOW_DIVERSITY
    if diversity >= LOW_DIVERSITY or spread >= SAME_SPREAD or varies:
        return None
    return f"{sentence.format(f'{100 * diversity:.2g} %')} {now.advice(CALMER)}"


MORE_MODES = "Try a larger gamma, the relativistic loss with r1 and r2, or a larger batch."


def missing_modes(now: CheckpointSummary) -> str | None:
    """Detect parts of the data that no sample is near to."""
    missing = now.neighbors.get("missing_fraction", 0.0)
    if missing < MISSING_MODES or now.varies_otherwise or now.has_diverged:
        return None
    return (
        f"No sample falls into the parts of the data that hold {missing:.0%} of the held-out "
        f"items. {now.advice(MORE_MODES)}"
    )


def memorization(now: CheckpointSummary) -> str | None:
    """Detect samples that are copies of training items."""
    copies, chance = now.neighbors.get("copies", 0.0), now.neighbors.get("copies_by_chance", 1.0)
    ratio = now.neighbors.get("distance_ratio", math.inf)
    share, by_chance = (now.neighbors.get(f"train_{name}", 0.0) for name in ("share", "chance"))
    if ratio <= MAX_RATIO and copies >= max(COPIES, min(TIMES_BY_CHANCE * chance, 0.9)):
        fact = (
            f"are copies of training items: {copies:.0%} are nearer to one than held-out items are"
        )
    elif ratio <= NEAR and _is_above_chance(share, by_chance, now.neighbors.get("train_z", 0.0)):
        fact = (
            f"lie around training items: one of these is the nearest item to {share:.0%} (chance: "
            f"{by_chance:.0%})"
        )
    else:
        return None
    return (
        f"Samples {fact}, and their median distance is {ratio:.2g} of that of held-out items. "
        "Try more data, augmentation, dropout, or fewer steps (--patience 3)."
    )


def _is_above_chance(share: float, chance: float, z: float) -> bool:
    """Return True for a share of samples near training items that is clearly above chance."""
    return z >= TRAIN_Z and share >= chance + TRAIN_EXCESS * (1 - chance)


def ignored_condition(now: CheckpointSummary) -> str | None:
    """Detect a generator that does not follow conditions which the data follow."""
    found = now.neighbors
    if "condition_fake" not in found or now.has_diverged:
        return None
    fake, real, chance = (found[f"condition_{name}"] for name in ("fake", "real", "chance"))
    if real < chance + CLEAR_CONDITIONS or fake > chance + FOLLOWED * (real - chance):
        return None
    auc = found["condition_auc"]
    is_used = auc > 0.5 + Z_SCORE * math.sqrt(0.25 / found["condition_items"])
    usual = f"Try more steps, or a {'generator' if is_used else 'discriminator'} that uses the "
    advice = f"{usual}condition." if now.cause is None else now.advice(usual)
    return (
        f"The nearest training item of a sample has its condition in {fake:.0%} of cases, that of "
        f"a held-out item in {real:.0%} (chance: {chance:.0%}), and the discriminator prefers the "
        f"own condition to another in {auc:.0%}. {advice}"
    )


def uninformative_condition(now: CheckpointSummary) -> str | None:
    """Detect labels that have nothing to do with the data."""
    found = now.neighbors
    if "condition_real" not in found:
        return None
    real, chance, auc = (found[f"condition_{name}"] for name in ("real", "chance", "auc"))
    errors = [Z_SCORE * math.sqrt(p * (1 - p) / found["condition_items"]) for p in (chance, 0.5)]
    if chance + errors[0] > (1 + chance) / 2 or errors[1] > 0.25:
        return None  # too few items: labels that fit half of the time would not show
    if real > chance + errors[0] or auc > 0.5 + errors[1]:
        return None
    return (
        f"The labels do not fit the data: the nearest training item of a held-out one has its "
        f"label in {real:.0%} of cases (chance: {chance:.0%}), and the discriminator prefers the "
        f"own label to another in {auc:.0%}. Check that labels and samples are in the same order."
    )


def worse_validation(now: CheckpointSummary) -> str | None:
    """Detect a validation figure that was much better before."""
    last = now.history.get(now.step)
    if last is None or not last.margin > 0:  # nothing to compare with
        return None
    step, best = min(now.history.items(), key=lambda item: item[1].value)
    least = max(best.value - best.floor, 0.0)
    if last.value - last.floor <= WORSE_EXCESS * least + WORSE_SHARE * last.margin:
        return None
    return (
        f"{last.metric} on held-out data is {last.value:.3g}; at step {step:,} it was "
        f"{best.value:.3g} ({last.floor_name}: {last.floor:.3g}). Try fewer steps (--patience 3), "
        "augmentation or dropout; the best checkpoint is kept."
    )


VALIDATION_CHECKS: dict[str, Callable[[CheckpointSummary], str | None]] = {
    DIVERGED: divergence,
    "underfitting": underfitting,
    "mode collapse": collapse,
    "collapse within conditions": collapse_within_conditions,
    "missing modes": missing_modes,
    "memorization": memorization,
    "ignored condition": ignored_condition,
    "mislabeled data": uninformative_condition,
    "validation worsens": worse_validation,
}
