"""The LSTM as a cell of the text generator."""

from __future__ import annotations

from torch import Tensor, nn

State = tuple[Tensor, Tensor]  # h and c (layers, B, width)


class LSTMCell(nn.Module):
    """Inputs (B, T, E) -> features (B, T, width), layer upon layer."""

    at_once = True

    def __init__(self, inputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.features = width
        self.body = nn.LSTM(inputs, width, layers, batch_first=True)

    def start(self, x: Tensor) -> State:
        """The state before the first of inputs that are like x (B, ...)."""
        zeros = x.new_zeros(self.body.num_layers, x.shape[0], self.body.hidden_size)
        return zeros, zeros

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, E) -> features (B, width) and the next state."""
        features, state = self.body(x[:, None], state)
        return features[:, 0], state

    def unroll(self, x: Tensor) -> Tensor:
        """All steps at once: (B, T, E) -> (B, T, width)."""
        return self.body(x)[0]
