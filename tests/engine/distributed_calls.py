"""What each of several processes is told by the others, for test_processes.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from multigan.engine.distributed import DistributedContext, restore_rng_state, rng_state


def talk(processes: DistributedContext) -> dict[str, Any]:
    """What the processes tell each other, from the one that is asked."""
    rank = processes.rank

    def fail() -> None:
        if rank == 1:
            raise ValueError("only the second one")

    def refused(call: Callable[[], Any]) -> str:
        try:
            return f"nothing, but {call()}"
        except Exception as error:
            return type(error).__name__

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rank)
        dropout = rng_state(torch.device("cpu"), processes)
        expected = torch.get_rng_state()
        torch.rand(7)
        restore_rng_state(dropout, torch.device("cpu"), processes)
        restored = torch.equal(torch.get_rng_state(), expected)
    norm = nn.BatchNorm1d(2)
    norm.running_mean.fill_(rank)
    return {
        "largest": processes.all_reduce_max(3 - rank),
        "first": processes.on_rank_zero(lambda: {"rank": rank, "tensor": torch.arange(3)}),
        "failed first": refused(lambda: processes.on_rank_zero(lambda: 1 / (1 - 1))),
        "together": processes.on_all_ranks(lambda: rank),
        "failed together": refused(lambda: processes.on_all_ranks(fail)),
        "streams": dropout["torch_rng"],
        "restored": restored,
        "drifted": refused(lambda: processes.check_replicas_equal({"norm": norm})),
        "gathered": processes.all_gather(
            {"rows": torch.tensor([[rank]]), "yes": torch.tensor([True])}
        ),
    }
