"""Cost of a step relative to the shortest hand-written loop, and the saving of a frozen D.

    python -m tests.benchmarks.engine_step [--blocks 24]

Images of 32x32 and 64x64 in batches of 64, points in batches of 256, one thread. The two loops
alternate in blocks of a few steps, each in a process of its own: the engine's with the allocator
settings that `multigan train` makes, the other with glibc's defaults, as a script has them. A ratio
is the median over the blocks, with the 95 % interval of its order statistics. Times are CPU seconds
of these processes; ratios of wall time stand beside them. Both loops do the same work: their
floating-point operations are counted and must be equal. The last line is JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from multigan.core.protocols import Batch
from multigan.core.recipe import Recipe
from multigan.engine import optimization
from multigan.engine.trainer import AdversarialTrainer
from multigan.image.models import dcgan, r3gan
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.r3gan import R3GANDiscriminator, R3GANGenerator
from multigan.points.models import MLPDiscriminator, MLPGenerator
from multigan.training.allocator import DEFAULT, keep_freed_memory
from tests.benchmarks.timing import Ratio, RemoteSteps, compare, line, serve

SIDE, CHANNELS, IMAGES = 32, 3, 1024
MEMORY_STEPS = 6
LR, BETAS, HALFLIFE = 2e-4, (0.0, 0.99), 10_000
GAMMA = 0.5


class Noise:
    """Noise in memory; the content of the samples does not change the cost."""

    domain, fingerprint, in_memory, is_stochastic = None, "noise", True, False

    def __init__(self, *shape: int) -> None:
        rng = torch.Generator().manual_seed(0)
        self.x = torch.rand(*shape, generator=rng) * 2 - 1

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        return Batch(self.x[indices])

    def split(self, name: str) -> Noise:
        return self


def nonsaturating(d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """D's loss, from one forward over both sides."""
    r, f = d(torch.cat([real, fake])).chunk(2)
    return (softplus(-r) + softplus(f)).mean()


