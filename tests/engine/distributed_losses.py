"""Trainings that one process and several do alike, and the program that does them.

    python -m tests.engine.distributed_losses

trains each of them with one process and with two (gloo, float64) and prints, for every domain and
game, the largest difference of a gradient in the first step and of a weight after three.
"""

from __future__ import annotations

import copy
import itertools
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from multigan.core.protocols import Batch
from multigan.core.recipe import AutoGamma, Recipe
from multigan.core.trees import tree_map
from multigan.engine.distributed import DistributedContext, init_distributed
from multigan.engine.gradient_penalties import PENALTIES
from multigan.engine.trainer import AdversarialTrainer
from tests.engine.distributed_calls import talk
from tests.forked import PATIENCE_S, Ended, Program, forked
from tests.run_helpers import DOMAINS, tiny_recipe
from tests.toy_domain import ToyData, ToyDiscriminator, ToyGenerator, draw_weights, toy_recipe

STEPS, WORLD_SIZE, BATCH_SIZE = 3, 2, 8
GAMES: dict[str, dict[str, Any]] = {
    "no penalty": {"penalties": {}},
    **{name: {"penalties": {name: 0.3}} for name in PENALTIES},
    "dragan": {
        "penalties": {"dragan": 0.3},
        "max_grad_norm": 1.0,
    },  # far from sparse data it is steep
    "relativistic average": {"penalties": {"r1": 0.3}, "loss": "relativistic_average"},
}
# Of every domain in the fast suite: all that depends on the other samples of a batch, at once.
MIXED = {
    "all at once": {
        "penalties": {"r1": 0.3, "wgan_gp": 0.3, "dragan": 0.3},
        "loss": "relativistic_average",
        "max_grad_norm": 1.0,
    }
}
ALL_GAMES = "points"  # the domain of which the fast suite has every game
FAST, WHOLE = "fast", "whole"
Results = dict[str, Tensor]


def games_of(domain: str, extent: str) -> dict[str, dict[str, Any]]:
    """The changes of a recipe by game: of the fast suite, or all of them."""
    return GAMES if extent == WHOLE or domain == ALL_GAMES else MIXED


class Wide:
    """Another set, in float64."""

    def __init__(self, data: Any) -> None:
        self.data, self.domain, self.fingerprint = data, data.domain, data.fingerprint
        self.in_memory, self.is_stochastic = data.in_memory, data.is_stochastic

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        return tree_map(
            lambda leaf: leaf.double() if leaf.is_floating_point() else leaf,
            self.data.batch(indices, rng),
        )

    def split(self, name: str) -> Wide:
        return Wide(self.data.split(name))


class Recorder(torch.optim.SGD):
    """Keeps the gradients of its first step."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.gradients = network, None
        super().__init__([p for p in network.parameters() if p.requires_grad], lr=0.0)

    def step(self, closure: Any = None) -> None:
        named = self.network.named_parameters()
        found = {name: p.grad.clone() for name, p in named if p.grad is not None}
        self.gradients = self.gradients or found
        super().step()


def play(recipe: Recipe, processes: DistributedContext, **settings: Any) -> Results:
    """Gradients of the first step, the values of all, and every tensor after the last.

    Without dropout, whose masks each process draws for itself.
    """
    recipe = replace(
        recipe,
        data=Wide(recipe.data),
        generator=copy.deepcopy(recipe.generator).double(),
        discriminator=copy.deepcopy(recipe.discriminator).double(),
    )
    for module in itertools.chain(recipe.generator.modules(), recipe.discriminator.modules()):  # type: ignore[attr-defined]
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    trainer = AdversarialTrainer(recipe, seed=3, processes=processes, **settings)
    trainer.optimizers = {
        name: Recorder(getattr(trainer, name)) for name in ("generator", "discriminator")
    }
    if trainer.likelihood is not None:
        trainer.likelihood.optimizer = Recorder(trainer.generator)  # type: ignore[assignment]
    found: Results = {}
    for step in trainer.steps():
        values = dict(step.values) | trainer.diversity_metrics()
        found |= {f"step {step.number} {k}": torch.as_tensor(v) for k, v in values.items()}
    for name, recorder in trainer.optimizers.items():
        gradients = recorder.gradients or {}
        found |= {f"gradient {name}.{k}": v for k, v in gradients.items()}
    for name, network in trainer.networks().items():
        found |= {f"weight {name}.{k}": v.clone() for k, v in network.state_dict().items()}
    found["skipped"] = torch.tensor(trainer.nonfinite_policy.skipped)
    return found


class Idle(ToyDiscriminator):
    """Has a layer that plays no part."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Linear(2, 2)
        draw_weights(self, "idle")


