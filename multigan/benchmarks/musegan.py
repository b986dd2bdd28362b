"""MuseGAN at the size of a CPU, with its flaws mended: the pair to compare with, by WGAN-GP.

What is mended: the phrase critic compares whole bars and gives one logit a window; what is given
reaches both networks and comes back bit by bit; cells are 0 and 1 in training as in sampling, with
rests, holds and repeated notes of their own.
Source: Dong et al. 2018 (MuseGAN), arXiv:1709.06298, section 3, and its published code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.core.trees import tree_map
from multigan.music.models.binarization import (
    binarize_logits,
    forbid_initial_holds,
    get_binarizer,
    sample_noise,
)
from multigan.music.models.generator import COUPLINGS
from multigan.music.models.layers import LEAK, check_steps
from multigan.music.representations.conditioning import (
    Conditioning,
    apply_conditioning,
    by_line,
    unconditional,
)
from multigan.music.representations.tensors import num_channels, slices, total_channels
from multigan.music.representations.voices import Voice, single_lines
from multigan.music.theory import OCTAVE

GIVEN_WIDTH = 16  # channels of what is given at each level (as published)


class MuseGANLatent(NamedTuple):
    """Gaussian latents of all voices and of each, for the piece and for its course; and `noise`."""

    piece: Tensor  # (B, Z)
    course: Tensor  # (B, Z): a network makes one vector per bar of it
    voice: Tensor  # (B, K, Z)
    voice_course: Tensor  # (B, K, Z)
    noise: Tensor  # (B, T, C): for the hard choices, where the head samples


@component
class MuseGANGenerator(nn.Module):
    """Latents and what is given -> music (B, T, C) in {0, 1}; given cells come back bit by bit.

    A bar is grown from its latents: steps first, by doubling, then octaves, then their pitches,
    with batch norm and ReLU. What is given is shown at each level of time.

    Args:
        voices: what is written, as in the domain.
        steps: T; bars of `steps_per_bar` divide it.
        coupling: "composer": one bar generator from shared latents; "jamming": one for each voice
            from its own; "hybrid": one for each voice from both.
        width: channels of a bar generator before the pitches; they double towards its start.
        latent_dim: size of all latents that a bar generator sees, as published 128.
        binarization: a key of `BINARIZERS`; "straight_through" draws no noise.

    Raises ValueError for sizes that do not fit and unknown names.
    """

    def __init__(
        self,
        voices: Sequence[Voice],
        steps: int = 32,
        steps_per_bar: int = 16,
        coupling: str = "hybrid",
        width: int = 32,
        latent_dim: int = 128,
        binarization: str = "deterministic",
    ) -> None:
        super().__init__()
        check_steps(steps, steps_per_bar, 1)
        if coupling not in COUPLINGS:
            raise ValueError(f"no coupling {coupling!r}; known: {', '.join(COUPLINGS)}")
        kinds = 4 if coupling == "hybrid" else 2
        if latent_dim < kinds or latent_dim % kinds:
            raise ValueError(f"latent_dim must be a multiple of {kinds}; got {latent_dim}")
        self.tracks, self.voices = tuple(voices), single_lines(voices)
        self.steps, self.bars = steps, steps // steps_per_bar
        self.binarizer = get_binarizer(binarization)
        size = latent_dim // kinds
        self.shared_latent_dim = 0 if coupling == "jamming" else size
        self.private_latent_dim = 0 if coupling == "composer" else size
        count = len(self.voices)
        self.course = TemporalLatent(size, self.bars) if self.shared_latent_dim else None
        self.voice_courses = nn.ModuleList(
            TemporalLatent(size, self.bars) for _ in range(count if self.private_latent_dim else 0)
        )
        given = total_channels(voices) + count
        planes = [count] if coupling == "composer" else [1] * count
        self.generators = nn.ModuleList(
            BarGenerator(latent_dim, given, plane, steps_per_bar, num_octaves(self.voices), width)
            for plane in planes
        )

    def sample_latent(self, n: int, rng: torch.Generator) -> MuseGANLatent:
        """Sample `n` latents on the CPU."""
        count = len(self.voices)
        return MuseGANLatent(
            piece=torch.randn(n, self.shared_latent_dim, generator=rng),
            course=torch.randn(n, self.shared_latent_dim, generator=rng),
            voice=torch.randn(n, count, self.private_latent_dim, generator=rng),
            voice_course=torch.randn(n, count, self.private_latent_dim, generator=rng),
            noise=sample_noise(n, self.steps, self.voices, rng),
        )

    def example_condition(self, n: int) -> Conditioning:
        """Nothing is given."""
        return unconditional(n, self.steps, self.tracks)

    def forward(self, latent: MuseGANLatent, condition: Conditioning | None = None) -> Tensor:
        """Latents, given cells (None: nothing is given) -> (B, T, C) in {0, 1}."""
        given = condition
        if given is None:
            nothing = unconditional(len(latent.noise), self.steps, self.tracks)
            given = tree_map(lambda leaf: leaf.to(latent.noise), nothing)
        given = by_line(given, self.tracks)
        seen = by_bar(torch.cat([given.values, given.mask], dim=-1), self.bars).transpose(1, 2)
        planes = [  # each (B bars, 1 or K, steps of a bar, 12 octaves)
            generator(self._of_voice(latent, k), seen)
            for k, generator in enumerate(self.generators)
        ]
        written = torch.cat(planes, dim=1).unflatten(0, (-1, self.bars))
        written = written.transpose(1, 2).flatten(2, 3)  # (B, K, T, 12 octaves)
        scale = 0.0 if self.binarizer.scale is None else self.binarizer.scale
        cells = [
            binarize_logits(
                self.binarizer,
                voice,
                forbid_initial_holds(voice, written[:, k, :, : num_channels(voice)]),
                scale * latent.noise[..., block],
                self.training,
            )
            for k, (voice, block) in enumerate(zip(self.voices, slices(self.voices), strict=True))
        ]
        return apply_conditioning(torch.cat(cells, dim=-1), given, self.voices)

    def interpolate(self, a: MuseGANLatent, b: MuseGANLatent, t: float) -> MuseGANLatent:
        """The latent at `t` in [0, 1] on the way from a to b; noise is that of the nearer end."""
        angle = t * math.pi / 2
        mixed = tree_map(lambda x, y: math.cos(angle) * x + math.sin(angle) * y, a, b)
        return mixed._replace(noise=(a if t < 0.5 else b).noise)

    def _of_voice(self, latent: MuseGANLatent, k: int) -> Tensor:
        """Inputs of the k-th bar generator: (B bars, latent_dim)."""
        seen = []
        if self.course is not None:
            seen += [self._each_bar(latent.piece), self.course(latent.course)]
        if self.voice_courses:
            own = self.voice_courses[k](latent.voice_course[:, k])
            seen += [self._each_bar(latent.voice[:, k]), own]
        return torch.cat(seen, dim=-1).flatten(0, 1)

    def _each_bar(self, z: Tensor) -> Tensor:
        return z[:, None].expand(-1, self.bars, -1)


class TemporalLatent(nn.Module):
    """z (B, Z) -> one vector for each bar (B, bars, Z).

    One dense layer where the original has two transposed convolutions for exactly four bars.
    """

    def __init__(self, size: int, bars: int) -> None:
        super().__init__()
        self.bars = bars
        self.layers = nn.Sequential(
            nn.Linear(size, bars * size, bias=False), nn.BatchNorm1d(bars * size), nn.ReLU()
        )

    def forward(self, z: Tensor) -> Tensor:
        """(B, Z) -> (B, bars, Z)."""
        return self.layers(z).unflatten(1, (self.bars, -1))


class BarGenerator(nn.Module):
    """z (N, Z), given cells (N, G, T) of a bar -> logits (N, planes, T, 12 octaves)."""

    def __init__(
        self, latent_dim: int, given: int, planes: int, steps: int, octaves: int, width: int
    ) -> None:
        super().__init__()
        self.levels = time_levels(steps)
        widths = [width * 2**k for k in reversed(range(len(self.levels)))]
        self.start = nn.Linear(latent_dim, widths[0] * self.levels[0], bias=False)
        self.start_norm = nn.BatchNorm1d(widths[0] * self.levels[0])
        self.see = nn.ModuleList(nn.Conv1d(given, GIVEN_WIDTH, 1) for _ in self.levels)
        self.grow = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose1d(below + GIVEN_WIDTH, above, 2, 2, bias=False),
                nn.BatchNorm1d(above),
                nn.ReLU(),
            )
            for below, above in pairwise(widths)
        )
        self.octaves = nn.Sequential(
            nn.ConvTranspose2d(width + GIVEN_WIDTH, width, (1, octaves), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.pitches = nn.ConvTranspose2d(width, planes, (1, OCTAVE), stride=(1, OCTAVE))

    def forward(self, z: Tensor, given: Tensor) -> Tensor:
        """(N, Z), (N, G, T) -> (N, planes, T, 12 octaves)."""
        h = F.relu(self.start_norm(self.start(z))).unflatten(1, (-1, self.levels[0]))
        for level, (steps, see) in enumerate(zip(self.levels, self.see, strict=True)):
            h = self.grow[level - 1](h) if level else h
            seen = F.relu(see(F.adaptive_avg_pool1d(given, steps)))
            h = torch.cat([h, seen], dim=1)  # (N, C + 16, steps)
        return self.pitches(self.octaves(h[..., None]))


@component
class MuseGANDiscriminator(nn.Module):
    """Music (B, T, C), and what of it is given, -> logits (B,).

    Bars are read first, voices as channels: octaves, then time, with leaky ReLU and no norm. Then
    the bars' vectors are compared.

    Args:
        voices: the voices of the domain.
        steps: T; bars of `steps_per_bar` divide it.
        width: channels of the first layers; they double at the last steps of time.

    Raises ValueError for sizes that do not fit.
    """

    uses_batch_statistics = False

    def __init__(
        self, voices: Sequence[Voice], steps: int = 32, steps_per_bar: int = 16, width: int = 32
    ) -> None:
        super().__init__()
        check_steps(steps, steps_per_bar, 1)
        self.tracks, self.voices = tuple(voices), single_lines(voices)
        self.steps, self.bars = steps, steps // steps_per_bar
        self.rows = OCTAVE * num_octaves(self.voices)
        levels, planes = time_levels(steps_per_bar), 3 * len(self.voices)
        layers: list[nn.Module] = [
            nn.Conv2d(planes, width, (1, OCTAVE), stride=(1, OCTAVE)),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(width, width, (1, num_octaves(self.voices))),
            nn.LeakyReLU(LEAK),
        ]
        wide = width
        for _ in levels[1:]:
            layers += [nn.Conv2d(wide, 2 * wide, (2, 1), stride=(2, 1)), nn.LeakyReLU(LEAK)]
            wide *= 2
        dense = nn.Linear(wide * levels[0], wide)
        self.read_bar = nn.Sequential(*layers, nn.Flatten(), dense, nn.LeakyReLU(LEAK))
        self.compare = nn.Sequential(nn.Linear(self.bars * wide, wide), nn.LeakyReLU(LEAK))
        self.last = nn.Linear(wide, 1)

    def forward(self, x: Tensor, condition: Conditioning | None = None) -> Tensor:
        """(B, T, C), given cells (None: nothing is given) -> logits (B,)."""
        return in_float32(self.last, self.features(x, condition)).squeeze(1)

    def features(self, x: Tensor, condition: Conditioning | None = None) -> Tensor:
        """Inputs of the last linear map: (B, F)."""
        return self.compare(self.bar_vectors(x, condition).flatten(1))

    def bar_vectors(self, x: Tensor, condition: Conditioning | None = None) -> Tensor:
        """One vector for each bar, of that bar alone: (B, bars, F)."""
        if x.shape[1:] != (self.steps, total_channels(self.voices)):
            expected = f"(B, {self.steps}, {total_channels(self.voices)})"
            raise ValueError(f"music must be {expected}; got {tuple(x.shape)}")
        if condition is None:
            nothing = unconditional(len(x), self.steps, self.tracks)
            condition = tree_map(lambda leaf: leaf.to(x), nothing)
        condition = by_line(condition, self.tracks)
        masks = condition.mask.transpose(1, 2)[..., None].expand(-1, -1, -1, self.rows)
        planes = torch.cat([self._planes(x), self._planes(condition.values), masks], dim=1)
        bars = by_bar(planes.transpose(1, 2), self.bars)  # (B bars, steps, 3 K, rows)
        return self.read_bar(bars.transpose(1, 2)).unflatten(0, (-1, self.bars))

    def _planes(self, x: Tensor) -> Tensor:
        """(B, T, C) -> a plane for each voice, empty above its own rows: (B, K, T, rows)."""
        blocks = [x[..., block] for block in slices(self.voices)]
        return torch.stack([F.pad(b, (0, self.rows - b.shape[-1])) for b in blocks], dim=1)


def num_octaves(voices: Sequence[Voice]) -> int:
    """Number of octaves of rows that hold the widest voice."""
    return max(-(-num_channels(voice) // OCTAVE) for voice in voices)


def time_levels(steps: int) -> list[int]:
    """The numbers of steps through which a bar grows by doubling: 2, 4, 8, 16 for 16 of them."""
    levels = [steps]
    while levels[0] % 2 == 0 and levels[0] > 2:
        levels.insert(0, levels[0] // 2)
    return levels


def by_bar(x: Tensor, bars: int) -> Tensor:
    """(B, T, ...) -> (B bars, T / bars, ...)."""
    return x.unflatten(1, (bars, -1)).flatten(0, 1)
