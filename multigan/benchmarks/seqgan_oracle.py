"""The SeqGAN oracle: a random LSTM language model whose likelihood is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from multigan.core.modules import device_of, eval_mode, sample_batch
from multigan.core.protocols import SAMPLING_BATCH_SIZE, Batch, Generator, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component, with_arguments
from multigan.core.trees import tree_map
from multigan.text.models.token_sampling import sample_tokens
from multigan.text.tokenization.tokenizer import one_hot

VOCABULARY_SIZE, WIDTH = 5000, 32
GATES = ("i", "f", "og", "c")  # input, forget, output, candidate: the names of the published files
BATCH_SIZE = 500  # lines


class Oracle(nn.Module):
    """An LSTM with the official weights of a folder (`source`), else with seeded N(0, 1) ones.

    Results differ between oracles by some .3 nats: compare with its own entropy only.
    Raises ValueError for a folder without the weights.
    """

    embedding: Tensor  # (V, 32)
    wo: Tensor  # (32, V)
    bo: Tensor  # (V,)

    def __init__(self, source: str | None = None, seed: int = 0) -> None:
        super().__init__()
        weights = seeded_weights(seed) if source is None else read_oracle_weights(Path(source))
        for name, value in weights.items():
            self.register_buffer(name, value)

    def step(self, tokens: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens (B,), h and c (B, 32) -> the next h and c.

        Weights multiply from the right: x W. Source: the published code of SeqGAN.
        """
        h, c = state
        x = self.embedding[tokens]
        i, f, o, candidate = (
            x @ self.get_buffer(f"w{g}") + h @ self.get_buffer(f"u{g}") + self.get_buffer(f"b{g}")
            for g in GATES
        )
        c = f.sigmoid() * c + i.sigmoid() * candidate.tanh()
        return o.sigmoid() * c.tanh(), c

    def initial_state(self, n: int) -> tuple[Tensor, Tensor]:
        """h and c (n, 32) before the first token."""
        zeros = self.bo.new_zeros(n, WIDTH)
        return zeros, zeros

    @torch.no_grad()
    def sample(self, n: int, length: int, rng: torch.Generator) -> Tensor:
        """Sample `n` lines (n, length) int64 on the CPU."""
        return torch.cat(
            [self._sample(len(c), length, rng) for c in torch.arange(n).split(BATCH_SIZE)]
        )

    def _sample(self, n: int, length: int, rng: torch.Generator) -> Tensor:
        token, state = torch.zeros(n, dtype=torch.int64), self.initial_state(n)
        tokens = []
        for _ in range(length):
            state = self.step(token, state)
            logits = linear(state[0], self.wo.T, self.bo)
            token = sample_tokens(logits, torch.rand(n, generator=rng))
            tokens.append(token)
        return torch.stack(tokens, dim=1)

    @torch.no_grad()
    def nll(self, tokens: Tensor) -> float:
        """Mean negative log-likelihood of a token of the lines (N, T), in nats."""
        sums = [float(self.token_nll(b).double().sum()) for b in tokens.split(BATCH_SIZE)]
        return sum(sums) / tokens.numel()

    def token_nll(self, tokens: Tensor) -> Tensor:
        """Negative log-likelihood (N, T) of each token (N, T), in nats."""
        state, token, nll = self.initial_state(len(tokens)), torch.zeros_like(tokens[:, 0]), []
        for target in tokens.unbind(1):
            state = self.step(token, state)
            logits = linear(state[0], self.wo.T, self.bo)
            nll.append(cross_entropy(logits, target, reduction="none"))
            token = target
        return torch.stack(nll, dim=1)


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of the oracle's weights by the names of the published files."""
    square = {f"{side}{gate}": (WIDTH, WIDTH) for gate in GATES for side in "wu"}
    biases = {f"b{gate}": (WIDTH,) for gate in GATES}
    output = {"wo": (WIDTH, VOCABULARY_SIZE), "bo": (VOCABULARY_SIZE,)}
    return {"embedding": (VOCABULARY_SIZE, WIDTH)} | square | biases | output