class OneIsNan(ToyData):
    """The 14th of 20 points is not a number: one process at a time has it in its rows."""

    def __init__(self) -> None:
        super().__init__(20)
        self.points[13] = float("nan")


def jitter(x: Tensor, condition: Any, rng: torch.Generator) -> tuple[Tensor, Any]:
    """An augmentation that draws first along another axis than the rows."""
    return x + 0.1 * torch.rand(2, len(x), generator=rng).T.to(x), condition


def domain_games(extent: str) -> Iterator[tuple[str, Callable[[DistributedContext], Results]]]:
    """Every domain's default recipe in its games."""
    rates = {"generator_lr": 0.02, "discriminator_lr": 0.02, "steps": STEPS, "burn_in": 0.0}
    for domain in DOMAINS:
        recipe = tiny_recipe(domain, batch_size=BATCH_SIZE)
        recipe = replace(recipe, likelihood_steps=0, likelihood_weight=0.0, **rates)
        for game, changes in games_of(domain, extent).items():
            changed = replace(recipe, **changes)
            yield f"{domain} / {game}", lambda group, recipe=changed: play(recipe, group)


def toy_games() -> Iterator[tuple[str, Callable[[DistributedContext], Results]]]:
    """What the engine can do besides."""
    rates = {"generator_lr": 0.1, "discriminator_lr": 0.1, "steps": STEPS}
    hard = {
        "data": ToyData(5, labelled=True, draws=True),  # smaller than a batch
        "generator": ToyGenerator(labelled=True),
        "discriminator": ToyDiscriminator(labelled=True),
        "loss": "relativistic_average",
        "penalties": {"r1": 0.1, "r2": AutoGamma(), "dragan": 0.2},
        "penalty_interval": 2,
        "discriminator_steps": 3,
        "gradient_accumulation_steps": 2,
        "max_grad_norm": 0.5,
        "ema_halflife_samples": 20,
        "lookahead_interval": 2,
        "augment": jitter,
    }
    lines = tiny_recipe("text", batch_size=BATCH_SIZE, dropout=0.0)  # a function, no module
    learnt = {
        "likelihood_steps": 12,
        "likelihood_lr": 0.1,
        "steps": 1,
        "gradient_accumulation_steps": 2,
    }
    pictures = tiny_recipe("image", batch_size=BATCH_SIZE, augment="diffaugment")
    recipes: dict[str, tuple[Recipe, dict[str, Any]]] = {
        "everything at once": (toy_recipe(**hard | rates), {}),
        "a layer without a gradient": (toy_recipe(discriminator=Idle(), **rates), {}),
        "an update that is not finite": (
            toy_recipe(data=OneIsNan(), penalties={"r1": 0.1}, **rates | {"steps": 9}),
            {"on_nonfinite": "skip"},
        ),
        "a likelihood stage": (replace(lines, **learnt), {}),
        "augmented pictures": (replace(pictures, **rates), {}),
    }
    for name, (recipe, settings) in recipes.items():
        yield name, lambda group, recipe=recipe, more=settings: play(recipe, group, **more)


