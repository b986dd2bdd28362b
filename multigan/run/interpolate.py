"""Walks between latents: strips of samples from one end to the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from multigan.contract import Condition, Latent, Sample, Sampler
from multigan.rng import keyed_rng


class Between(nn.Module):
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


def interpolate(
    sampler: Sampler, out: Path, *, walks: int = 10, frames: int = 9, seed: int = 0, **wishes: Any
) -> list[Path]:
    """Write `walks` strips of `frames` samples between random latents; return the files.

    Raises ValueError for a generator that cannot interpolate, or too few frames.
    """
    columns = walk_between(sampler, walks=walks, frames=frames, seed=seed, **wishes)
    samples = [sample for strip in zip(*columns, strict=True) for sample in strip]
    out.mkdir(parents=True, exist_ok=True)
    files = sampler.domain.write(samples, out)
    return files + sampler.domain.preview(samples, out / "walks", columns=frames)


def walk_between(
    sampler: Sampler, *, walks: int, frames: int, seed: int = 0, **wishes: Any
) -> list[list[Sample]]:
    """The samples of `walks` walks, frame by frame.

    Every frame is drawn from the same random stream, so that whatever else the domain draws or
    deals out (labels) is the same along a walk. Raises ValueError for a generator that cannot
    interpolate, or too few frames.
    """
    if not hasattr(sampler.generator, "interpolate"):
        name = type(sampler.generator).__name__
        raise ValueError(f"{name} has no `interpolate`; its latents cannot be walked between")
    if frames < 2 or walks < 1:
        raise ValueError(f"{walks} walks of {frames} frames; wanted 1 or more, of 2 or more")
    return [
        sampler.domain.sample(
            Between(sampler.generator, frame / (frames - 1)),
            walks,
            keyed_rng(seed, "interpolate"),
            **wishes,
        )
        for frame in range(frames)
    ]
