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
CONTROL_TIMEOUT = timedelta(days=365)  # with a process that measures; a dead one is noticed at once
# What gloo says in a plain RuntimeError where a connection ends; not what it says of our bugs.
BROKEN_OFF = re.compile(r"\[(?!enforce fail)[^\]]*gloo[/\\]transport")
STARTED_BY_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


class ProcessLost(Exception):
    """Another process has ended, so this one cannot go on; the last checkpoint is whole."""

    exit_status = 1


class PeerFailed(Exception):
    """Another process has failed and says why; this one ends without a word."""

    exit_status = 1


class ReplicasDiverged(Exception):
    """The processes do not have the same weights any more; the last checkpoint is whole."""

    exit_status = 1

    def __init__(self, name: str) -> None:
        said = (
            f"{name} is not the same in all processes: its module learns from the rows that it "
            "sees, which only batch norm shares with the others; train it in one process"
        )
        super().__init__(said if name else "")


class DistributedContext:
    """The processes of one training, seen from one of them; by default it is the only one.

    Every method but `own` and `repeat` is to be called by all of them, in the same order.
    """

    def __init__(
        self, rank: int = 0, world_size: int = 1, local_rank: int = 0, control: Any = None
    ) -> None:
        self.rank, self.world_size, self.local_rank = rank, world_size, local_rank
        self._control = control  # a gloo group

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the process that writes, speaks and measures."""
        return self.rank == 0

    # rows of a batch

    def local_shard(self, tree: Any, sides: int = 1) -> Any:
        """This process's rows of a tree whose leaves hold those of all, in each of its sides."""
        if self.world_size == 1:
            return tree
        shape = (sides, self.world_size, -1)
        return tree_map(lambda leaf: leaf.unflatten(0, shape)[:, self.rank].flatten(0, 1), tree)

    def tile(self, tree: Any, sides: int = 1) -> Any:
        """A tree as large as that of all processes, of which `own` is the given one."""
        if self.world_size == 1:
            return tree

        def repeated(leaf: Tensor) -> Tensor:
            parts = leaf.unflatten(0, (sides, 1, -1))
            return parts.expand(-1, self.world_size, *parts.shape[2:]).flatten(0, 2)

        return tree_map(repeated, tree)

    @torch.no_grad()
    def all_gather(self, tree: Any) -> Any:
        """The rows of all processes, in the order of their ranks, without a graph."""
        if self.world_size == 1:
            return tree
        return tree_map(self._gathered, tree)

    def _gathered(self, leaf: Tensor) -> Tensor:
        from torch import distributed

        sent = leaf.detach().contiguous()
        sent = sent.to(torch.uint8) if leaf.dtype == torch.bool else sent
        parts = [torch.empty_like(sent) for _ in range(self.world_size)]
        with detect_lost_peers():
            distributed.all_gather(parts, sent)
        return torch.cat(parts).to(leaf.dtype)

    # numbers

    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each tensor over the processes, in one message per type of number."""
        if self.world_size == 1:
            return list(tensors)
        found = dict(enumerate(tensors))
        for kind in dict.fromkeys((tensor.dtype, tensor.device) for tensor in tensors):
            places = [k for k, t in enumerate(tensors) if (t.dtype, t.device) == kind]
            flat = torch.cat([tensors[k].detach().reshape(-1) for k in places])
            parts = (self._sum(flat) / self.world_size).split([tensors[k].numel() for k in places])
            found |= {k: part.view_as(tensors[k]) for k, part in zip(places, parts, strict=True)}
        return list(found.values())

    def differentiable_mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the processes, through which all their gradients flow."""
        return value if self.world_size == 1 else _Merge.apply(value, self)

    def global_mean(self, values: Tensor) -> Tensor:
        """The mean over all rows of all processes, through which all their gradients flow."""
        return self.differentiable_mean(values.mean())

    @torch.no_grad()
    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """The sum over the rows (B, ...) of all processes, without a graph."""
        total = values.sum(0)
        return total if self.world_size == 1 else self._sum(total)

    def _sum(self, tensor: Tensor) -> Tensor:
        from torch import distributed

        with detect_lost_peers():
            distributed.all_reduce(tensor)
        return tensor

    # decisions

    def all_reduce_max(self, number: int) -> int:
        """The largest of the numbers that the processes have."""
        if self.world_size == 1:
            return number
        from torch import distributed

        found = torch.tensor(number)
        with detect_lost_peers():
            distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self._control)
        return int(found)

    def on_rank_zero(self, function: Callable[[], Result]) -> Result:
        """What `function` gives in the first process; the others wait for it, however long.

        Tensors, numbers, strings, lists and dicts can be given. Where it raises, the others raise
        ToldElsewhere.
        """
        if self.world_size == 1:
            return function()
        if not self.is_rank_zero:
            return self._received()
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
        """What `function` gives in each process; where it fails in some, one of them says why.

        It must not talk to the others.
        """
        if self.world_size == 1:
            return function()
        try:
            result, error = function(), None
        except Exception as raised:
            result, error = None, raised
        speaker = self.world_size - self.all_reduce_max(
            0 if error is None else self.world_size - self.rank
        )
        if speaker == self.world_size:
            return result  # type: ignore[return-value]
        raise error if error is not None and speaker == self.rank else PeerFailed

    def _send(self, content: bytes) -> None:
        self._broadcast(torch.tensor(len(content)))
        if content:
            self._broadcast(torch.frombuffer(bytearray(content), dtype=torch.uint8))

    def _received(self) -> Any:
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
        """Give every network of every process the tensors of the first one's."""
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
        """Raise Drifted where a tensor is not the same in all processes, by its sum."""
        if self.world_size == 1:
            return
        named = {f"{k}.{n}": t for k, net in networks.items() for n, t in net.state_dict().items()}
        sums = torch.stack([tensor.double().sum().cpu() for tensor in named.values()])
        rows = self.all_gather(sums[None])
        differs = (rows != rows[0]).any(0).tolist()
        if any(differs):
            raise ReplicasDiverged(list(named)[differs.index(True)] if self.is_rank_zero else "")


