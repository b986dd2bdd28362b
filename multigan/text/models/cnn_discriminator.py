"""The convolutional discriminator of text: one representation of a line, or many (RelGAN)."""

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

    The embedding is cut into S slices; the same convolutions over neighbouring tokens read each of
    them, their largest answers pass a highway layer, and two linear maps give its logit. S = 1 is
    the plain CNN of the literature, S = 64 the multi-representation one of RelGAN.

    Args:
        vocabulary: V, specials included.
        labels: classes; 0 for none.
        representations: S.
        embedding: numbers that a token is, in all representations together.
        widths: how many neighbouring tokens the convolutions see.
        filters: convolutions of each width.
        hidden: of the first of the two linear maps.
        dropout: share of the highway's answers that is dropped in train().
        fixed_length: lines have no padding.

    Raises ValueError where the representations do not divide the embedding.
    Source: Nie et al. 2019 (RelGAN), section 3.3, and its published code; Zhang et al. 2017.
    """

    uses_batch_statistics = False

    def __init__(
        self,
        vocabulary: int,
        labels: int = 0,
        representations: int = 1,
        embedding: int = 64,
        widths: Sequence[int] = (2, 3, 4, 5),
        filters: int = 64,
        hidden: int = 100,
        dropout: float = 0.25,
        fixed_length: bool = False,
    ) -> None:
        super().__init__()
        if embedding % representations:
            raise ValueError(
                f"an embedding of {embedding} cannot be cut into {representations} representations"
            )
        self.representations = representations
        self.entry = SoftEmbedding(vocabulary, embedding, fixed_length)
        slice_width, answers = embedding // representations, len(widths) * filters
        self.widths = tuple(widths)
        self.convolutions = nn.ModuleList(
            nn.Linear(width * slice_width, filters) for width in widths
        )
        self.transform = nn.Linear(answers, answers, bias=False)
        self.gate = nn.Linear(answers, answers, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.hidden, self.last = nn.Linear(answers, hidden), nn.Linear(hidden, 1)
        self.label = scaled_embedding(labels, hidden) if labels else None

    def forward(self, x: Tensor, condition: TextCondition | None = None) -> Tensor:
        """(B, T, V) -> logits (B, S)."""
        return self.score(self.embed(x), condition)

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, V) -> (B, T, embedding + 1), linear."""
        return self.entry(x)

    def squared_input_norm(self, slope: Tensor) -> Tensor:
        """|slope at x|^2 (B,) from the slope at `embed(x)`."""
        return self.entry.squared_input_norm(slope)

    def score(self, e: Tensor, condition: TextCondition | None = None) -> Tensor:
        """What `embed` gave -> logits (B, S)."""
        answers = self._convolve(e[..., :-1])  # (B, S, answers)
        gate = torch.sigmoid(self.gate(answers))
        answers = gate * relu(self.transform(answers)) + (1 - gate) * answers
        heard = self.hidden(self.dropout(answers))  # (B, S, hidden)
        logits = in_float32(self.last, heard).squeeze(-1)
        if self.label is None or condition is None:
            return logits
        return logits + (heard * self.label(condition.label)[:, None]).sum(-1)

    def _convolve(self, e: Tensor) -> Tensor:
        """(B, T, embedding) -> the largest answers (B, S, widths x filters)."""
        e = pad(e, (0, 0, 0, max(0, max(self.widths) - e.shape[1])))
        slices = e.unflatten(2, (self.representations, -1)).transpose(1, 2)  # (B, S, T, d)
        found = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            windows = slices.unfold(2, width, 1).flatten(3)  # (B, S, T - width + 1, d x width)
            found.append(convolution(windows).max(2).values)
        return relu(torch.cat(found, dim=-1))
