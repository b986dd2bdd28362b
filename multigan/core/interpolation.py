"""Walks between latents, or between conditions: strips and moving pictures of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from multigan.core.protocols import Condition, Latent, Sample, Sampler
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map


class LatentInterpolation(nn.Module):
    """A generator that draws two latents where its own draws one, and stands between them."""

    def __init__(self, generator: Any, share: float) -> None:
        super().__init__()
        self.generator, self.share = generator, share

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """`n` latents at this share of the way from one draw to the next."""
        start = self.generator.sample_latent(n, rng)
        end = self.generator.sample_latent(n, rng)
        return self.generator.interpolate(start, end, self.share)

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        return self.generator(latent, condition)


class ConditionInterpolation(nn.Module):
    """A generator that stands between the condition that it is given and another, `end`.

    Without an `end` it draws as its own generator does, and keeps its condition as `given`.
    """

    def __init__(self, generator: Any, end: Condition = None, share: float = 0.0) -> None:
        super().__init__()
        self.generator, self.end, self.share = generator, end, share
        self.given: Condition = None

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """`n` latents, the same at every share."""
        return self.generator.sample_latent(n, rng)

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        self.given = condition
        if self.end is None:
            return self.generator(latent, condition)
        return self.generator.interpolate_condition(latent, condition, self.end, self.share)


def interpolate(
    sampler: Sampler,
    out: Path,
    *,
    walks: int = 10,
    frames: int = 9,
    seed: int = 0,
    to: dict[str, Any] | None = None,
    **wishes: Any,
) -> list[Path]:
    """Write `walks` strips of `frames` samples between random latents; return the files.

    What can be seen moving is written as one moving picture too, the last file. See `walk_between`.
    """
    columns = interpolation_frames(sampler, walks=walks, frames=frames, seed=seed, to=to, **wishes)
    samples = [sample for strip in zip(*columns, strict=True) for sample in strip]
    out.mkdir(parents=True, exist_ok=True)
    files = sampler.domain.write(samples, out)
    files += sampler.domain.preview(samples, out / "walks", columns=frames)
    animate = getattr(sampler.domain, "animate", None)  # optional in the contract
    return files if animate is None else files + animate(columns, out / "walks-moving")


def interpolation_frames(
    sampler: Sampler,
    *,
    walks: int,
    frames: int,
    seed: int = 0,
    to: dict[str, Any] | None = None,
    **wishes: Any,
) -> list[list[Sample]]:
    """The samples of `walks` walks, frame by frame.

    With `to`, wishes for the other end, the latents stay and the conditions are walked between.
    Every frame is drawn from the same random stream, so that whatever else the domain draws or
    deals out is the same along a walk. Raises ValueError for a generator that cannot do this, or
    too few frames.
    """
    if frames < 2 or walks < 1:
        raise ValueError(f"{walks} walks of {frames} frames; wanted 1 or more, of 2 or more")
    walk = _walk if to is None else _morph
    return walk(sampler, walks, frames, seed, wishes, to or {})


def _walk(
    sampler: Sampler, walks: int, frames: int, seed: int, wishes: dict[str, Any], _: Any
) -> list[list[Sample]]:
    """The samples of every frame, from one latent to another."""
    _demand(sampler.generator, "interpolate", "its latents cannot be walked between")
    shares = [frame / (frames - 1) for frame in range(frames)]
    between = [LatentInterpolation(sampler.generator, share) for share in shares]
    return [_drawn(sampler, generator, walks, seed, wishes) for generator in between]


def _morph(
    sampler: Sampler,
    walks: int,
    frames: int,
    seed: int,
    wishes: dict[str, Any],
    to: dict[str, Any],
) -> list[list[Sample]]:
    """The samples of every frame, from the condition of `wishes` to that of `to`."""
    _demand(sampler.generator, "interpolate_condition", "it knows nothing between two conditions")
    first, last = (
        ConditionInterpolation(sampler.generator),
        ConditionInterpolation(sampler.generator),
    )
    for end, said in ((first, wishes), (last, wishes | to)):
        _drawn(sampler, end, walks, seed, said)
    if last.given is None:
        raise ValueError(f"{type(sampler.generator).__name__} was given no condition to walk to")
    if tree_map(torch.equal, first.given, last.given) is True:
        raise ValueError("both ends of the walk are the same; wanted other wishes for the last")
    shares = [frame / (frames - 1) for frame in range(frames)]
    between = [ConditionInterpolation(sampler.generator, last.given, share) for share in shares]
    return [_drawn(sampler, generator, walks, seed, wishes) for generator in between]


def _drawn(
    sampler: Sampler, generator: Any, walks: int, seed: int, wishes: dict[str, Any]
) -> list[Sample]:
    return sampler.domain.sample(generator, walks, keyed_rng(seed, "interpolate"), **wishes)


def _demand(generator: Any, method: str, otherwise: str) -> None:
    if not hasattr(generator, method):
        raise ValueError(f"{type(generator).__name__} has no `{method}`; {otherwise}")
