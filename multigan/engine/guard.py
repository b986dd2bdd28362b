"""What happens to an update whose loss or gradients are infinite or not a number."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

RAISE, SKIP, ROLLBACK = "raise", "skip", "rollback"
POLICIES = (RAISE, SKIP, ROLLBACK)
SKIPS_IN_A_ROW = 10  # more of them say that waiting does not help


class NotFinite(Exception):
    """An update that cannot be made; the weights are as they were before it."""


class Guard:
    """Asked before each optimiser step whether it may be made.

    "skip" leaves the update out, at most SKIPS_IN_A_ROW times in turn; "raise" and "rollback"
    raise NotFinite, and whoever drives the trainer stops or goes back to its last checkpoint. A
    device that works ahead of the CPU is waited for under "skip" only: under the others the
    norms that are reported say it at the next log line, and weights are tested before a
    checkpoint. Raises ValueError for an unknown policy.
    """

    def __init__(self, policy: str = RAISE) -> None:
        if policy not in POLICIES:
            raise ValueError(f"not_finite is {policy!r}; known: {', '.join(POLICIES)}")
        self.policy = policy
        self.skipped = 0  # updates left out, all in all
        self.in_a_row: dict[str, int] = {}  # for each network: of its last updates

    def allows(self, name: str, loss: Tensor, norm: Tensor) -> bool:
        """Whether the network called `name` may step: `loss` and the norm of its gradients."""
        if self.policy != SKIP and norm.device.type != "cpu":
            return True
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            self.in_a_row[name] = 0
            return True
        culprit = f"the gradient of the {name}" if bool(torch.isfinite(loss)) else f"loss/{name}"
        if self.policy != SKIP:
            raise NotFinite(culprit)
        self.skipped += 1
        self.in_a_row[name] = self.in_a_row.get(name, 0) + 1
        if self.in_a_row[name] > SKIPS_IN_A_ROW:
            raise NotFinite(f"after {SKIPS_IN_A_ROW} updates left out in a row {culprit}")
        return False

    def state(self) -> dict[str, Any]:
        """What an exact continuation needs."""
        return {"skipped": self.skipped, "in_a_row": dict(self.in_a_row)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where `state()` was taken."""
        self.skipped, self.in_a_row = state["skipped"], dict(state["in_a_row"])
