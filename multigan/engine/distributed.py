"""Collective operations for data-parallel training; no-ops in a single process."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from multigan.core.trees import tree_map

Result = TypeVar("Result")
CONTROL_TIMEOUT = timedelta(days=365)  # rank 0 may evaluate for long; lost peers are noticed
# Message of gloo's plain RuntimeError for a closed connection, but not for errors of the caller.
BROKEN_OFF = re.compile(r"\[(?!enforce fail)[^\]]*gloo[/\\]transport")
STARTED_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class ProcessLost(Exception):
    """Another process has ended, so this one must stop; the last checkpoint is intact."""

    exit_status = 1


class PeerFailed(Exception):
    """Another process has failed and reports the reason; this one ends without a message."""

    exit_status = 1


class ReplicasDiverged(Exception):
    """The processes no longer have the same weights; the last checkpoint is intact."""

    exit_status = 1

    def __init__(self, name: str) -> None:
        message = (
            f"{name} must be the same in all processes; got different values: its module sets it "
            "from local rows, which only batch norm synchronizes; train it in one process"
        )
        super().__init__(message if name else "")


class DistributedContext:
    """The processes of a training run, from the view of one; by default it is the only one.

    All processes call every method except `local_shard` and `tile`, in the same order.
    """

    def __init__(
        self, rank: int = 0, world_size: int = 1, local_rank: int = 0, control: Any = None
    ) -> None:
        self.rank, self.world_size, self.local_rank = rank, world_size, local_rank
        self._control = control  # a gloo group

    @property
    def is_rank_zero(self) -> bool:
        """True in the process that writes, prints and evaluates."""
        return self.rank == 0

    # rows of a batch

    def local_shard(self, tree: Any, sides: int = 1) -> Any:
        """Return this process's rows of a tree that has those of all, on each of its `sides`."""
        if self.world_size == 1:
            return tree
        shape = (sides, self.world_size, -1)
        return tree_map(lambda leaf: leaf.unflatten(0, shape)[:, self.rank].flatten(0, 1), tree)

    def tile(self, tree: Any, sides: int = 1) -> Any:
        """Return a tree of the size of all processes' whose `local_shard` is `tree` in each."""
        if self.world_size == 1:
            return tree

        def tiled(leaf: Tensor) -> Tensor:
            parts = leaf.unflatten(0, (sides, 1, -1))
            tiles: Tensor = parts.expand(-1, self.world_size, *parts.shape[2:]).flatten(0, 2)
            return tiles

        return tree_map(tiled, tree)

    @torch.no_grad()
    def all_gather(self, tree: Any) -> Any:
        """Concatenate the rows of all processes in the order of ranks, without a graph."""
        if self.world_size == 1:
            return tree
        return tree_map(self._all_gather, tree)

    def _all_gather(self, leaf: Tensor) -> Tensor:
        from torch import distributed

        sent = leaf.detach().contiguous()
        sent = sent.to(torch.uint8) if leaf.dtype == torch.bool else sent
        parts = [torch.empty_like(sent) for _ in range(self.world_size)]
        with detect_lost_peers():
            distributed.all_gather(parts, sent)
        return torch.cat(parts).to(leaf.dtype)

    # reductions

    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Average each tensor over the processes, in one message per dtype and device."""
        if self.world_size == 1:
            return list(tensors)
        found = dict(enumerate(tensors))
        for kind in dict.fromkeys((tensor.dtype, tensor.device) for tensor in tensors):
            indices = [k for k, t in enumerate(tensors) if (t.dtype, t.device) == kind]
            flat = torch.cat([tensors[k].detach().reshape(-1) for k in indices])
            parts = (self._sum(flat) / self.world_size).split([tensors[k].numel() for k in indices])
            found |= {k: part.view_as(tensors[k]) for k, part in zip(indices, parts, strict=True)}
        return list(found.values())

    def differentiable_mean(self, value: Tensor) -> Tensor:
        """Average a tensor over the processes; gradients flow through all of them."""
        return value if self.world_size == 1 else _DifferentiableMean.apply(value, self)

    def global_mean(self, values: Tensor) -> Tensor:
        """Average over the rows of all processes; gradients flow through all of them."""
        return self.differentiable_mean(values.mean())

    @torch.no_grad()
    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Sum over the rows (B, ...) of all processes, without a graph."""
        total = values.sum(0)
        return total if self.world_size == 1 else self._sum(total)

    def _sum(self, tensor: Tensor) -> Tensor:
        from torch import distributed

        with detect_lost_peers():
            distributed.all_reduce(tensor)
        return tensor

    # control

    def all_reduce_max(self, number: int) -> int:
        """Return the largest number of all processes."""
        if self.world_size == 1:
            return number
        from torch import distributed

        found = torch.tensor(number)
        with detect_lost_peers():
            distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self._control)
        return int(found)

    def on_rank_zero(self, function: Callable[[], Result]) -> Result:
        """Return the result of `function` on rank 0; the others wait for it without a limit.

        A result is made of tensors, numbers, strings, lists and dicts. Where the function raises on
        rank 0, the others raise PeerFailed.
        """
        if self.world_size == 1:
            return function()
        if not self.is_rank_zero:
            received: Result = self._receive()
            return received
        try:
            result = function()
        except BaseException:
            self._send(b"")
            raise
        file = io.BytesIO()
        torch.save(result, file)
        self._send(file.getvalue())
        return result

    def on_all_ranks(self, function: Callable[[], Result]) -> Result:
        """Return each process's result of `function`; where some fail, one reports the reason.

        The function must not communicate.
        """
        if self.world_size == 1:
            return function()
        try:
            result, error = function(), None
        except Exception as raised:
            result, error = None, raised
        reporter = self.world_size - self.all_reduce_max(
            0 if error is None else self.world_size - self.rank
        )
        if reporter == self.world_size:
            return result  # type: ignore[return-value]
        raise error if error is not None and reporter == self.rank else PeerFailed

    def _send(self, content: bytes) -> None:
        self._broadcast(torch.tensor(len(content)))
        if content:
            self._broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8))

    def _receive(self) -> Any:
        length = torch.tensor(0)
        self._broadcast(length)
        if not length:
            raise PeerFailed
        content = torch.empty(int(length), dtype=torch.uint8)
        self._broadcast(content)
        return torch.load(io.BytesIO(content.numpy().tobytes()), weights_only=True)

    def _broadcast(self, tensor: Tensor) -> None:
        from torch import distributed

        with detect_lost_peers():
            distributed.broadcast(tensor, src=0, group=self._control)

    @torch.no_grad()
    def broadcast_parameters(self, networks: Iterable[nn.Module]) -> None:
        """Copy parameters and buffers of the networks from rank 0 to all processes."""
        if self.world_size == 1:
            return
        from torch import distributed

        for network in networks:
            for tensor in (*network.parameters(), *network.buffers()):
                sent = tensor.contiguous()
                with detect_lost_peers():
                    distributed.broadcast(sent, src=0)
                tensor.copy_(sent)

    def check_replicas_equal(self, networks: Mapping[str, nn.Module]) -> None:
        """Raise ReplicasDiverged where the sum of a tensor differs between processes."""
        if self.world_size == 1:
            return
        named = {f"{k}.{n}": t for k, net in networks.items() for n, t in net.state_dict().items()}
        sums = torch.stack([tensor.double().sum().cpu() for tensor in named.values()])
        rows = self.all_gather(sums[None])
        differs = (rows != rows[0]).any(0).tolist()
        if any(differs):
            raise ReplicasDiverged(list(named)[differs.index(True)] if self.is_rank_zero else "")


