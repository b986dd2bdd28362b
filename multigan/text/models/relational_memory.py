"""The relational memory core as a cell of the text generator: memory slots that attend."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FORGET_BIAS = 1.0  # constants of the gates, as in the published code
INPUT_BIAS = 0.0


class RelationalMemory(nn.Module):
    """Inputs (B, T, E) -> features (B, T, N M): N slots of width M = heads x head size.

    The input becomes one more row beside the slots; all rows attend to all, and gates let the
    result into the slots. Layer norms take their statistics over all rows of a sample jointly.
    Attention is scaled by the square root of the head size, or with `published_scale` by that of
    three times it, as in the authors' code. The memory starts as an identity matrix.

    Raises ValueError where the heads do not divide the width.
    Source: Santoro et al. 2018 (Relational recurrent neural networks), arXiv:1806.01822, section
    3.3; the order of operations is that of the code published with it and with RelGAN.
    """

    at_once = False

    def __init__(
        self, inputs: int, width: int, heads: int, slots: int = 1, published_scale: bool = False
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be shared by {heads} heads")
        self.heads, self.slots, self.width = heads, slots, width
        self.features = slots * width
        head_size = width // heads
        self.scale = (3 * head_size if published_scale else head_size) ** -0.5
        self.enter = nn.Linear(inputs, width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.norm_projected = SlotLayerNorm(3 * width)
        self.norm_attended, self.norm_thought = SlotLayerNorm(width), SlotLayerNorm(width)
        self.think = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.gate_input = nn.Linear(width, 2 * width, bias=False)
        self.gate_memory = nn.Linear(width, 2 * width, bias=False)

    def start(self, x: Tensor) -> Tensor:
        """The memory (B, N, M) before the first of inputs that are like x (B, ...)."""
        return torch.eye(self.slots, self.width).to(x).expand(len(x), -1, -1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, E) -> features (B, N M) and the next memory."""
        u = self.enter(x)
        memory = self._next(u, self.gate_input(u), state)
        return memory.flatten(1), memory

    def unroll(self, x: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, N M); what depends on no memory is computed at once."""
        u = self.enter(x)
        gates = self.gate_input(u)
        memory, found = self.start(x[:, 0]), []
        for t in range(x.shape[1]):
            memory = self._next(u[:, t], gates[:, t], memory)
            found.append(memory.flatten(1))
        return torch.stack(found, dim=1)

    def _next(self, u: Tensor, gates: Tensor, memory: Tensor) -> Tensor:
        """Input u (B, M), its part of the gates (B, 2M), memory (B, N, M) -> memory."""
        rows = torch.cat([memory, u[:, None]], dim=1)  # (B, N + 1, M)
        rows = self.norm_attended(rows + self._attend(rows))
        rows = self.norm_thought(rows + self.think(rows))
        candidate = rows[:, :-1].tanh()
        both = gates[:, None] + self.gate_memory(memory.tanh())  # (B, N, 2M)
        into, keep = both.chunk(2, dim=-1)
        into, keep = torch.sigmoid(into + INPUT_BIAS), torch.sigmoid(keep + FORGET_BIAS)
        return into * candidate + keep * memory

    def _attend(self, rows: Tensor) -> Tensor:
        """(B, N + 1, M) -> (B, N + 1, M); elementwise, which for few rows is faster than products.

        R rows look, S rows are looked at.
        """
        projected = self.norm_projected(self.project(rows))
        q, k, v = projected.unflatten(2, (self.heads, -1)).chunk(3, dim=-1)  # (B, R, heads, K)
        scores = self.scale * (q[:, :, None] * k[:, None]).sum(-1)  # (B, R, S, heads)
        weights = scores.softmax(2)[..., None]
        return (weights * v[:, None]).sum(2).flatten(2)


class SlotLayerNorm(nn.Module):
    """Layer norm whose statistics run over rows and columns (..., R, M); gain and bias over M."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., R, M) -> the same shape."""
        return nn.functional.layer_norm(x, x.shape[-2:]) * self.weight + self.bias