def seeded_weights(seed: int) -> dict[str, Tensor]:
    """Standard normal weights."""
    return {
        name: torch.randn(shape, generator=keyed_rng(seed, "oracle", name))
        for name, shape in weight_shapes().items()
    }


def read_oracle_weights(folder: Path) -> dict[str, Tensor]:
    """Read the official weights: files NAME.npz, each a plain array in spite of its ending.

    Raises ValueError for a file that is missing, damaged or of another shape.
    """
    weights = {}
    for name, shape in weight_shapes().items():
        file = folder / f"{name}.npz"
        try:
            value = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{folder} must hold the oracle's weights: {file.name}: {error}"
            ) from error
        found = value.shape if isinstance(value, np.ndarray) else value
        if found != shape:
            raise ValueError(f"{file} must be an array of shape {shape}; got {found}")
        weights[name] = torch.from_numpy(value.astype(np.float32))
    return weights


PUBLISHED_SIZE = 10_000  # lines to train on, and as many to test with
SPLIT_FRACTIONS = {"train": 1.0, "valid": 0.2, "test": 1.0}  # of the size


@component
class OracleDataset:
    """Lines of `length` tokens that an oracle samples: each split once, from the seed.

    `size` is that of the training and of the test split; validation has a fifth of it. `source` is
    the folder of the official weights; without one they are sampled from `seed` too.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str | None = None,
        length: int = 20,
        seed: int = 0,
        size: int = PUBLISHED_SIZE,
        split: str = "train",
    ) -> None:
        """Raises ValueError for another split, sizes below 1, or a folder without weights."""
        if split not in SPLIT_FRACTIONS:
            raise ValueError(f"split must be one of {', '.join(SPLIT_FRACTIONS)}; got {split!r}")
        if min(length, size) < 1:
            raise ValueError(f"size and length must be 1 or more; got {size} and {length}")
        self.domain = OracleDomain(source, length, seed)
        self.size, self.split_name = size, split
        self.tokens = _sample_split(self.domain, size, split)  # (N, T)
        self.fingerprint = f"{split} {int(self.tokens.sum())} {self.tokens[:3].tolist()}"

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The lines at `indices` (B,), one-hot (B, T, V)."""
        self.tokens = self.tokens.to(indices.device)
        rows = self.tokens[indices]
        return Batch(one_hot(rows, VOCABULARY_SIZE, torch.empty(0, device=rows.device)))

    def split(self, name: str) -> OracleDataset:
        """The split called "train", "valid" or "test"."""
        return with_arguments(self, split=name)


