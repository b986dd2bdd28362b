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
from multigan.core.protocols import SAMPLING_BATCH_SIZE, Batch, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.core.serialization import component
from multigan.core.trees import tree_map
from multigan.text.models.token_sampling import sample_tokens
from multigan.text.tokenization.tokenizer import one_hot

VOCABULARY, SIZE = 5000, 32
GATES = ("i", "f", "og", "c")  # input, forget, output, candidate: as the published files call them
CHUNK = 500  # lines at a time


class Oracle(nn.Module):
    """The oracle with the official weights of a folder (`source`), else seeded N(0, 1) ones.

    Another oracle moves every result by some .3 nats: compare with its own entropy only.
    Raises ValueError for a folder that does not hold the weights.
    """

    embedding: Tensor  # (V, 32)
    wo: Tensor  # (32, V)
    bo: Tensor  # (V,)

    def __init__(self, source: str | None = None, seed: int = 0) -> None:
        super().__init__()
        weights = seeded_weights(seed) if source is None else read_weights(Path(source))
        for name, value in weights.items():
            self.register_buffer(name, value)

    def step(self, tokens: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens (B,), h and c (B, 32) -> the next h and c.

        Weights act from the right: x W. Source: the published code of SeqGAN.
        """
        h, c = state
        x = self.embedding[tokens]
        i, f, o, candidate = (
            x @ getattr(self, f"w{g}") + h @ getattr(self, f"u{g}") + getattr(self, f"b{g}")
            for g in GATES
        )
        c = f.sigmoid() * c + i.sigmoid() * candidate.tanh()
        return o.sigmoid() * c.tanh(), c

    def start(self, n: int) -> tuple[Tensor, Tensor]:
        """The state (n, 32) twice before the first token."""
        zeros = self.bo.new_zeros(n, SIZE)
        return zeros, zeros

    @torch.no_grad()
    def sample(self, n: int, length: int, rng: torch.Generator) -> Tensor:
        """Draw `n` lines (n, length) int64 on the CPU."""
        return torch.cat([self._sample(len(c), length, rng) for c in torch.arange(n).split(CHUNK)])

    def _sample(self, n: int, length: int, rng: torch.Generator) -> Tensor:
        token, state = torch.zeros(n, dtype=torch.int64), self.start(n)
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
        total = sum(float(self.token_nll(part).double().sum()) for part in tokens.split(CHUNK))
        return total / tokens.numel()

    def token_nll(self, tokens: Tensor) -> Tensor:
        """Negative log-likelihood (N, T) of each token (N, T), in nats."""
        state, token, found = self.start(len(tokens)), torch.zeros_like(tokens[:, 0]), []
        for following in tokens.unbind(1):
            state = self.step(token, state)
            logits = linear(state[0], self.wo.T, self.bo)
            found.append(cross_entropy(logits, following, reduction="none"))
            token = following
        return torch.stack(found, dim=1)


def shapes() -> dict[str, tuple[int, ...]]:
    """The oracle's weights by the names of the published files."""
    square = {f"{side}{gate}": (SIZE, SIZE) for gate in GATES for side in "wu"}
    biases = {f"b{gate}": (SIZE,) for gate in GATES}
    output = {"wo": (SIZE, VOCABULARY), "bo": (VOCABULARY,)}
    return {"embedding": (VOCABULARY, SIZE)} | square | biases | output


def seeded_weights(seed: int) -> dict[str, Tensor]:
    """Standard normal weights."""
    return {
        name: torch.randn(shape, generator=keyed_rng(seed, "oracle", name))
        for name, shape in shapes().items()
    }


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The official weights: files NAME.npz that hold one plain array each, whatever their ending.

    Raises ValueError for a file that is missing, damaged or of another shape.
    """
    weights = {}
    for name, shape in shapes().items():
        file = folder / f"{name}.npz"
        try:
            value = np.load(file, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder} holds no oracle: {file.name}: {error}") from error
        if getattr(value, "shape", None) != shape:
            raise ValueError(f"{file} is no array of shape {shape}")
        weights[name] = torch.from_numpy(value.astype(np.float32))
    return weights


PUBLISHED_SIZE = 10_000  # lines to train on, and as many to test with
SPLITS = {"train": 1.0, "valid": 0.2, "test": 1.0}  # their sizes, relative to the first


@component
class OracleDataset:
    """Lines of `length` tokens that an oracle wrote: each split fresh, drawn once from the seed.

    `size` is that of the training and of the test split; validation has a fifth of it. `source` is
    the folder of the official weights; without one they are drawn from `seed` too.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str | None = None,
        length: int = 20,
        seed: int = 0,
        size: int = PUBLISHED_SIZE,
        name: str = "train",
    ) -> None:
        """Raises ValueError for another split, sizes below 1, or a folder without weights."""
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; known: {', '.join(SPLITS)}")
        if min(length, size) < 1:
            raise ValueError(f"{size} lines of length {length}; wanted 1 or more of both")
        self.domain = OracleDomain(source, length, seed)
        self.size, self.name = size, name
        self.tokens = _lines(self.domain, size, name)  # (N, T)
        self.fingerprint = f"{name} {int(self.tokens.sum())} {self.tokens[:3].tolist()}"

    def __len__(self) -> int:
        return len(self.tokens)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The lines at `indices` (B,), one-hot (B, T, V)."""
        self.tokens = self.tokens.to(indices.device)
        rows = self.tokens[indices]
        return Batch(one_hot(rows, VOCABULARY, torch.empty(0, device=rows.device)))

    def split(self, name: str) -> OracleDataset:
        """The part called "train", "valid" or "test"."""
        domain = self.domain
        return OracleDataset(domain.source, domain.length, domain.seed, self.size, name)


@component
@dataclass(frozen=True)
class OracleDomain:
    """Lines of numbers; quality and coverage by the likelihoods of the oracle and of the model.

    `joint` is the sum of both: the first alone is lowest for a model that knows one good line, the
    second says nothing of what is sampled.
    """

    source: str | None = None
    length: int = 20
    seed: int = 0
    selection_metric: str = "joint"

    def sample(
        self, generator: Any, n: int, rng: torch.Generator, *, temperature: float = 1.0
    ) -> list[str]:
        """Draw `n` lines; below a temperature of 1 likelier ones than the model's own."""
        if temperature == 1:
            return self.decode(sample_batch(generator, n, rng))
        return _as_text(draw_tokens(generator, n, rng, temperature))

    def decode(self, x: Tensor) -> list[str]:
        """One-hot or other rows (B, T, V) -> lines of numbers."""
        return _as_text(x.argmax(-1))

    def preview(self, samples: list[str], path: Path, columns: int | None = None) -> list[Path]:
        """A text file of the lines; `columns` has no meaning here."""
        file = path.with_name(f"{path.name}.txt")
        file.write_text("".join(f"{line}\n" for line in samples))
        return [file]

    def write(self, samples: list[str], folder: Path) -> list[Path]:
        """All lines in one file, samples.txt."""
        return self.preview(samples, folder / "samples")

    def read_samples(self, folder: Path) -> list[str]:
        """The lines that `write` wrote."""
        return (folder / "samples.txt").read_text().splitlines()

    def evaluate(
        self, sampler: Sampler, data: Any, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """NLL under the oracle of as many samples as there are data, and of the data under G.

        In nats a token. Rows: the oracle itself, on fresh lines of its own (the floor), uniform
        tokens, this model.
        """
        n, draws = len(data), -(-len(data) // SAMPLING_BATCH_SIZE)
        chunks = [draw_tokens(sampler.generator, SAMPLING_BATCH_SIZE, rng) for _ in range(draws)]
        samples = torch.cat(chunks)[:n].cpu()
        nll_oracle = _oracle(self.source, self.seed).nll(samples)
        model = _row(nll_oracle, held_out_nll(sampler.generator, data))
        weights = f"seeded N(0, 1), seed {self.seed}" if self.source is None else "official"
        notes = (
            f"oracle: {weights} weights; {n} lines of {self.length} tokens a side; nats a token",
            "nll_oracle: of samples under the oracle; nll_held_out: of fresh oracle lines under G",
        )
        rows = _reference_rows(self, data.domain, data.size, data.name)
        return ResultsTable(rows | {"this model": model}, notes)


@cache
def _reference_rows(
    judge: OracleDomain, author: OracleDomain, size: int, name: str
) -> dict[str, dict[str, float]]:
    """The oracle on fresh lines of its own, and uniform tokens; held out: the split `name`."""
    oracle, held_out = _oracle(judge.source, judge.seed), _lines(author, size, name)
    n, length = held_out.shape
    fresh = oracle.sample(n, length, keyed_rng(judge.seed, "floor", name))
    uniform = torch.randint(
        VOCABULARY, held_out.shape, generator=keyed_rng(judge.seed, "uniform", name)
    )
    return {
        "oracle (floor)": _row(oracle.nll(fresh), oracle.nll(held_out)),
        "uniform": _row(oracle.nll(uniform), math.log(VOCABULARY)),
    }


def held_out_nll(generator: Any, data: OracleDataset) -> float:
    """Mean negative log-likelihood of a token of the data under the generator, in nats."""
    device, total = device_of(generator), 0.0
    with eval_mode(generator), torch.no_grad():
        for tokens in data.tokens.split(SAMPLING_BATCH_SIZE):
            total -= float(generator.token_log_likelihood(tokens.to(device)).double().sum())
    return total / data.tokens.numel()


def _row(nll_oracle: float, nll_held_out: float) -> dict[str, float]:
    both = {"nll_oracle": nll_oracle, "nll_held_out": nll_held_out}
    return both | {"joint": nll_oracle + nll_held_out}


def draw_tokens(generator: Any, n: int, rng: torch.Generator, temperature: float = 1.0) -> Tensor:
    """Tokens (n, T)."""
    device = device_of(generator)
    latent = tree_map(lambda leaf: leaf.to(device), generator.sample_latent(n, rng))
    with eval_mode(generator):
        return generator.generate(latent, temperature=temperature)


def _as_text(tokens: Tensor) -> list[str]:
    return [" ".join(map(str, line)) for line in tokens.tolist()]


@cache
def _oracle(source: str | None, seed: int) -> Oracle:
    return Oracle(source, seed)


@cache
def _lines(domain: OracleDomain, size: int, name: str) -> Tensor:
    rng = keyed_rng(domain.seed, "oracle lines", name, domain.length)
    n = max(1, round(SPLITS[name] * size))
    return _oracle(domain.source, domain.seed).sample(n, domain.length, rng)