@contextmanager
def float64() -> Iterator[None]:
    """A block in which what is drawn is drawn in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def all_games(extent: str) -> dict[str, Callable[[DistributedContext], Results]]:
    """Every game; those of toys with the games of the fast suite."""
    return dict(itertools.chain(domain_games(extent), toy_games() if extent == FAST else ()))


def free_port() -> str:
    """A port at which processes can find each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def places(world_size: int) -> list[dict[str, str]]:
    """The environment of each of several processes, as torchrun sets it."""
    same = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    return [same | {"RANK": str(k), "LOCAL_RANK": str(k)} for k in range(world_size)]


def start(module: str, *arguments: str | Path, world_size: int = WORLD_SIZE) -> list[Program]:
    """`python -m module` in processes that can find each other."""
    return [Program(module, *arguments, **place) for place in places(world_size)]


def ended(started: list[Program]) -> list[Ended]:
    """What processes have left, when all have ended."""
    return [program.wait() for program in started]


def largest_difference(one: Results, other: Results, kind: str) -> float:
    """Over all tensors whose name begins with `kind`; infinite where they are not the same ones."""
    names = {name for name in (*one, *other) if name.startswith(kind)}
    if not names <= one.keys() & other.keys():
        return float("inf")
    pairs = [(one[name].double(), other[name].double()) for name in names]
    return max((float((a - b).abs().max()) for a, b in pairs if a.numel()), default=0.0)


def table(alone: Mapping[str, Results], shared: Mapping[str, Results]) -> str:
    """Markdown: gradients of the first step / weights after the last, largest difference."""
    lines = [
        "| two processes less one | " + " | ".join(GAMES) + " |",
        "|---" * (1 + len(GAMES)) + "|",
    ]
    for domain in DOMAINS:
        cells = []
        for game in GAMES:
            pair = alone[f"{domain} / {game}"], shared[f"{domain} / {game}"]
            kinds = ("gradient", "weight")
            cells.append(" / ".join(f"{largest_difference(*pair, kind):.0e}" for kind in kinds))
        lines.append(f"| {domain} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def played_in(folder: Path, extent: str) -> dict[int, list[dict[str, Any]]]:
    """What one process and what WORLD_SIZE of them have found.

    (What domains keep for the next time must not be float64 in this one.)
    """
    done = forked("tests.engine.distributed_losses", folder, extent)
    assert done.returncode == 0, done.stderr
    sizes = (WORLD_SIZE, 1)
    return {n: [torch.load(folder / f"{n}-{rank}.pt") for rank in range(n)] for n in sizes}


def play_in_processes(folder: str, extent: str) -> None:
    """Make the games once, and play them in one process and in WORLD_SIZE, forked from this one."""
    with float64():
        games = all_games(extent)
        context = multiprocessing.get_context("fork")
        started = [
            context.Process(target=play_all, args=(games, place, folder))
            for size in (WORLD_SIZE, 1)
            for place in places(size)
        ]
        try:
            for process in started:
                process.start()
            for process in started:
                process.join(PATIENCE_S / len(started))
        finally:
            for process in started:
                process.kill()
                process.join()
    assert [process.exitcode for process in started] == [0] * len(started)


def play_all(
    games: Mapping[str, Callable[[DistributedContext], Results]],
    place: dict[str, str],
    folder: str,
) -> None:
    """Write what one of the processes finds."""
    os.environ |= place
    with init_distributed() as processes:
        played = {name: game(processes) for name, game in games.items()}
        found = {"games": played, "talk": talk(processes)}
        torch.save(found, f"{folder}/{processes.world_size}-{processes.rank}.pt")


def main() -> None:
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        play_in_processes(*sys.argv[1:])
        return
    with tempfile.TemporaryDirectory() as folder:
        played = played_in(Path(folder), WHOLE)
    print(table(played[1][0]["games"], played[WORLD_SIZE][0]["games"]))


if __name__ == "__main__":
    main()