@component
@dataclass(frozen=True)
class OracleDomain:
    """Lines of numbers, evaluated by the likelihoods of the oracle and of the generator.

    `selection_score` is the sum of both. The first alone is lowest for a generator of one likely
    line, the second does not depend on the samples.
    """

    source: str | None = None
    length: int = 20
    seed: int = 0
    selection_metric: str = "selection_score"

    def sample(
        self, generator: Generator, n: int, rng: torch.Generator, *, temperature: float = 1.0
    ) -> list[str]:
        """Sample `n` lines.

        temperature: below 1 more likely lines, above 1 more varied ones
        """
        if temperature == 1:
            return self.decode(sample_batch(generator, n, rng))
        return _to_text(generate_tokens(generator, n, rng, temperature))

    def decode(self, x: Tensor) -> list[str]:
        """Decode rows (B, T, V) as lines of numbers."""
        return _to_text(x.argmax(-1))

    def preview(self, samples: list[str], path: Path, columns: int | None = None) -> list[Path]:
        """Write a text file of the lines; `columns` is ignored."""
        file = path.with_name(f"{path.name}.txt")
        file.write_text("".join(f"{line}\n" for line in samples))
        return [file]

    def write(self, samples: list[str], folder: Path) -> list[Path]:
        """Write all lines into one file, samples.txt."""
        return self.preview(samples, folder / "samples")

    def read_samples(self, folder: Path) -> list[str]:
        """The lines that `write` wrote."""
        return (folder / "samples.txt").read_text().splitlines()

    def evaluate(
        self, sampler: Sampler, data: Any, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Compute the NLL of samples under the oracle, and of the data under the generator.

        In nats per token, of as many samples as there are data. Rows: the oracle itself, on new
        lines of its own (the floor), uniform tokens, and the generator.
        """
        generator, n = sampler.generator, len(data)
        batches = [
            generate_tokens(generator, SAMPLING_BATCH_SIZE, rng)
            for _ in range(-(-n // SAMPLING_BATCH_SIZE))
        ]
        samples = torch.cat(batches)[:n].cpu()
        nll_oracle = _load_oracle(self.source, self.seed).nll(samples)
        row = _row(nll_oracle, heldout_nll(generator, data))
        weights = f"seeded N(0, 1), seed {self.seed}" if self.source is None else "official"
        notes = (
            f"oracle: {weights} weights; {n} lines of {self.length} tokens a side; nats per token",
            "nll_oracle: of samples under the oracle; nll_held_out: of other oracle lines under "
            "the generator",
        )
        rows = _reference_rows(self, data.domain, data.size, data.split_name)
        return ResultsTable(rows | {"generator": row}, notes)


@cache
def _reference_rows(
    evaluator: OracleDomain, data: OracleDomain, size: int, split: str
) -> dict[str, dict[str, float]]:
    """The oracle on new lines of its own, and uniform tokens; held out: the split `split`."""
    oracle = _load_oracle(evaluator.source, evaluator.seed)
    held_out = _sample_split(data, size, split)
    n, length = held_out.shape
    samples = oracle.sample(n, length, keyed_rng(evaluator.seed, "floor", split))
    rng = keyed_rng(evaluator.seed, "uniform", split)
    uniform = torch.randint(VOCABULARY_SIZE, held_out.shape, generator=rng)
    return {
        "oracle (floor)": _row(oracle.nll(samples), oracle.nll(held_out)),
        "uniform": _row(oracle.nll(uniform), math.log(VOCABULARY_SIZE)),
    }


def heldout_nll(generator: Any, data: OracleDataset) -> float:
    """Mean negative log-likelihood of a token of the data under the generator, in nats."""
    device, total = device_of(generator), 0.0
    with eval_mode(generator), torch.no_grad():
        for tokens in data.tokens.split(SAMPLING_BATCH_SIZE):
            total -= float(generator.token_log_likelihood(tokens.to(device)).double().sum())
    return total / data.tokens.numel()


def _row(nll_oracle: float, nll_held_out: float) -> dict[str, float]:
    both = {"nll_oracle": nll_oracle, "nll_held_out": nll_held_out}
    return both | {"selection_score": nll_oracle + nll_held_out}


def generate_tokens(
    generator: Any, n: int, rng: torch.Generator, temperature: float = 1.0
) -> Tensor:
    """Generate tokens (n, T)."""
    device = device_of(generator)
    latent = tree_map(lambda leaf: leaf.to(device), generator.sample_latent(n, rng))
    with eval_mode(generator):
        return generator.generate(latent, temperature=temperature)


def _to_text(tokens: Tensor) -> list[str]:
    return [" ".join(map(str, line)) for line in tokens.tolist()]


@cache
def _load_oracle(source: str | None, seed: int) -> Oracle:
    return Oracle(source, seed)


@cache
def _sample_split(domain: OracleDomain, size: int, split: str) -> Tensor:
    rng = keyed_rng(domain.seed, "oracle lines", split, domain.length)
    n = max(1, round(SPLIT_FRACTIONS[split] * size))
    return _load_oracle(domain.source, domain.seed).sample(n, domain.length, rng)
