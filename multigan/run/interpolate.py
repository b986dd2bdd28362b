"""Walks between latents: strips of samples from one end to the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from multigan.contract import Condition, Latent, Sampler, tree_map
from multigan.rng import keyed_rng


class Walk(nn.Module):
    """A generator whose consecutive `frames` samples lead from one latent to another.

    All frames of a walk share the condition that the domain gave the walk's number.
    """

    def __init__(self, generator: Any, frames: int) -> None:
        super().__init__()
        self.generator, self.frames = generator, frames

    def sample_latent(self, n: int, rng: torch.Generator) -> Latent:
        """Latents of n / frames walks, frame after frame."""
        walks = n // self.frames
        start = self.generator.sample_latent(walks, rng)
        end = self.generator.sample_latent(walks, rng)
        shares = [i / (self.frames - 1) for i in range(self.frames)]
        steps = [self.generator.interpolate(start, end, share) for share in shares]
        return tree_map(lambda *leaves: torch.stack(leaves, 1).flatten(0, 1), *steps)

    def forward(self, latent: Latent, condition: Condition = None) -> torch.Tensor:
        """Samples (n, ...)."""
        walks = tree_map(
            lambda leaf: leaf[: len(leaf) // self.frames].repeat_interleave(self.frames, 0),
            condition,
        )
        return self.generator(latent, walks)


def interpolate(
    sampler: Sampler, out: Path, *, walks: int = 8, frames: int = 9, seed: int = 0, **wishes: Any
) -> list[Path]:
    """Write `walks` strips of `frames` samples between random latents; return the files.

    Raises ValueError for a generator that cannot interpolate, or too few frames.
    """
    if not hasattr(sampler.generator, "interpolate"):
        name = type(sampler.generator).__name__
        raise ValueError(f"{name} has no `interpolate`; its latents cannot be walked between")
    if frames < 2 or walks < 1:
        raise ValueError(f"{walks} walks of {frames} frames; wanted 1 or more, of 2 or more")
    walk = Walk(sampler.generator, frames)
    rng = keyed_rng(seed, "interpolate")
    samples = sampler.domain.sample(walk, walks * frames, rng, **wishes)
    out.mkdir(parents=True, exist_ok=True)
    files = sampler.domain.write(samples, out)
    return files + sampler.domain.preview(samples, out / "walks", columns=frames)
