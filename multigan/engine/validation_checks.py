"""Checks of the measurements at a checkpoint: what was measured, and what to try."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from multigan.core.quality import Quality
from multigan.engine.log_checks import HELD, calmer

LOW_DIVERSITY = 0.5  # of that of held-out items
SAME_SPREAD = 1.0  # likewise, in all directions: samples that vary so much have not collapsed
FAR = 1.5  # from the training items, over held-out items: collapsed samples are near to some
MISSING_MODES = 0.3  # of the held-out items: those in bins without a sample
COPIES, MAX_RATIO = 0.2, 0.7  # fraction of copies, and the distance ratio below which they count
TIMES_BY_CHANCE = 5.0  # a fraction of copies above chance
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
    """

    neighbors: Mapping[str, float]
    history: Mapping[int, Quality]
    step: int
    is_held: bool = False

    @property
    def varies_otherwise(self) -> bool:
        """True where samples vary, but not in the directions in which the data do, far from them.

        Samples of one mode vary too, within it, but they are as near to the data as the data are.
        """
        found = self.neighbors
        low = found.get("diversity", math.inf) < LOW_DIVERSITY
        far = found.get("distance_ratio", 0.0) >= FAR
        return low and far and found.get("spread", 0.0) >= LOW_DIVERSITY


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
    return f"{sentence.format(f'{100 * diversity:.2g} %')} {calmer(now.is_held)}"


MORE_MODES = "Try a larger gamma, the relativistic loss with r1 and r2, or a larger batch."


def missing_modes(now: CheckpointSummary) -> str | None:
    """Detect parts of the data that no sample is near to."""
    missing = now.neighbors.get("missing_fraction", 0.0)
    if missing < MISSING_MODES or now.varies_otherwise:
        return None
    return (
        f"No sample falls into the parts of the data that hold {missing:.0%} of the held-out "
        f"items. {HELD if now.is_held else MORE_MODES}"
    )


def memorization(now: CheckpointSummary) -> str | None:
    """Detect samples that are copies of training items."""
    copies, chance = now.neighbors.get("copies", 0.0), now.neighbors.get("copies_by_chance", 1.0)
    ratio = now.neighbors.get("distance_ratio", math.inf)
    if copies < max(COPIES, min(TIMES_BY_CHANCE * chance, 0.9)) or ratio > MAX_RATIO:
        return None
    return (
        f"Samples are copies of training items: {copies:.0%} are nearer to one than held-out items "
        f"are, and their median distance is {ratio:.2g} of that of held-out items. "
        "Try more data, augmentation, dropout, or fewer steps (--patience 3)."
    )


def ignored_condition(now: CheckpointSummary) -> str | None:
    """Detect a generator that does not follow conditions which the data follow."""
    found = now.neighbors
    if "condition_fake" not in found:
        return None
    fake, real, chance = (found[f"condition_{name}"] for name in ("fake", "real", "chance"))
    if real < chance + CLEAR_CONDITIONS or fake > chance + FOLLOWED * (real - chance):
        return None
    return (
        f"The nearest training item of a sample has its condition in {fake:.0%} of cases, that of "
        f"a held-out item in {real:.0%} (chance: {chance:.0%}). Try more steps, or a discriminator "
        "that uses the condition."
    )


def uninformative_condition(now: CheckpointSummary) -> str | None:
    """Detect labels that have nothing to do with the data."""
    found = now.neighbors
    if "condition_real" not in found:
        return None
    real, chance, auc = (found[f"condition_{name}"] for name in ("real", "chance", "auc"))
    errors = [math.sqrt(p * (1 - p) / found["condition_items"]) for p in (chance, 0.5)]
    if real > chance + Z_SCORE * errors[0] or auc > 0.5 + Z_SCORE * errors[1]:
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
    "underfitting": underfitting,
    "mode collapse": collapse,
    "collapse within conditions": collapse_within_conditions,
    "missing modes": missing_modes,
    "memorization": memorization,
    "ignored condition": ignored_condition,
    "mislabeled data": uninformative_condition,
    "validation worsens": worse_validation,
}
