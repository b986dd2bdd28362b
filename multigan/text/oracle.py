"""The synthetic benchmark: an LSTM that writes the data, and judges what was learnt from them.

Source: Yu et al. 2017 (SeqGAN), section 5.1: one layer, embedding and hidden size 32, 5,000 tokens,
all weights and biases N(0, 1), lines of a fixed length after the token 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from multigan.rng import keyed_rng
from multigan.text.sampling import draw

VOCABULARY, SIZE = 5000, 32
GATES = ("i", "f", "og", "c")  # input, forget, output, candidate: as the published files call them
CHUNK = 500  # lines at a time


class Oracle(nn.Module):
    """The oracle with the official weights of a folder (`source`), else seeded N(0, 1) ones.

    Another oracle moves every result by some .3 nats: compare with its own entropy only.
    Raises ValueError for a folder that does not hold the weights.
    """

    embedding: Tensor  # (V, 32)
    wo: Tensor  # (32, V)
    bo: Tensor  # (V,)

    def __init__(self, source: str | None = None, seed: int = 0) -> None:
        super().__init__()
        weights = seeded_weights(seed) if source is None else read_weights(Path(source))
        for name, value in weights.items():
            self.register_buffer(name, value)

    def step(self, tokens: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens (B,), h and c (B, 32) -> the next h and c.

        Weights act from the right: x W. Source: the published code of SeqGAN.
        """
        h, c = state
        x = self.embedding[tokens]
        i, f, o, candidate = (
            x @ getattr(self, f"w{g}") + h @ getattr(self, f"u{g}") + getattr(self, f"b{g}")
            for g in GATES
        )
        c = f.sigmoid() * c + i.sigmoid() * candidate.tanh()
        return o.sigmoid() * c.tanh(), c

    def start(self, n: int) -> tuple[Tensor, Tensor]:
        """The state (n, 32) twice before the first token."""
        zeros = self.bo.new_zeros(n, SIZE)
        return zeros, zeros

    @torch.no_grad()
    def sample(self, n: int, length: int, rng: torch.Generator) -> Tensor:
        """Draw `n` lines (n, length) int64 on the CPU."""
        return torch.cat([self._sample(len(c), length, rng) for c in torch.arange(n).split(CHUNK)])

    def _sample(self, n: int, length: int, rng: torch.Generator) -> Tensor:
        token, state = torch.zeros(n, dtype=torch.int64), self.start(n)
        tokens = []
        for _ in range(length):
            state = self.step(token, state)
            logits = linear(state[0], self.wo.T, self.bo)
            token = draw(logits, torch.rand(n, generator=rng))
            tokens.append(token)
        return torch.stack(tokens, dim=1)

    @torch.no_grad()
    def nll(self, tokens: Tensor) -> float:
        """Mean negative log-likelihood of a token of the lines (N, T), in nats."""
        total = sum(float(self.token_nll(part).double().sum()) for part in tokens.split(CHUNK))
        return total / tokens.numel()

    def token_nll(self, tokens: Tensor) -> Tensor:
        """Negative log-likelihood (N, T) of each token (N, T), in nats."""
        state, token, found = self.start(len(tokens)), torch.zeros_like(tokens[:, 0]), []
        for following in tokens.unbind(1):
            state = self.step(token, state)
            logits = linear(state[0], self.wo.T, self.bo)
            found.append(cross_entropy(logits, following, reduction="none"))
            token = following
        return torch.stack(found, dim=1)


def shapes() -> dict[str, tuple[int, ...]]:
    """The oracle's weights by the names of the published files."""
    square = {f"{side}{gate}": (SIZE, SIZE) for gate in GATES for side in "wu"}
    biases = {f"b{gate}": (SIZE,) for gate in GATES}
    output = {"wo": (SIZE, VOCABULARY), "bo": (VOCABULARY,)}
    return {"embedding": (VOCABULARY, SIZE)} | square | biases | output


def seeded_weights(seed: int) -> dict[str, Tensor]:
    """Standard normal weights."""
    return {
        name: torch.randn(shape, generator=keyed_rng(seed, "oracle", name))
        for name, shape in shapes().items()
    }


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The official weights: files NAME.npz that hold one plain array each, whatever their ending.

    Raises ValueError for a file that is missing, damaged or of another shape.
    """
    weights = {}
    for name, shape in shapes().items():
        file = folder / f"{name}.npz"
        try:
            value = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} holds no oracle: {file.name}: {error}") from error
        if getattr(value, "shape", None) != shape:
            raise ValueError(f"{file} is no array of shape {shape}")
        weights[name] = torch.from_numpy(value.astype(np.float32))
    return weights
