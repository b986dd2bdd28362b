"""Time of a text step at CPU size, and of two passes relative to one loop with a graph.

    python -m tests.benchmarks.text_step [--blocks 8] [--threads 2]

64 lines of 20 tokens out of 2,000; relational memory of width 128; 8 representations, 64 filters.
A step of likelihood training is compared with the plain loop that trains an LSTM of the same size:
embedding, LSTM of 256 units, linear map, cross entropy, clipped gradients, Adam.
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
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

from multigan.core.protocols import Batch
from multigan.core.recipe import Recipe
from multigan.core.rng import keyed_rng
from multigan.engine.trainer import AdversarialTrainer
from multigan.text.models.cnn_discriminator import TextCNN
from multigan.text.models.generator import TextGenerator, TextLatent
from multigan.text.models.gumbel_softmax import RELAXATIONS, gumbel_noise
from multigan.text.models.token_sampling import sample_tokens
from multigan.text.tokenization.tokenizer import one_hot
from tests.benchmarks.timing import STEPS_PER_BLOCK, WARM_UP_STEPS, compare, line, timed
from tests.text.special_ids import BOS, EOS, PAD

BATCH_SIZE, LENGTH, VOCABULARY = 64, 20, 2000
BACKBONES = ("relational", "lstm", "transformer")
LIKELIHOOD_CASES = ((VOCABULARY, 0), (14_000, 2000))  # tokens, those with wide embeddings
TARGET_SECONDS = 0.5  # wall, on two quiet cores
CASES: dict[str, dict[str, Any]] = {
    "1 G + 5 D, no penalties": {"discriminator_steps": 5},
    "1 G + 1 D, R1 + R2": {"penalties": {"r1": 0.1, "r2": 0.1}},
}


class Noise:
    """Random lines that all end after 15 tokens; compact ones are tokens, else one-hot rows."""

    domain, fingerprint, in_memory, is_stochastic = None, "noise", True, False

    def __init__(self, vocabulary: int = VOCABULARY, is_compact: bool = False) -> None:
        self.vocabulary, self.is_compact = vocabulary, is_compact
        self.tokens = torch.randint(4, vocabulary, (1024, LENGTH), generator=keyed_rng("noise"))
        self.tokens[:, 15], self.tokens[:, 16:] = EOS, PAD

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        tokens = self.tokens[indices]
        return Batch(
            tokens if self.is_compact else one_hot(tokens, self.vocabulary, torch.zeros(()))
        )

    def split(self, name: str) -> Noise:
        return self

    def compact(self) -> Noise:
        return Noise(self.vocabulary, is_compact=True)


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


def likelihood_steps(vocabulary: int, head_size: int) -> Iterator[Any]:
    """Steps of the engine's likelihood stage; an adaptive embedding has a `head_size`."""
    torch.manual_seed(0)
    recipe = Recipe(
        data=Noise(vocabulary),  # type: ignore[arg-type]
        generator=TextGenerator(
            vocabulary, LENGTH, embedding=128, width=256, tie_embeddings=True, head_size=head_size
        ),
        discriminator=TextCNN(vocabulary),
        steps=1,
        batch_size=BATCH_SIZE,
        likelihood_steps=10**6,
        likelihood_patience=None,
        max_grad_norm=5.0,
    )
    return AdversarialTrainer(recipe).steps()


def plain_likelihood_loop(vocabulary: int) -> Iterator[None]:
    """The loop that a user would write for a language model of the same size."""
    torch.manual_seed(0)
    embedding, lstm = nn.Embedding(vocabulary, 128), nn.LSTM(128, 256, batch_first=True)
    to_embedding, to_logits = nn.Linear(256, 128), nn.Linear(128, vocabulary)
    to_logits.weight = embedding.weight
    model = nn.ModuleList([embedding, lstm, to_embedding, to_logits])
    optimizer = torch.optim.Adam(model.parameters())
    tokens = Noise(vocabulary).tokens
    while True:
        batch = tokens[torch.randint(len(tokens), (BATCH_SIZE,))]
        h = to_embedding(lstm(embedding(pad(batch[:, :-1], (1, 0), value=BOS)))[0])
        logits = to_logits(h).flatten(0, 1)
        loss = cross_entropy(logits, batch.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        yield


def likelihood_over_loop(vocabulary: int, head_size: int, blocks: int) -> dict[str, Any]:
    """The engine's likelihood step over the plain loop."""
    engine = likelihood_steps(vocabulary, head_size)
    ratio = compare(engine, plain_likelihood_loop(vocabulary), blocks)
    kind = "adaptive embedding" if head_size else "plain embedding"
    print(f"likelihood, {vocabulary:,} tokens, {kind}: engine / loop {line(ratio)}  (target <= 1)")
    return ratio._asdict()


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
    likelihood = {
        str(vocabulary): likelihood_over_loop(vocabulary, head_size, chosen.blocks)
        for vocabulary, head_size in LIKELIHOOD_CASES
    }
    setting = {"torch": torch.__version__, "threads": chosen.threads, "blocks": chosen.blocks}
    results = {"seconds": seconds, "loop_over_passes": ratios, "likelihood": likelihood}
    print(json.dumps({"text_step": results} | setting))


if __name__ == "__main__":
    main()