SINGLE_PROCESS = DistributedContext()


class _Merge(torch.autograd.Function):
    """The mean over processes. Its derivative by one's own part is 1/n in each of the n losses."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, processes: DistributedContext) -> Tensor:
        ctx.processes = processes
        return processes.all_reduce_mean([value])[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return _Merge.apply(gradients[0], ctx.processes), None


@contextmanager
def detect_lost_peers() -> Iterator[None]:
    """A block that talks to the other processes; it raises ProcessLost where one is gone.

    That is what torch.distributed's own errors (NCCL) and gloo's broken connections mean; any other
    error goes its way.
    """
    from torch import distributed

    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and not BROKEN_OFF.match(str(error)):
            raise
        raise ProcessLost(
            "another process of this training has ended; the last checkpoint is kept, go on from "
            "it with: multigan resume RUN"
        ) from error


@contextmanager
def init_distributed() -> Iterator[DistributedContext]:
    """The processes that torchrun started, or this one alone; they part at the end of the block."""
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
        if rank > 0:  # the first one has said it
            warnings.simplefilter("ignore")
        yield DistributedContext(rank, world_size, int(os.environ["LOCAL_RANK"]), control)
    distributed.destroy_process_group()  # not after an error: others may be waiting


def rng_state(
    device: torch.device, processes: DistributedContext = SINGLE_PROCESS
) -> dict[str, Any]:
    """Where the global streams of each process stand: those of the CPU (processes, bytes), and
    those of the CUDA devices, if they are used, as a list."""
    cuda = device.type == "cuda"
    gpu = processes.all_gather(torch.cuda.get_rng_state(device)[None]) if cuda else torch.empty(0)
    return {"torch_rng": processes.all_gather(torch.get_rng_state()[None]), "cuda_rng": list(gpu)}


def restore_rng_state(
    state: Mapping[str, Any], device: torch.device, processes: DistributedContext = SINGLE_PROCESS
) -> None:
    """Put this process's global streams back to where `dropout_state` found them.

    A process that there was not then leaves its streams as they are: at their start.
    """
    streams = torch.atleast_2d(state["torch_rng"])
    if processes.rank < len(streams):
        torch.set_rng_state(streams[processes.rank].clone())  # torch crashes at a view
    if processes.rank < len(state["cuda_rng"]) and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda_rng"][processes.rank].clone(), device)
