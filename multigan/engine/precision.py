"""In which precision the passes of a step run."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

PRECISIONS = ("fp32", "bf16")


class Precision:
    """The context of a forward pass: "bf16" casts products and convolutions, weights stay float32.

    Raises ValueError for an unknown name.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        if name not in PRECISIONS:
            raise ValueError(f"precision {name!r} is unknown; known: {', '.join(PRECISIONS)}")
        self.name, self.device = name, device

    def __call__(self, allowed: bool = True) -> AbstractContextManager:
        """A context to enter; where bf16 is not `allowed`, one of float32."""
        enabled = allowed and self.name == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)
