"""What one sample is: a line of text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multigan.core.protocols import Dataset, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.storage.files import write_atomically
from multigan.text.metrics import evaluation
from multigan.text.sampling import (
    SamplingOptions,
    ScoredText,
    check_options,
    make_condition,
    prompt_tokens,
    sample_tokens,
)
from multigan.text.tokenization.tokenizer import EOS, PAD, TextTokenizer, save_folder, tokenizer_of

SHOWN = 64  # lines of a preview
LINES, SCORES = "samples.txt", "samples.jsonl"


@component
@dataclass(frozen=True)
class TextDomain:
    """Lines of at most `length` - 1 tokens and their end, in the vocabulary of a tokenizer.json.

    `classes` are the names of the labels, if there are any. Raises ValueError for a tokenizer that
    is none, or a length below 2.
    """

    tokenizer: str = field(repr=False)
    length: int
    classes: tuple[str, ...] = ()
    selection_metric: str = field(default="joint", init=False)

    def __post_init__(self) -> None:
        tokenizer_of(self.tokenizer)
        if self.length < 2:
            raise ValueError(f"length is {self.length}; wanted 2 or more: a token and the end")

    @property
    def read(self) -> TextTokenizer:
        """The tokenizer, ready to encode and decode."""
        return tokenizer_of(self.tokenizer)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are, specials included."""
        return self.read.size

    def sample(
        self,
        generator: Any,
        n: int,
        rng: torch.Generator,
        *,
        prompt: str | None = None,
        label: str | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        log_probabilities: bool = False,
    ) -> list[str]:
        """Draw `n` lines.

        With `log_probabilities` they are `ScoredText`: under the model at this temperature, before
        top-k and top-p cut it.

        prompt: how every line begins, kept as it is
        label: the class of the lines; drawn evenly if not given
        temperature: below 1 more likely lines, above 1 more varied ones
        top_k: draw from the k likeliest tokens only; 0 is all
        top_p: draw from the likeliest tokens that hold this probability together
        log_probabilities: also say how likely the lines are, in samples.jsonl
        """
        wishes = SamplingOptions(prompt, label, temperature, top_k, top_p)
        check_options(wishes)
        latent = generator.sample_latent(n, rng)
        condition = make_condition(self, wishes, n, rng)
        controls = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        tokens, scores = sample_tokens(generator, latent, condition, controls, log_probabilities)
        given = len(prompt_tokens(self, prompt))
        texts = [self._completed(prompt, given, line) for line in tokens.tolist()]
        if scores is None:
            return list(texts)
        return [self._scored(*each, given) for each in zip(texts, tokens, scores, strict=True)]

    def option_choices(self) -> dict[str, tuple[str, ...]]:
        """The classes."""
        return {"label": self.classes}

    def save_assets(self, folder: Path) -> None:
        """Write the tokenizer as a Hugging Face folder, `tokenizer`."""
        save_folder(self.tokenizer, folder / "tokenizer", self.length)

    def decode(self, x: Tensor) -> list[str]:
        """The lines of (B, T, V): at each position the token with the largest entry."""
        return [self.read.decode(line) for line in x.detach().argmax(-1).tolist()]

    def encode(self, lines: list[str]) -> Tensor:
        """Tokens (N, T) int64: each line, its end, padding; what does not fit is cut off.

        A line that is cut has no end.
        """
        tokens = torch.full((len(lines), self.length), PAD, dtype=torch.int64)
        for row, ids in zip(tokens, self.read.encode(lines), strict=True):
            whole = torch.tensor([*ids, EOS][: self.length])
            row[: len(whole)] = whole
        return tokens

    def preview(self, samples: list[str], path: Path, columns: int | None = None) -> list[Path]:
        """Write the first lines into `path` + ".txt"; a blank line after every `columns` of them.

        With `columns` all lines are written.
        """
        shown = samples[:SHOWN] if columns is None else samples
        step = columns or max(1, len(shown))
        parts = [
            "".join(f"{line}\n" for line in shown[k : k + step]) for k in range(0, len(shown), step)
        ]
        file = path.with_name(path.name + ".txt")
        write_atomically(file, "\n".join(parts).encode())
        return [file]

    def media(self, samples: list[str]) -> list[Medium]:
        """Each line as plain text in UTF-8."""
        return [Medium("text/plain", line.encode(errors="replace")) for line in samples]

    def write(self, samples: list[str], folder: Path) -> list[Path]:
        """Write `samples.txt`, one line each; where they are scored also `samples.jsonl`."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / LINES, "".join(f"{line}\n" for line in samples).encode())
        scored = [line for line in samples if isinstance(line, ScoredText)]
        if not scored:
            return [folder / LINES]
        write_atomically(folder / SCORES, "".join(_score_line(line) for line in scored).encode())
        return [folder / LINES, folder / SCORES]

    def read_samples(self, folder: Path) -> list[str]:
        """The lines that `write` wrote, in order."""
        return (folder / LINES).read_bytes().decode().split("\n")[:-1]

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Measure real lines, count models and this model; see `evaluation`."""
        return evaluation.evaluate(self, sampler.generator, data, rng, cache)

    def _completed(self, prompt: str | None, given: int, tokens: list[int]) -> str:
        """The prompt as it was typed, and what the tokens after the first `given` ones add."""
        whole = self.read.decode(tokens)
        if prompt is None or not given:
            return (prompt or "") + whole
        start = self.read.decode(tokens[:given])
        added = (
            whole.removeprefix(start)
            if whole.startswith(start)
            else self.read.decode(tokens[given:])
        )
        return prompt + (added.lstrip() if prompt[-1].isspace() else added)

    def _scored(self, text: str, tokens: Tensor, scores: Tensor, given: int) -> ScoredText:
        sampled = [k for k in range(given, self.length) if int(tokens[k]) != PAD]
        names = [self.read.token(int(tokens[k])) for k in sampled]
        return ScoredText(text, names, [float(scores[k]) for k in sampled])


def _score_line(line: ScoredText) -> str:
    scores = {
        "text": str(line),
        "log_probability": line.log_probability,
        "tokens": list(line.tokens),
        "log_probabilities": list(line.log_probabilities),
    }
    return json.dumps(scores, ensure_ascii=False) + "\n"