def relativistic_with_penalties(d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """D's loss with R1 and R2, whose input gradients come from one autograd call."""
    both = torch.cat([real, fake]).requires_grad_()
    logits = d(both)
    (gradient,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
    r, f = logits.chunk(2)
    squared = gradient.square().flatten(1).sum(1)  # (2B,): the mean over both is half their sum
    return softplus(f - r).mean() + GAMMA / 2 * 2 * squared.mean()


def nonsaturating_generator(d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    return softplus(-d(fake)).mean()


def relativistic_generator(d: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    with torch.no_grad():
        r = d(real)
    return softplus(r - d(fake)).mean()


class Case(NamedTuple):
    """Networks and their objective, for the engine and by hand."""

    generator: Callable[[], nn.Module]
    discriminator: Callable[[], nn.Module]
    loss: str
    penalties: dict[str, float]
    discriminator_loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    generator_loss: Callable[[nn.Module, Tensor, Tensor], Tensor]
    target: float  # of the engine's CPU time over that of the hand-written loop
    batch_size: int = 64
    shape: tuple[int, ...] = (IMAGES, CHANNELS, SIDE, SIDE)  # of the data


CASES = {
    "dcgan, nonsaturating": Case(
        lambda: DCGANGenerator(SIDE, CHANNELS, (64, 32, 16)),
        lambda: DCGANDiscriminator(SIDE, CHANNELS, (64, 32, 16)),
        "nonsaturating",
        {},
        nonsaturating,
        nonsaturating_generator,
        target=0.85,
    ),
    "dcgan at 64x64, nonsaturating": Case(
        lambda: DCGANGenerator(2 * SIDE, CHANNELS, (128, 64, 32, 16)),
        lambda: DCGANDiscriminator(2 * SIDE, CHANNELS, (128, 64, 32, 16)),
        "nonsaturating",
        {},
        nonsaturating,
        nonsaturating_generator,
        target=0.85,
        shape=(IMAGES, CHANNELS, 2 * SIDE, 2 * SIDE),
    ),
    "r3, relativistic + r1 + r2": Case(
        lambda: R3GANGenerator(SIDE, CHANNELS, (16, 16, 8, 8), blocks=1),
        lambda: R3GANDiscriminator(SIDE, CHANNELS, (16, 16, 8, 8), blocks=1),
        "relativistic",
        {"r1": GAMMA, "r2": GAMMA},
        relativistic_with_penalties,
        relativistic_generator,
        target=0.85,
    ),
    "points, relativistic + r1 + r2": Case(
        lambda: MLPGenerator(width=128, depth=4),
        lambda: MLPDiscriminator(128, 3),
        "relativistic",
        {"r1": GAMMA, "r2": GAMMA},
        relativistic_with_penalties,
        relativistic_generator,
        target=1.0,
        batch_size=256,
        shape=(100_000, 2),
    ),
}


def by_hand(case: Case) -> Iterator[None]:
    """The shortest loop that trains `case`, as one would write it for this case alone."""
    g, d = networks(case)
    ema = copy.deepcopy(g).requires_grad_(False)
    adam_g = torch.optim.Adam(g.parameters(), lr=LR, betas=BETAS)
    adam_d = torch.optim.Adam(d.parameters(), lr=LR, betas=BETAS)
    rng = torch.Generator().manual_seed(0)
    batches = shuffled(Noise(*case.shape), case.batch_size, rng)
    decay = 0.5 ** (case.batch_size / HALFLIFE)
    while True:
        # discriminator
        real = next(batches)
        with torch.no_grad():
            fake = g(g.sample_latent(case.batch_size, rng))
        adam_d.zero_grad()
        case.discriminator_loss(d, real, fake).backward()
        adam_d.step()

        # generator
        real = next(batches)
        d.requires_grad_(False)
        fake = g(g.sample_latent(case.batch_size, rng))
        adam_g.zero_grad()
        case.generator_loss(d, real, fake).backward()
        adam_g.step()
        d.requires_grad_(True)

        # moving average
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(g.parameters()), 1 - decay)
            for average, source in zip(ema.buffers(), g.buffers(), strict=True):
                average.copy_(source)
        yield


def shuffled(data: Noise, batch_size: int, rng: torch.Generator) -> Iterator[Tensor]:
    while True:
        batches = torch.randperm(len(data), generator=rng).split(batch_size)
        for indices in batches[: len(data) // batch_size]:
            yield data.x[indices]


def trainer_of(case: Case) -> AdversarialTrainer:
    g, d = networks(case)
    recipe = Recipe(
        data=Noise(*case.shape),  # type: ignore[arg-type]
        generator=g,  # type: ignore[arg-type]
        discriminator=d,  # type: ignore[arg-type]
        steps=10**9,
        batch_size=case.batch_size,
        loss=case.loss,
        penalties=case.penalties,
        generator_lr=LR,
        discriminator_lr=LR,
        beta1=BETAS[0],
        beta2=BETAS[1],
        ema_halflife_samples=HALFLIFE,
    )
    return AdversarialTrainer(recipe)


def networks(case: Case) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return case.generator(), case.discriminator()


def by_engine(case: Case) -> Iterator[Any]:
    return trainer_of(case).steps()


def by_plain_engine(case: Case) -> Iterator[Any]:
    """Steps of the engine as `by_engine`, without fused Adam and channels last: changes modules."""
    optimization.FUSED_DEVICES = ()
    for models in (dcgan, r3gan):
        models.channels_last = lambda x: x
    return by_engine(case)


VARIANTS = {"engine": by_engine, "hand": by_hand}
WORKERS = VARIANTS | {"plain": by_plain_engine}  # in processes of their own


def generator_phase(case: Case, freeze: bool) -> Iterator[None]:
    """The engine's generator updates alone, with D frozen (as it is) or not."""
    trainer = trainer_of(case)
    batches = trainer.reals.batches()
    while True:
        unfrozen = mock.patch("multigan.engine.objective.frozen_parameters", nullcontext)
        with nullcontext() if freeze else unfrozen:
            trainer._generator_update(next(batches))
        trainer.discriminator.zero_grad(set_to_none=True)
        yield


class Operations(TorchDispatchMode):
    """Counts the floating-point operations of convolutions and matrix products, backward too."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        count = flop_registry.get(function._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


def operations(steps: Iterator[Any]) -> int:
    """Floating-point operations of one step."""
    next(steps)
    with Operations() as counter:
        next(steps)
    return counter.total


def peak_memory(case: str, variant: str) -> None:
    """Print the MiB that this process had at most; equal runs differ by some 5 %."""
    if variant == "engine":
        keep_freed_memory()
    steps = VARIANTS[variant](CASES[case])
    for _ in range(MEMORY_STEPS):
        next(steps)
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def memory_of(case: str, variant: str) -> int:
    """`peak_memory` of a fresh process: to be asked before this one has grown, as it inherits."""
    command = [sys.executable, "-m", "tests.benchmarks.engine_step", "--memory", case, variant]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def remote(case: str, variant: str, allocator: str = "") -> RemoteSteps:
    """Steps of a variant in a process of their own; `allocator` "default" makes no settings."""
    worker = [sys.executable, "-m", "tests.benchmarks.engine_step", "--worker", case, variant]
    return RemoteSteps([*worker, *([allocator] if allocator else [])])


def work(case: str, variant: str, *allocator: str) -> None:
    """Serve the steps of a variant, in the process of a `RemoteSteps`."""
    if variant != "hand" and DEFAULT not in allocator:
        keep_freed_memory()
    serve(WORKERS[variant](CASES[case]))


def compared(
    name: str, blocks: int, allocator: str = "", other: str = "hand"
) -> tuple[Ratio, list[float]]:
    """The engine over another variant, and the page faults of a step of each."""
    engine, reference = remote(name, "engine", allocator), remote(name, other)
    ratio = compare(engine, reference, blocks)
    for steps in (engine, reference):
        steps.close()
    return ratio, [engine.page_faults, reference.page_faults]


def measure(name: str, blocks: int, memory: dict[str, int]) -> dict[str, Any]:
    """Print the lines of one case and return its figures."""
    case = CASES[name]
    counted = {variant: operations(make(case)) for variant, make in VARIANTS.items()}
    assert counted["engine"] == counted["hand"], f"{name}: not the same work: {counted}"
    step, faults = compared(name, blocks)
    default, _ = compared(name, blocks, DEFAULT)
    plain, _ = compared(name, blocks, other="plain")
    phase = compare(generator_phase(case, False), generator_phase(case, True), blocks)
    print(f"{name}: {counted['hand'] / 1e9:.3g} GFLOP a step in both loops")
    print(f"  engine / hand-written        {line(step)}  (target <= {case.target})")
    print(f"  with the default allocator   {line(default)}")
    print(f"  engine / without fused Adam and channels last  {line(plain)}")
    print(f"  page faults of a step        engine {faults[0]:.0f}, hand {faults[1]:.0f}")
    print(f"  G phase, D unfrozen / frozen {line(phase)}  (target > 1)")
    print(
        f"  peak memory                  engine {memory['engine']} MiB, hand {memory['hand']} MiB"
    )
    return {
        "gigaflop": counted["hand"] / 1e9,
        "engine_over_hand": step._asdict(),
        "engine_over_hand_default_allocator": default._asdict(),
        "engine_over_plain_engine": plain._asdict(),
        "page_faults": faults,
        "generator_phase_unfrozen_over_frozen": phase._asdict(),
        "peak_mib": memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=24, help="of each loop")
    parser.add_argument("--case", choices=CASES, help="this one alone")
    parser.add_argument("--memory", nargs=2, metavar=("CASE", "VARIANT"), help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs="+", metavar="CASE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory:
        peak_memory(*arguments.memory)
        return
    if arguments.worker:
        work(*arguments.worker)
        return
    cases = [arguments.case] if arguments.case else list(CASES)
    memory = {name: {variant: memory_of(name, variant) for variant in VARIANTS} for name in cases}
    results = {name: measure(name, arguments.blocks, memory[name]) for name in cases}
    setting = {"torch": torch.__version__, "threads": 1, "blocks": arguments.blocks}
    print(json.dumps({"engine_step": results} | setting))


if __name__ == "__main__":
    main()
