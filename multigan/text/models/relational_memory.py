"""The relational memory core, a backbone of the text generator: memory slots with attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FORGET_BIAS = 1.0  # constants of the gates, as in the published code
INPUT_BIAS = 0.0


class RelationalMemory(nn.Module):
    """Inputs (B, T, E) -> features (B, T, N M): N slots of width M = heads x head size.

    The input is appended to the slots as one more row; all rows attend to all, and gates combine
    the result with the memory. Layer norms take their statistics over all rows of a sample jointly.
    Attention is scaled by the square root of the head size, or with `relgan_scaling` by that of
    three times it, as in the authors' code. The memory starts as an identity matrix.

    Raises ValueError unless `heads` divides `width`.
    Source: Santoro et al. 2018 (Relational recurrent neural networks), arXiv:1806.01822, section
    3.3; the order of operations is that of the code published with it and with RelGAN.
    """

    is_parallel = False

    def __init__(
        self,
        inputs: int,
        width: int,
        heads: int,
        memory_slots: int = 1,
        relgan_scaling: bool = False,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads; got {width} and {heads}")
        self.heads, self.memory_slots, self.width = heads, memory_slots, width
        self.output_dim = memory_slots * width
        head_size = width // heads
        self.scale = (3 * head_size if relgan_scaling else head_size) ** -0.5
        self.input_projection = nn.Linear(inputs, width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.qkv_norm = SlotLayerNorm(3 * width)
        self.attention_norm, self.mlp_norm = SlotLayerNorm(width), SlotLayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.input_gates = nn.Linear(width, 2 * width, bias=False)
        self.memory_gates = nn.Linear(width, 2 * width, bias=False)

    def initial_state(self, x: Tensor) -> Tensor:
        """The memory (B, N, M) before the first of inputs that are like x (B, ...)."""
        return torch.eye(self.memory_slots, self.width).to(x).expand(len(x), -1, -1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(B, E) -> features (B, N M) and the next memory."""
        u = self.input_projection(x)
        memory = self._next(u, self.input_gates(u), state)
        return memory.flatten(1), memory

    def forward_sequence(self, x: Tensor) -> Tensor:
        """(B, T, E) -> (B, T, N M); terms without the memory are computed in one pass."""
        u = self.input_projection(x)
        gates = self.input_gates(u)
        memory, features = self.initial_state(x[:, 0]), []
        for t in range(x.shape[1]):
            memory = self._next(u[:, t], gates[:, t], memory)
            features.append(memory.flatten(1))
        return torch.stack(features, dim=1)

    def _next(self, u: Tensor, gates: Tensor, memory: Tensor) -> Tensor:
        """Input u (B, M), its gate inputs (B, 2M) and the memory (B, N, M) -> the next memory."""
        rows = torch.cat([memory, u[:, None]], dim=1)  # (B, N + 1, M)
        rows = self.attention_norm(rows + self._attend(rows))
        rows = self.mlp_norm(rows + self.mlp(rows))
        candidate = rows[:, :-1].tanh()
        gates = gates[:, None] + self.memory_gates(memory.tanh())  # (B, N, 2M)
        input_gate, forget_gate = gates.chunk(2, dim=-1)
        input_gate = torch.sigmoid(input_gate + INPUT_BIAS)
        forget_gate = torch.sigmoid(forget_gate + FORGET_BIAS)
        return input_gate * candidate + forget_gate * memory

    def _attend(self, rows: Tensor) -> Tensor:
        """(B, N + 1, M) -> (B, N + 1, M), elementwise: faster than matrix products for few rows.

        R query rows, S key rows.
        """
        projected = self.qkv_norm(self.qkv(rows))
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
