"""Interpolation between latents, or between conditions: grids and animations of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from multigan.core.protocols import (
    Condition,
    Generator,
    Latent,
    Sample,
    Sampler,
    SupportsAnimation,
    SupportsConditionInterpolation,
    SupportsInterpolation,
)
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map

Options = dict[str, Any]  # sampling options of a domain
MIN_SINE = 1e-6  # of an angle; below it slerp is linear


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """Spherical linear interpolation: the point (B, Z) at fraction `t` of the arc from `a` to `b`.

    The norm is interpolated linearly from |a| to |b|: points in between have the norm of Gaussian
    latents, unlike those on a straight line. Parallel and opposite rows have no unique arc and are
    interpolated linearly.

    Source: Shoemake 1985; for GAN latents White 2016, section 2.1.
    """
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = a / length_a, b / length_b
    angle = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1).acos()  # (B, 1)
    sine = angle.sin()
    arc = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / sine
    length = (1 - t) * length_a + t * length_b
    return torch.where(sine > MIN_SINE, length * arc, (1 - t) * a + t * b)


class LatentInterpolation(nn.Module):
    """A generator that samples two latents and interpolates between them at a fixed fraction."""

    def __init__(self, generator: Any, fraction: float) -> None:
        super().__init__()
        self.generator, self.fraction = generator, fraction

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """`n` latents, each on the path from one sampled latent to another."""
        start = self.generator.sample_latent(n, rng)
        end = self.generator.sample_latent(n, rng)
        return self.generator.interpolate(start, end, self.fraction)

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        output: torch.Tensor = self.generator(latent, condition)
        return output

    def generate(
        self, latent: Latent, condition: Condition = None, **controls: Any
    ) -> torch.Tensor:
        """As `forward`, of a generator with compact samples."""
        output: torch.Tensor = self.generator.generate(latent, condition, **controls)
        return output


class ConditionInterpolation(nn.Module):
    """A generator that interpolates between its condition and another one, `end`.

    Without an `end` it samples as its own generator does, and records its condition in `seen`.
    """

    def __init__(self, generator: Any, end: Condition = None, fraction: float = 0.0) -> None:
        super().__init__()
        self.generator, self.end, self.fraction = generator, end, fraction
        self.seen: Condition = None

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """`n` latents, the same at every fraction."""
        return self.generator.sample_latent(n, rng)

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        self.seen = condition
        output: torch.Tensor
        if self.end is None:
            output = self.generator(latent, condition)
        else:
            output = self.generator.interpolate_condition(
                latent, condition, self.end, self.fraction
            )
        return output


def interpolate(
    sampler: Sampler,
    out: Path,
    *,
    num_paths: int = 10,
    num_steps: int = 9,
    seed: int = 0,
    to: Options | None = None,
    **options: Any,
) -> list[Path]:
    """Write `num_paths` rows of `num_steps` samples between random latents; return the files.

    A domain that animates samples adds one animation, the last file. See `interpolation_frames`.
    """
    frames = interpolation_frames(
        sampler, num_paths=num_paths, num_steps=num_steps, seed=seed, to=to, **options
    )
    samples = [sample for path in zip(*frames, strict=True) for sample in path]
    out.mkdir(parents=True, exist_ok=True)
    files = sampler.domain.write(samples, out)
    files += sampler.domain.preview(samples, out / "paths", columns=num_steps)
    if isinstance(sampler.domain, SupportsAnimation):
        files += sampler.domain.animate(frames, out / "paths-animation")
    return files


def interpolation_frames(
    sampler: Sampler,
    *,
    num_paths: int,
    num_steps: int,
    seed: int = 0,
    to: Options | None = None,
    **options: Any,
) -> list[list[Sample]]:
    """The samples of `num_paths` paths, step by step.

    With `to`, options of the other end, latents stay and conditions are interpolated. Every step
    uses the same random stream, so that whatever else the domain samples is constant along a path.
    Raises ValueError for a generator without interpolation, or too few steps or paths.
    """
    if num_steps < 2 or num_paths < 1:
        raise ValueError(
            f"num_paths must be 1 or more and num_steps 2 or more; got {num_paths} and {num_steps}"
        )
    fractions = [step / (num_steps - 1) for step in range(num_steps)]
    generators = (
        _between_latents(sampler.generator, fractions)
        if to is None
        else _between_conditions(sampler, fractions, num_paths, seed, options, to)
    )
    return [_sample(sampler, generator, num_paths, seed, options) for generator in generators]


def _between_latents(generator: Generator, fractions: list[float]) -> list[LatentInterpolation]:
    """One generator for each fraction."""
    if not isinstance(generator, SupportsInterpolation):
        name = type(generator).__name__
        raise ValueError(f"{name} has no `interpolate`; its latents cannot be interpolated")
    return [LatentInterpolation(generator, fraction) for fraction in fractions]


def _between_conditions(
    sampler: Sampler,
    fractions: list[float],
    num_paths: int,
    seed: int,
    options: Options,
    to: Options,
) -> list[ConditionInterpolation]:
    """One generator for each fraction between the conditions of `options` and of `to`."""
    generator, name = sampler.generator, type(sampler.generator).__name__
    if not isinstance(generator, SupportsConditionInterpolation):
        raise ValueError(
            f"{name} has no `interpolate_condition`; its conditions cannot be interpolated"
        )
    first, last = ConditionInterpolation(generator), ConditionInterpolation(generator)
    for end, requested in ((first, options), (last, options | to)):
        _sample(sampler, end, num_paths, seed, requested)
    if last.seen is None:
        raise ValueError(f"{name} must have a condition to interpolate; got none")
    if tree_map(torch.equal, first.seen, last.seen) is True:
        raise ValueError("the conditions of both ends must differ; change the options of one end")
    return [ConditionInterpolation(generator, last.seen, fraction) for fraction in fractions]


def _sample(
    sampler: Sampler, generator: nn.Module, num_paths: int, seed: int, options: Options
) -> list[Sample]:
    rng, options = keyed_rng(seed, "interpolate"), {**sampler.defaults, **options}
    return sampler.domain.sample(generator, num_paths, rng, **options)  # type: ignore[arg-type]
