"""The convolutional text discriminator with one or many representations of a line (RelGAN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from multigan.core.modules import in_float32
from multigan.core.serialization import component
from multigan.text.condition import TextCondition
from multigan.text.models.soft_embedding import SoftEmbedding
from multigan.text.models.transformer import scaled_embedding


@component
class TextCNN(nn.Module):
    """Lines (B, T, V), and their classes, -> logits (B, S), one for each representation.

    The embedding is split into S slices with the same convolutions over neighboring tokens. The
    maxima over time pass a highway layer, and two linear maps give the logit of a slice. S = 1 is
    the CNN of the literature, S = 64 the multi-representation discriminator of RelGAN.

    Args:
        vocabulary_size: V, specials included.
        num_classes: 0 for none.
        num_representations: S.
        embedding: size of the token embedding, of all representations together.
        widths: kernel sizes of the convolutions, in tokens.
        filters: convolutions of each width.
        hidden: size of the first of the two linear maps.
        dropout: rate after the highway layer.
        fixed_length: lines have no padding.

    Raises ValueError unless `num_representations` divides `embedding`.
    Source: Nie et al. 2019 (RelGAN), section 3.3, and its published code; Zhang et al. 2017.
    """

    uses_batch_statistics = False

    def __init__(
        self,
        vocabulary_size: int,
        num_classes: int = 0,
        num_representations: int = 1,
        embedding: int = 64,
        widths: Sequence[int] = (2, 3, 4, 5),
        filters: int = 64,
        hidden: int = 100,
        dropout: float = 0.25,
        fixed_length: bool = False,
    ) -> None:
        super().__init__()
        if embedding % num_representations:
            raise ValueError(
                "embedding must be a multiple of num_representations; "
                f"got {embedding} and {num_representations}"
            )
        self.num_representations = num_representations
        self.soft_embedding = SoftEmbedding(vocabulary_size, embedding, fixed_length)
        slice_width, features = embedding // num_representations, len(widths) * filters
        self.widths = tuple(widths)
        self.convolutions = nn.ModuleList(
            nn.Linear(width * slice_width, filters) for width in widths
        )
        self.highway_transform = nn.Linear(features, features, bias=False)
        self.highway_gate = nn.Linear(features, features, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.hidden, self.to_logits = nn.Linear(features, hidden), nn.Linear(hidden, 1)
        self.label = scaled_embedding(num_classes, hidden) if num_classes else None

    def forward(self, x: Tensor, condition: TextCondition | None = None) -> Tensor:
        """(B, T, V) -> logits (B, S)."""
        return self.score(self.embed(x), condition)

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, V), or tokens (B, T) -> (B, T, embedding + 1), linear."""
        return self.soft_embedding(x)

    @property
    def embeds_compact(self) -> bool:
        """Tokens can be embedded in place of rows; a subclass with its own `embed` gets rows."""
        return type(self).embed is TextCNN.embed

    def squared_input_norm(self, grad_e: Tensor) -> Tensor:
        """|gradient at x|^2 (B,) from the gradient at `embed(x)`."""
        return self.soft_embedding.squared_input_norm(grad_e)

    def score(self, e: Tensor, condition: TextCondition | None = None) -> Tensor:
        """Logits (B, S) of the output of `embed`."""
        features = self._convolve(e[..., :-1])  # (B, S, F)
        gate = torch.sigmoid(self.highway_gate(features))
        features = gate * relu(self.highway_transform(features)) + (1 - gate) * features
        hidden = self.hidden(self.dropout(features))  # (B, S, hidden)
        logits = in_float32(self.to_logits, hidden).squeeze(-1)
        if self.label is None or condition is None:
            return logits
        return logits + (hidden * self.label(condition.label)[:, None]).sum(-1)

    def _convolve(self, e: Tensor) -> Tensor:
        """(B, T, embedding) -> the maxima over time (B, S, widths x filters)."""
        e = pad(e, (0, 0, 0, max(0, max(self.widths) - e.shape[1])))
        slices = e.unflatten(2, (self.num_representations, -1)).transpose(1, 2)  # (B, S, T, d)
        maxima = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            windows = slices.unfold(2, width, 1).flatten(3)  # (B, S, T - width + 1, d x width)
            maxima.append(convolution(windows).max(2).values)
        return relu(torch.cat(maxima, dim=-1))
