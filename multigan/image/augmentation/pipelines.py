"""Augmentation in front of D: on real and fake alike, drawn for each picture, differentiable twice.

Both parts are the contract's `Augment`: (x, labels, rng) -> (x, labels). Penalties are taken at
the picture before it, so that its slope is part of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from multigan.core.protocols import Augment, Condition
from multigan.core.serialization import component
from multigan.image.augmentation.color import COLOR_OPS, color_augment
from multigan.image.augmentation.geometric import (
    GEOMETRIC_OPS,
    cutout,
    geometric_augment,
    translate,
)

CUTOUT = "cutout"
STRENGTHS = dict.fromkeys(GEOMETRIC_OPS, 1.0) | dict.fromkeys(COLOR_OPS, 0.5) | {CUTOUT: 1.0}
SHIFT = 1 / 8  # of a side: DiffAugment's translation
CUTOUT_SIZE = 1 / 2  # of a side: both cutouts


def build_augment(name: str, p: float) -> Augment | None:
    """What a recipe's knob means; `p` is where the pipeline's chance ends, or its most.

    Raises ValueError, listing the known ones, for an unknown name.
    """
    known: dict[str, Callable[[], Augment | None]] = {
        "none": lambda: None,
        "diff": DiffAugment,
        "pipeline": lambda: ScheduledAugment(p),
        "adaptive": lambda: AdaptiveAugment(p),
    }
    if name not in known:
        raise ValueError(f"augment is {name!r}; known: {', '.join(known)}")
    return known[name]()


@component
class DiffAugment:
    """Every picture is recoloured, shifted and loses a rectangle, each by a draw of its own.

    `policy` names what is done: "colour" (brightness + U(-.5, .5), saturation x U(0, 2), contrast
    x U(.5, 1.5)), "translation" (up to an eighth of each side, 0 comes in) and "cutout" (a
    rectangle of half the sides becomes 0).

    Raises ValueError for an unknown name. Source: Zhao et al. 2020 (DiffAugment), section 4.
    """

    def __init__(self, policy: Sequence[str] = ("colour", "translation", "cutout")) -> None:
        if unknown := set(policy) - set(POLICIES):
            raise ValueError(f"policy names {sorted(unknown)}; known: {', '.join(POLICIES)}")
        self.policy = tuple(policy)

    def __call__(
        self, x: Tensor, condition: Condition, rng: torch.Generator
    ) -> tuple[Tensor, Condition]:
        """Pictures (B, C, H, W) of the same shape; labels stay."""
        for name in self.policy:
            x = POLICIES[name](x, rng)
        return x, condition


@component
class ScheduledAugment:
    """Geometry, colours and cutout, each done to a picture by a coin of its own: as in ADA.

    A coin of chance p x strength is thrown for every picture and every operation; p moves from
    `start` to `end` along a cosine over the first `until` (share) of the run, as R3GAN's does, and
    says so in the log. `strengths` are multipliers by operation; those that are not named are left
    out: without `flip`, `turn` and `rotate` for digits, say.

    Raises ValueError for an unknown operation or a chance outside 0 to 1.
    Source: Karras et al. 2020 (ADA), appendix B: operations, order and how far each goes; the
    strengths are those that Huang et al. 2024 (R3GAN) give. Pictures are sampled bilinearly,
    mirrored at their borders, without ADA's wavelet filters and its filtering and noise.
    """

    def __init__(
        self,
        end: float = 0.3,
        start: float = 0.0,
        fraction: float = 1.0,
        strengths: Mapping[str, float] = STRENGTHS,
    ) -> None:
        if unknown := set(strengths) - set(STRENGTHS):
            raise ValueError(f"no operations {sorted(unknown)}; known: {', '.join(STRENGTHS)}")
        for name, chance in {"start": start, "end": end, "fraction": fraction, **strengths}.items():
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} is {chance}; wanted 0 to 1")
        self.start, self.end, self.fraction = start, end, fraction
        self.strengths = dict(strengths)
        self.p = start

    def anneal(self, progress: float) -> dict[str, float]:
        """Set the chance for this share of the run; what to log."""
        passed = min(1.0, progress / self.fraction) if self.fraction > 0 else 1.0
        self.p = self.end + (self.start - self.end) * (1 + math.cos(math.pi * passed)) / 2
        return {"augment/p": self.p}

    def __call__(
        self, x: Tensor, condition: Condition, rng: torch.Generator
    ) -> tuple[Tensor, Condition]:
        """Pictures (B, C, H, W) of the same shape; labels stay."""
        if self.p == 0:
            return x, condition
        chances = {name: self.p * strength for name, strength in self.strengths.items()}
        x = geometric_augment(
            x, {name: chances[name] for name in GEOMETRIC_OPS if name in chances}, rng
        )
        x = color_augment(x, {name: chances[name] for name in COLOR_OPS if name in chances}, rng)
        if CUTOUT in chances:
            coin = torch.rand(len(x), generator=rng) < chances[CUTOUT]
            x = cutout(x, CUTOUT_SIZE * coin, rng)
        return x, condition


@component
class AdaptiveAugment:
    """The same, with a chance that goes by how D judges real pictures: up where it knows them all.

    Every `every` steps it moves by the share that these steps are of `rise_samples`, up if the mean
    sign of D's real logits is above `target` and down if below, and stays between 0 and `most`.
    Only for games that fix where D's logits change sides, which relativistic ones do not.

    Raises ValueError for an unknown operation, a `most` outside 0 to 1, or a count below 1.
    Source: Karras et al. 2020 (ADA), section 3.1: r_t, 0.6, 4 steps, 500,000 pictures.
    """

    def __init__(
        self,
        most: float = 1.0,
        target: float = 0.6,
        rise_samples: int = 500_000,
        every: int = 4,
        strengths: Mapping[str, float] = STRENGTHS,
    ) -> None:
        if min(rise_samples, every) < 1:
            raise ValueError(
                f"rise_samples {rise_samples}, every {every}: wanted 1 or more of each"
            )
        self.pipeline = ScheduledAugment(most, strengths=strengths)
        self.most, self.target, self.rise_samples, self.every = most, target, rise_samples, every
        self._begin()

    def _begin(self) -> None:
        """Count from here to the next move of the chance."""
        self._sign: Tensor | float = 0.0  # summed over the steps
        self._steps = self._samples = 0

    def update_probability(self, sign: Tensor, samples: int) -> dict[str, float]:
        """Take in the mean sign of D's real logits in a step of `samples` reals; what to log."""
        self._sign = self._sign + sign
        self._steps, self._samples = self._steps + 1, self._samples + samples
        if self._steps == self.every:
            above = float(self._sign) / self.every - self.target
            p = self.pipeline.p + math.copysign(self._samples / self.rise_samples, above)
            self.pipeline.p = min(max(p, 0.0), self.most)
            self._begin()
        return {"augment/p": self.pipeline.p}

    def state(self) -> dict[str, float]:
        """What an exact continuation needs."""
        counted = {"sign": float(self._sign), "steps": self._steps, "samples": self._samples}
        return {"p": self.pipeline.p} | counted

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self.pipeline.p, self._sign = state["p"], state["sign"]
        self._steps, self._samples = state["steps"], state["samples"]

    def __call__(
        self, x: Tensor, condition: Condition, rng: torch.Generator
    ) -> tuple[Tensor, Condition]:
        """Pictures (B, C, H, W) of the same shape; labels stay."""
        return self.pipeline(x, condition, rng)


def _recolour_always(x: Tensor, rng: torch.Generator) -> Tensor:
    """DiffAugment's colours, in its order: brightness, saturation, contrast."""
    n = len(x)
    brightness, saturation, contrast = torch.rand(3, n, 1, 1, 1, generator=rng).to(x)
    x = x + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + 2 * saturation * (x - grey)
    level = x.mean((1, 2, 3), keepdim=True)
    return level + (contrast + 0.5) * (x - level)


POLICIES = {
    "colour": _recolour_always,
    "translation": lambda x, rng: translate(x, SHIFT, rng),
    "cutout": lambda x, rng: cutout(x, torch.full((len(x),), CUTOUT_SIZE), rng),
}
