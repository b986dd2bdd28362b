"""The engine and a hand-written loop on one pair of plain MLPs: are the results equal?

    python -m tests.benchmarks.mlp_pair [--seeds 5]

Both minimize the relativistic loss with R1 and R2 by Adam with the same numbers, on the ring of
eight Gaussians, from the same initial weights. The engine's defaults are used wherever the loop
states a number of its own. The spread of a mode is the standard deviation of the samples that are
nearest to it over the true one; a mean over modes. A third row has the burn-in of R3GAN, which a
recipe has to ask for. The last line is JSON. Results: docs/benchmarks/speed.md.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.engine.trainer import AdversarialTrainer
from multigan.points.dataset import GaussianMixture
from multigan.points.mixtures import get_mixture

STEPS, BATCH_SIZE, LATENT_DIM, WIDTH = 1500, 128, 4, 64
LR, GAMMA, SAMPLES = 1e-3, 0.02, 4000
NUMBERS: dict[str, Any] = {  # of both
    "loss": "relativistic",
    "penalties": {"r1": GAMMA, "r2": GAMMA},
    "generator_lr": LR,
    "discriminator_lr": LR,
    "beta1": 0.0,
    "beta2": 0.99,
}


def networks(seed: int) -> tuple[nn.Module, nn.Module]:
    """A generator and a discriminator of plain layers."""

    def mlp(inputs: int, outputs: int) -> nn.Module:
        hidden = [nn.Linear(inputs, WIDTH), nn.LeakyReLU(0.2)]
        hidden += [nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2)]
        return nn.Sequential(*hidden, nn.Linear(WIDTH, outputs))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return mlp(LATENT_DIM, 2), mlp(2, 1)


def by_hand(seed: int, steps: int) -> nn.Module:
    """The generator that a loop of one's own trains."""
    g, d = networks(seed)
    data = GaussianMixture("ring").batch(torch.arange(100_000)).x
    rng = torch.Generator().manual_seed(seed)
    adam_g = torch.optim.Adam(g.parameters(), lr=LR, betas=(0.0, 0.99))
    adam_d = torch.optim.Adam(d.parameters(), lr=LR, betas=(0.0, 0.99))

    def batch() -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(data), (BATCH_SIZE,), generator=rng)
        return data[rows], torch.randn(BATCH_SIZE, LATENT_DIM, generator=rng)

    for _ in range(steps):
        real, z = batch()
        both = torch.cat([real, g(z).detach()]).requires_grad_()
        logits = d(both)
        (slope,) = torch.autograd.grad(logits.sum(), both, create_graph=True)
        r, f = logits.chunk(2)
        penalty = GAMMA / 2 * slope.square().sum(1).mean() * 2  # R1 plus R2
        adam_d.zero_grad()
        (softplus(f - r).mean() + penalty).backward()
        adam_d.step()

        real, z = batch()
        adam_g.zero_grad()
        softplus(d(real).detach() - d(g(z))).mean().backward()
        adam_g.step()
    return g


def by_engine(seed: int, steps: int, **changes: Any) -> nn.Module:
    """The generator that the engine trains, without its moving average."""
    g, d = networks(seed)
    recipe = Recipe(
        data=GaussianMixture("ring"),
        generator=copy.deepcopy(g),
        discriminator=d,
        latent_dim=LATENT_DIM,
        steps=steps,
        batch_size=BATCH_SIZE,
        **(NUMBERS | changes),
    )
    trainer = AdversarialTrainer(recipe, seed=seed)
    for _ in trainer.steps():
        pass
    g.load_state_dict(
        dict(zip(g.state_dict(), trainer.generator.state_dict().values(), strict=True))
    )
    return g


ROWS = {
    "hand-written loop": by_hand,
    "engine": by_engine,
    "engine, burn_in .2": lambda seed, steps: by_engine(seed, steps, burn_in=0.2),
}


@torch.no_grad()
def spread(g: nn.Module) -> float:
    """Standard deviation of the samples around the mode that is nearest, over the true one."""
    mixture = get_mixture("ring")
    points = g(torch.randn(SAMPLES, LATENT_DIM, generator=keyed_rng("spread"))).double()
    offsets = points[:, None] * mixture.unit - mixture.centers()
    nearest = offsets.norm(dim=-1).argmin(1)
    spreads = [
        float(points[nearest == k].std(0).square().mean().sqrt() / mixture.sd)
        for k in nearest.unique().tolist()
        if (nearest == k).sum() > 1
    ]
    return statistics.mean(spreads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name, train in ROWS.items():
        found = [spread(train(seed, arguments.steps)) for seed in range(arguments.seeds)]
        results[name] = found
        mean, deviation = statistics.mean(found), statistics.stdev(found)
        print(
            f"{name:20} {mean:.3f} +- {deviation:.3f}  {[round(x, 3) for x in found]}", flush=True
        )
    print(json.dumps({"mlp_pair": results, "steps": arguments.steps, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
