"""Directions of latents along which samples vary most: principal components of samples."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from multigan.core.protocols import SAMPLING_BATCH_SIZE, Condition, Latent, Sampler
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat, tree_leaves, tree_map
from multigan.engine.diversity import condition_groups
from multigan.studio.latent_edits import EditSettings, Ends, LatentEdit

COMPONENTS = 4
NUM_SAMPLES = 512  # that the components are estimated from
TINY = 1e-12  # a norm below which a direction is none


class _Recorder(LatentEdit):
    """A generator that keeps its latents, conditions and samples."""

    def __init__(self, generator: Any) -> None:
        super().__init__(generator, EditSettings())
        self.seen: list[tuple[Latent, Condition, Tensor]] = []

    def forward(self, latent: Latent, condition: Condition = None) -> Tensor:
        """Samples (n, ...)."""
        x = super().forward(latent, condition)
        self.seen.append((latent, condition, x))
        return x


def principal_directions(sampler: Sampler) -> list[Ends]:
    """The directions of latents that move samples along their first principal components.

    Each is the regression of a component of NUM_SAMPLES samples on their latents, which are
    Gaussian, with the norm of a latent. Components are taken within equal conditions. Empty for a
    generator that does not make samples in one pass from latents of floating-point numbers.
    Source: Harkonen et al. 2020, "GANSpace", section 2.2, with samples in the place of features.
    """
    recorder = _Recorder(sampler.generator)
    for chunk in range(NUM_SAMPLES // SAMPLING_BATCH_SIZE):
        rng = keyed_rng("principal directions", chunk)
        sampler.domain.sample(recorder, SAMPLING_BATCH_SIZE, rng, **sampler.defaults)
    if len(recorder.seen) != NUM_SAMPLES // SAMPLING_BATCH_SIZE:
        return []
    latent, condition, x = (tree_cat(list(parts)) for parts in zip(*recorder.seen, strict=True))
    leaves = tree_leaves(latent)
    if not leaves or not all(leaf.is_floating_point() for leaf in leaves):
        return []
    scores = _scores(x.float().flatten(1), condition)
    return [_ends(latent, column) for column in scores.T]


def _scores(rows: Tensor, condition: Condition) -> Tensor:
    """The scores (n, COMPONENTS) of rows, without the means of their conditions.

    They come from the products of rows: samples are fewer than pixels.
    """
    groups = condition_groups(condition)
    groups = torch.zeros(len(rows), dtype=torch.int64) if groups is None else groups
    counts = groups.bincount()
    means = torch.zeros(len(counts), rows.shape[1]).index_add_(0, groups, rows.cpu())
    centered = rows.cpu() - (means / counts.clamp_min(1)[:, None])[groups]
    vectors: Tensor = torch.linalg.eigh(centered @ centered.T).eigenvectors
    return vectors[:, -COMPONENTS:].flip(1)


def _ends(latent: Latent, scores: Tensor) -> Ends:
    """Both ends of the direction in which the scores (n,) grow.

    Each leaf has the norm of a latent. The largest number is positive, so that the sides are always
    the same.
    """
    direction = tree_map(
        lambda leaf: torch.tensordot(scores.to(leaf), leaf, dims=1)[None],
        latent,
    )
    flat = torch.cat([leaf.flatten() for leaf in tree_leaves(direction)])
    sign = float(flat[flat.abs().argmax()].sign())

    def scaled(leaf: Tensor) -> Tensor:
        return leaf * (sign * math.sqrt(leaf.numel()) / leaf.norm().clamp_min(TINY))

    high = tree_map(scaled, direction)
    return Ends(tree_map(lambda leaf: -leaf, high), high)
