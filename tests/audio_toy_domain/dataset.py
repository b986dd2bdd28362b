"""Sine waves of one frequency and many phases."""

import math

import torch
from waves.domain import WavesDomain

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component


@component
class Waves:
    """`size` waves; each split is a draw of its own."""

    in_memory = True
    is_stochastic = False

    def __init__(self, size=64, length=16, split="train"):
        phases = torch.rand(size, 1, generator=keyed_rng("waves", split))
        self.size, self.length = size, length
        self.domain = WavesDomain(length)
        self.fingerprint = f"{size} waves of {length}, {split}"
        self.waves = torch.sin(2 * math.pi * (phases + torch.arange(length) / length))

    def __len__(self):
        return len(self.waves)

    def batch(self, indices, rng=None):
        """The waves at `indices` (B,)."""
        return Batch(self.waves.to(indices.device)[indices])

    def split(self, name):
        """The split called "train", "valid" or "test"."""
        return Waves(self.size, self.length, name)
