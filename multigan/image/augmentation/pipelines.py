"""Differentiable augmentation of real and fake images in front of the discriminator.

Every augmentation is an `Augment`: (x, labels, rng) -> (x, labels), random for each image and twice
differentiable. Gradient penalties are taken at the images before it.
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
TRANSLATION = 1 / 8  # of a side, in DiffAugment
CUTOUT_SIZE = 1 / 2  # of a side


def build_augment(name: str, p: float) -> Augment | None:
    """Build the augmentation called `name`; `p` is its final or its maximum probability.

    Raises ValueError for an unknown name.
    """
    builders: dict[str, Callable[[], Augment | None]] = {
        "none": lambda: None,
        "diffaugment": DiffAugment,
        "scheduled": lambda: ScheduledAugment(p),
        "ada": lambda: AdaptiveAugment(p),
    }
    if name not in builders:
        raise ValueError(f"augment must be one of {', '.join(builders)}; got {name!r}")
    return builders[name]()


@component
class DiffAugment:
    """DiffAugment: color, translation and cutout of every image, sampled for each image.

    `policy` names the operations: "color" (brightness + U(-.5, .5), saturation x U(0, 2), contrast
    x U(.5, 1.5)), "translation" (up to an eighth of each side, zeros outside) and "cutout" (a
    rectangle of half the sides becomes 0).

    Raises ValueError for an unknown name. Source: Zhao et al. 2020 (DiffAugment), section 4.
    """

    def __init__(self, policy: Sequence[str] = ("color", "translation", "cutout")) -> None:
        if unknown := set(policy) - set(POLICIES):
            raise ValueError(f"policy must be among {', '.join(POLICIES)}; got {sorted(unknown)}")
        self.policy = tuple(policy)

    def __call__(
        self, x: Tensor, condition: Condition, rng: torch.Generator
    ) -> tuple[Tensor, Condition]:
        """Augment images (B, C, H, W); shape and labels do not change."""
        for name in self.policy:
            x = POLICIES[name](x, rng)
        return x, condition


@component
class ScheduledAugment:
    """The augmentation pipeline of ADA with a scheduled probability, as in R3GAN.

    Every operation is applied to an image with probability p x strength. p follows a cosine from
    `start` to `end` over the first `fraction` of the run and is logged. `strengths` are multipliers
    by operation; operations that are not named are disabled, as `xflip`, `rotate90` and `rotate`
    should be for digits.

    Raises ValueError for an unknown operation or a probability outside 0 to 1.
    Source: Karras et al. 2020 (ADA), appendix B: operations, order and ranges; the strengths are
    those of Huang et al. 2024 (R3GAN). Images are sampled bilinearly and reflected at their
    borders, without the wavelet filters, image-space filtering and noise of ADA.
    """

    def __init__(
        self,
        end: float = 0.3,
        start: float = 0.0,
        fraction: float = 1.0,
        strengths: Mapping[str, float] = STRENGTHS,
    ) -> None:
        if unknown := set(strengths) - set(STRENGTHS):
            raise ValueError(f"strengths must be of {', '.join(STRENGTHS)}; got {sorted(unknown)}")
        for name, value in {"start": start, "end": end, "fraction": fraction, **strengths}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in 0 to 1; got {value}")
        self.start, self.end, self.fraction = start, end, fraction
        self.strengths = dict(strengths)
        self.p = start

    def anneal(self, progress: float) -> dict[str, float]:
        """Set the probability for this fraction of the run; return the log entry."""
        elapsed = min(1.0, progress / self.fraction) if self.fraction > 0 else 1.0
        self.p = self.end + (self.start - self.end) * (1 + math.cos(math.pi * elapsed)) / 2
        return {"augment/p": self.p}

    def __call__(
        self, x: Tensor, condition: Condition, rng: torch.Generator
    ) -> tuple[Tensor, Condition]:
        """Augment images (B, C, H, W); shape and labels do not change."""
        if self.p == 0:
            return x, condition
        ps = {name: self.p * strength for name, strength in self.strengths.items()}
        x = geometric_augment(x, {name: ps[name] for name in GEOMETRIC_OPS if name in ps}, rng)
        x = color_augment(x, {name: ps[name] for name in COLOR_OPS if name in ps}, rng)
        if CUTOUT in ps:
            applied = torch.rand(len(x), generator=rng) < ps[CUTOUT]
            x = cutout(x, CUTOUT_SIZE * applied, rng)
        return x, condition


@component
class AdaptiveAugment:
    """Adaptive discriminator augmentation (ADA): the probability follows the real logits of D.

    Every `interval_steps` steps p changes by the number of real samples over `ramp_samples`: it
    rises if the mean sign of the real logits is above `target`, else it falls, within 0 to `max_p`.
    Only for losses with a fixed decision boundary, which relativistic losses do not have.

    Raises ValueError for an unknown operation, a `max_p` outside 0 to 1, or a count below 1.
    Source: Karras et al. 2020 (ADA), section 3.1: r_t, 0.6, 4 steps, 500,000 images.
    """

    def __init__(
        self,
        max_p: float = 1.0,
        target: float = 0.6,
        ramp_samples: int = 500_000,
        interval_steps: int = 4,
        strengths: Mapping[str, float] = STRENGTHS,
    ) -> None:
        if min(ramp_samples, interval_steps) < 1:
            raise ValueError(
                "ramp_samples and interval_steps must be 1 or more; "
                f"got {ramp_samples} and {interval_steps}"
            )
        self.scheduled = ScheduledAugment(max_p, strengths=strengths)
        self.max_p, self.target = max_p, target
        self.ramp_samples, self.interval_steps = ramp_samples, interval_steps
        self._reset()

    def _reset(self) -> None:
        """Start counting to the next change of the probability."""
        self._sign: Tensor | float = 0.0  # sum over the steps
        self._steps = self._samples = 0

    def update_probability(self, sign: Tensor, samples: int) -> dict[str, float]:
        """Adapt to the mean sign of the logits of `samples` real samples; return the log entry."""
        self._sign = self._sign + sign
        self._steps, self._samples = self._steps + 1, self._samples + samples
        if self._steps == self.interval_steps:
            above = float(self._sign) / self.interval_steps - self.target
            p = self.scheduled.p + math.copysign(self._samples / self.ramp_samples, above)
            self.scheduled.p = min(max(p, 0.0), self.max_p)
            self._reset()
        return {"augment/p": self.scheduled.p}

    def state(self) -> dict[str, float]:
        """Return the state for an exact resume, as JSON."""
        counts = {"sign": float(self._sign), "steps": self._steps, "samples": self._samples}
        return {"p": self.scheduled.p} | counts

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state()` returned."""
        self.scheduled.p, self._sign = state["p"], state["sign"]
        self._steps, self._samples = state["steps"], state["samples"]

    def __call__(
        self, x: Tensor, condition: Condition, rng: torch.Generator
    ) -> tuple[Tensor, Condition]:
        """Augment images (B, C, H, W); shape and labels do not change."""
        return self.scheduled(x, condition, rng)


def _color_jitter(x: Tensor, rng: torch.Generator) -> Tensor:
    """Apply brightness, saturation and contrast, in the order of DiffAugment; alpha stays."""
    if x.shape[1] == 4:
        return torch.cat([_color_jitter(x[:, :3], rng), x[:, 3:]], 1)
    n = len(x)
    brightness, saturation, contrast = torch.rand(3, n, 1, 1, 1, generator=rng).to(x)
    x = x + (brightness - 0.5)
    gray = x.mean(1, keepdim=True)
    x = gray + 2 * saturation * (x - gray)
    level = x.mean((1, 2, 3), keepdim=True)
    return level + (contrast + 0.5) * (x - level)


POLICIES = {
    "color": _color_jitter,
    "translation": lambda x, rng: translate(x, TRANSLATION, rng),
    "cutout": lambda x, rng: cutout(x, torch.full((len(x),), CUTOUT_SIZE), rng),
}
