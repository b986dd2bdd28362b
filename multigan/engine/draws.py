"""What a step draws: for the rows of all processes, of which each takes its own."""

from __future__ import annotations

from typing import Any

import torch

from multigan.contract import Latent, tree_map
from multigan.engine.processes import Processes
from multigan.rng import keyed_rng


class Draws:
    """Random streams that are functions of (seed, purpose, step, phase, micro-batch)."""

    def __init__(self, seed: int, device: torch.device, processes: Processes) -> None:
        self.seed, self.device, self.processes = seed, device, processes

    def rng(self, purpose: str, step: int, phase: str, micro: int) -> torch.Generator:
        """The same stream in every process."""
        return keyed_rng(self.seed, purpose, step, phase, micro)

    def latent(self, generator: Any, n: int, step: int, phase: str, micro: int) -> Latent:
        """This process's `n` latents, on the device."""
        rng = self.rng("latent", step, phase, micro)
        drawn = generator.sample_latent(n * self.processes.world_size, rng)
        return tree_map(lambda leaf: leaf.to(self.device), self.processes.own(drawn))