SINGLE_PROCESS = DistributedContext()


class _DifferentiableMean(torch.autograd.Function):
    """Average over processes; the derivative by the local part is 1/n in each of the n losses."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, processes: DistributedContext) -> Tensor:
        ctx.processes = processes
        return processes.all_reduce_mean([value])[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _DifferentiableMean.apply(gradients[0], ctx.processes), None


@contextmanager
def detect_lost_peers() -> Iterator[None]:
    """Raise ProcessLost in a block of communication where another process has ended.

    torch.distributed's errors (NCCL) and gloo's closed connections mean that. Others pass.
    """
    from torch import distributed

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and not BROKEN_OFF.match(str(error)):
            raise
        raise ProcessLost(
            "another process of this training has ended; the last checkpoint is kept, "
            "continue from it with: multigan resume RUN"
        ) from error


@contextmanager
def init_distributed() -> Iterator[DistributedContext]:
    """Yield the process group that torchrun started, or a single process, for the block."""
    started = all(name in os.environ for name in STARTED_BY_TORCHRUN)
    if not started or int(os.environ["WORLD_SIZE"]) == 1:
        yield SINGLE_PROCESS
        return
    from torch import distributed

    cuda = torch.cuda.is_available() and distributed.is_nccl_available()
    distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    control = distributed.new_group(backend="gloo", timeout=CONTROL_TIMEOUT)
    rank, world_size = distributed.get_rank(), distributed.get_world_size()
    with warnings.catch_warnings():
        if rank > 0:  # rank 0 has shown them
            warnings.simplefilter("ignore")
        yield DistributedContext(rank, world_size, int(os.environ["LOCAL_RANK"]), control)
    distributed.destroy_process_group()  # not after an error: others may be waiting


def rng_state(
    device: torch.device, processes: DistributedContext = SINGLE_PROCESS
) -> dict[str, Any]:
    """Return the states of the global random streams of all processes.

    Those of the CPU are a tensor (processes, bytes), those of CUDA devices in use a list.
    """
    cuda = device.type == "cuda"
    gpu = processes.all_gather(torch.cuda.get_rng_state(device)[None]) if cuda else torch.empty(0)
    return {"torch_rng": processes.all_gather(torch.get_rng_state()[None]), "cuda_rng": list(gpu)}


def restore_rng_state(
    state: Mapping[str, Any], device: torch.device, processes: DistributedContext = SINGLE_PROCESS
) -> None:
    """Restore this process's global random streams from `rng_state`.

    A process beyond the number of saved states keeps its own.
    """
    streams = torch.atleast_2d(state["torch_rng"])
    if processes.rank < len(streams):
        torch.set_rng_state(streams[processes.rank].clone())  # torch crashes at a view
    if processes.rank < len(state["cuda_rng"]) and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"][processes.rank].clone(), device)
