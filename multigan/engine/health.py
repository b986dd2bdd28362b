"""Signs of sickness in a run, without knowing its modality."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn


def first_not_finite(
    values: Mapping[str, float], networks: Mapping[str, nn.Module] | None = None
) -> str | None:
    """The name of the first value, or network parameter, that is infinite or not a number."""
    for name, value in values.items():
        if not math.isfinite(value):
            return name
    for name, network in (networks or {}).items():
        for parameter_name, parameter in network.named_parameters():
            if not torch.isfinite(parameter).all():
                return f"{name}.{parameter_name}"
    return None
