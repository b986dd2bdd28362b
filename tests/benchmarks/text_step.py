"""Time of a text step at CPU size, and of two passes relative to one loop with a graph.

    python -m tests.benchmarks.text_step [--blocks 8] [--threads 2]

64 lines of 20 tokens out of 2,000; relational memory of width 128; 8 representations, 64 filters.
The loop is given the same fast draws and hand-written relaxation as the two passes; what it lacks
is a pass over all positions at once, which helps a transformer and cannot help a relational memory.
A step is timed alone, as the median of its blocks; the ratio is that of alternating blocks in one
process, with the 95 % interval of its order statistics. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from multigan.core.protocols import Batch
from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.engine.trainer import AdversarialTrainer
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator, TextLatent
from multigan.text.models.gumbel_softmax import RELAXATIONS, gumbel_noise
from multigan.text.models.token_sampling import sample_tokens
from multigan.text.tokenization.tokenizer import BOS, EOS, PAD, one_hot
from tests.benchmarks.timing import STEPS_PER_BLOCK, WARM_UP_STEPS, compare, line, timed

BATCH_SIZE, LENGTH, VOCABULARY = 64, 20, 2000
BACKBONES = ("relational", "lstm", "transformer")
TARGET_SECONDS = 0.5  # wall, on two quiet cores
CASES: dict[str, dict[str, Any]] = {
    "1 G + 5 D, no penalties": {"discriminator_steps": 5},
    "1 G + 1 D, R1 + R2": {"penalties": {"r1": 0.1, "r2": 0.1}},
}


class Noise:
    """Random lines that all end after 15 tokens."""

    domain, fingerprint, in_memory, is_stochastic = None, "noise", True, False

    def __init__(self) -> None:
        self.tokens = torch.randint(4, VOCABULARY, (1024, LENGTH), generator=keyed_rng("noise"))
        self.tokens[:, 15], self.tokens[:, 16:] = EOS, PAD

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        return Batch(one_hot(self.tokens[indices], VOCABULARY, torch.zeros(())))

    def split(self, name: str) -> Noise:
        return self


def generator(backbone: str = "relational") -> TextGenerator:
    torch.manual_seed(0)
    return TextGenerator(VOCABULARY, LENGTH, backbone=backbone, embedding=32, width=128, layers=2)


def steps_of(case: str) -> Iterator[Any]:
    recipe = Recipe(
        data=Noise(),  # type: ignore[arg-type]
        generator=generator(),
        discriminator=TextCNN(VOCABULARY, num_representations=8, filters=64),
        steps=10**9,
        batch_size=BATCH_SIZE,
        max_grad_norm=5.0,
        **CASES[case],
    )
    return AdversarialTrainer(recipe).steps()


def one_loop(g: TextGenerator, latent: TextLatent) -> Tensor:
    """The relaxed lines (B, T, V) from the textbook loop: a graph that grows step by step."""
    token, state, rows = torch.full_like(latent.seed, BOS), None, []
    noise = gumbel_noise(
        latent.seed, torch.full_like(latent.seed, LENGTH), VOCABULARY, g.inverse_temperature
    )
    noise = noise.unflatten(0, (-1, LENGTH))
    for t in range(LENGTH):
        x = g.embedding(token)
        h, state = g.backbone.step(x, g.backbone.initial_state(x) if state is None else state)
        logits = g._logits(h, g._sample_mask_at(t))
        token = sample_tokens(logits.detach(), latent.uniform[:, t])
        free = torch.ones_like(token, dtype=torch.bool)
        rows.append(
            RELAXATIONS[g.estimator](logits, token, free, noise[:, t], g.inverse_temperature)
        )
    return torch.stack(rows, dim=1)


def forward_and_back(g: TextGenerator, lines: Any) -> Iterator[None]:
    """The generator's part of its own step: lines, and the gradient through them."""
    weights = torch.randn(BATCH_SIZE, LENGTH, VOCABULARY, generator=keyed_rng("weights"))
    number = 0
    while True:
        g.zero_grad(set_to_none=True)
        x = lines(g.sample_latent(BATCH_SIZE, keyed_rng("latent", number)))
        (x * weights).sum().backward()
        number += 1
        yield


def seconds_of(case: str, blocks: int) -> dict[str, float]:
    steps = steps_of(case)
    for _ in range(WARM_UP_STEPS):
        next(steps)
    times = [timed(steps) for _ in range(blocks)]
    cpu, wall = (statistics.median(t[i] for t in times) / STEPS_PER_BLOCK for i in (0, 1))
    print(f"{case}: {wall:.3f} s a step, {cpu:.3f} s of CPU (target <= {TARGET_SECONDS} s)")
    return {"wall": wall, "cpu": cpu}


def loop_over_passes(backbone: str, blocks: int) -> dict[str, Any]:
    g = generator(backbone)
    passes, loop = forward_and_back(g, g), forward_and_back(g, lambda z: one_loop(g, z))
    ratio = compare(loop, passes, blocks)
    print(f"{backbone}: one loop / two passes {line(ratio)}  (target > 1)")
    return ratio._asdict()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    seconds = {case: seconds_of(case, chosen.blocks) for case in CASES}
    ratios = {backbone: loop_over_passes(backbone, chosen.blocks) for backbone in BACKBONES}
    setting = {"torch": torch.__version__, "threads": chosen.threads, "blocks": chosen.blocks}
    results = {"seconds": seconds, "loop_over_passes": ratios}
    print(json.dumps({"text_step": results} | setting))


if __name__ == "__main__":
    main()
