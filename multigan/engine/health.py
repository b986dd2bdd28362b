"""Signs of sickness in a run, without knowing its modality."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn


def first_not_finite(
    values: Mapping[str, float], networks: Mapping[str, nn.Module] | None = None
) -> str | None:
    """The name of the first value, or tensor of a network, that is infinite or not a number."""
    for name, value in values.items():
        if not math.isfinite(value):
            return name
    for name, network in (networks or {}).items():
        for tensor_name, tensor in network.state_dict().items():
            if not torch.isfinite(tensor).all():
                return f"{name}.{tensor_name}"
    return None
