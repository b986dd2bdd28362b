"""The text domain: sampling, writing and evaluating lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from multigan.core.data_comparison import NearestItems, Statistic
from multigan.core.media import SCORED_TEXT
from multigan.core.option_controls import Range
from multigan.core.protocols import Dataset, Generator, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.core.trees import tree_map
from multigan.storage.files import write_atomically
from multigan.text.metrics import evaluation, line_statistics
from multigan.text.models.refiner import TextRefiner
from multigan.text.sampling import (
    WORD_LISTS,
    LineFilter,
    SamplingOptions,
    ScoredText,
    check_options,
    make_condition,
    prompt_tokens,
    sample_tokens,
    scored_pieces,
)
from multigan.text.spec import SupportsTokenLikelihood, TextSpec
from multigan.text.tokenization.tokenizer import save_folder

MAX_PREVIEW_LINES = 64
REFINER_TOKENS = 1 << 11  # rows of a refiner's table of tokens
MAX_ROUNDS = 1000  # of sampling lines again that a filter refused
MAX_TEMPERATURE, MAX_TOP_K = 2.0, 100  # ends of the sliders of the studio
MAX_EMPTY_ROUNDS = 10  # as long as it has accepted none at all
LINES_FILE, SCORES_FILE = "samples.txt", "samples.jsonl"


@runtime_checkable
class HasLines(Protocol):
    """A dataset that holds its lines as text."""

    texts: Sequence[str]


@component
@dataclass(frozen=True)
class TextDomain(TextSpec):
    """The sampling, files and evaluation of the lines of a `TextSpec`."""

    selection_metric: str = field(default="selection_score", init=False)
    distance_name: ClassVar[str] = (
        "1 - the share of words and pairs of words that two lines have in common"
    )

    def sample(
        self,
        generator: Generator,
        n: int,
        rng: torch.Generator,
        *,
        prompt: str | None = None,
        label: str | None = None,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        length: str | None = None,
        avoid_copies: Path | None = None,
        avoid_words: str | None = None,
        log_probabilities: bool = False,
    ) -> list[str]:
        """Sample `n` lines.

        With `log_probabilities` they are `ScoredText`: under the model at this temperature, without
        top-k and top-p.

        prompt: the beginning of every line, kept as it is
        label: the class of the lines; sampled evenly if not given
        temperature: below 1 more likely lines, above 1 more varied ones, 0 the likeliest token
        top_k: sample from the k likeliest tokens only; 0 is all
        top_p: sample from the likeliest tokens that hold this probability together
        length: number of words and marks of a line, such as 12 or 8-15
        avoid_copies: a text file whose lines are never returned, such as the training lines
        avoid_words: none, slurs (a list of this package), or a text file of words that no line
            holds, one a line
        log_probabilities: also write the log-probabilities of the lines, in samples.jsonl
        """
        filters = (length, avoid_copies, avoid_words)
        options = SamplingOptions(prompt, label, temperature, top_k, top_p, *filters)
        check_options(options)
        tokens, scores = self._accepted_tokens(generator, n, rng, options, log_probabilities)
        prompt_length = len(prompt_tokens(self, prompt))
        texts = [self._complete(prompt, prompt_length, line) for line in tokens.tolist()]
        if scores is None:
            return list(texts)
        rows = zip(texts, tokens, scores, strict=True)
        return [self._scored(*row, prompt_length) for row in rows]

    def build_refiner(self, generator: Any, data: Any) -> TextRefiner:
        """Build a refiner that knows the words of the training lines `data`."""
        sizes = (generator.backbone.output_dim, len(data.texts))
        refiner = TextRefiner(self.tokenizer, *sizes, token_buckets=REFINER_TOKENS)
        refiner.count_words(data.texts)
        return refiner

    def likelihood_units(self, data: Any) -> dict[str, float]:
        """The mean numbers of tokens, ends included, of words and of characters in a line."""
        tokens = int((self.encode(list(data.texts)) != self.special_ids.pad).sum())
        units = {"token": tokens, **evaluation.count_units(data.texts)}
        return {unit: count / len(data.texts) for unit, count in units.items()}

    def option_choices(self) -> dict[str, tuple[str, ...]]:
        """The classes, and the lists of words that need no file."""
        return {"label": self.class_names, "avoid_words": WORD_LISTS}

    def check_weights_of(self, other: TextDomain) -> None:
        """Raise ValueError if `other` has another vocabulary: its rows are those of other words."""
        tokenizers = (self.tokenizer_model, other.tokenizer_model)
        own, others = ([t.token(k) for k in range(t.size)] for t in tokenizers)
        if own != others:
            raise ValueError(
                "its vocabulary must be that of this run, since the weights belong to its words; "
                "write it with `multigan text export-tokenizer`, and pass the folder to --tokenizer"
            )

    def scoring_options(self, generator: Generator) -> dict[str, Any]:
        """Ask for the log-probabilities of tokens, if the generator can tell."""
        return {"log_probabilities": True} if isinstance(generator, SupportsTokenLikelihood) else {}

    def option_controls(self) -> dict[str, Range]:
        """Sliders of the numbers that choose tokens."""
        return {
            "temperature": Range(0, MAX_TEMPERATURE, 0.05, 1),
            "top_k": Range(0, MAX_TOP_K, 1, 0, "all"),
            "top_p": Range(0.05, 1, 0.05, 1),
        }

    def save_assets(self, folder: Path) -> None:
        """Write the tokenizer as a Hugging Face folder, `tokenizer`."""
        save_folder(self.tokenizer, folder / "tokenizer", self.length)

    def preview(self, samples: list[str], path: Path, columns: int | None = None) -> list[Path]:
        """Write the first lines into `path` + ".txt"; a blank line after every `columns` of them.

        With `columns` all lines are written.
        """
        shown = samples[:MAX_PREVIEW_LINES] if columns is None else samples
        step = columns or max(1, len(shown))
        blocks = [
            "".join(f"{line}\n" for line in shown[k : k + step]) for k in range(0, len(shown), step)
        ]
        file = path.with_name(path.name + ".txt")
        write_atomically(file, "\n".join(blocks).encode())
        return [file]

    def media(self, samples: list[str]) -> list[Medium]:
        """Each line as plain text in UTF-8, or with the log-probabilities of its pieces."""
        return [self._medium(line) for line in samples]

    def write(self, samples: list[str], folder: Path) -> list[Path]:
        """Write `samples.txt`, one line each; for scored lines also `samples.jsonl`."""
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{line}\n" for line in samples)
        write_atomically(folder / LINES_FILE, text.encode())
        scored = [line for line in samples if isinstance(line, ScoredText)]
        if not scored:
            return [folder / LINES_FILE]
        text = "".join(_score_line(line) for line in scored)
        write_atomically(folder / SCORES_FILE, text.encode())
        return [folder / LINES_FILE, folder / SCORES_FILE]

    def read_samples(self, folder: Path) -> list[str]:
        """The lines that `write` wrote, in order."""
        return (folder / LINES_FILE).read_bytes().decode().split("\n")[:-1]

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Compute the metrics of real lines, n-gram models and the generator; see `evaluation`."""
        return evaluation.evaluate(self, sampler.generator, data, rng, cache)

    def nearest_items(
        self, samples: Sequence[str], data: Dataset, rng: torch.Generator
    ) -> NearestItems:
        """Find the training line that shares most words and pairs of words with each line."""
        known = data.texts if isinstance(data, HasLines) else ()
        if not known:
            return NearestItems([], [], 0)
        return line_statistics.nearest_lines(samples, known, rng)

    def sample_statistics(self, samples: Sequence[str], held_out: Dataset) -> list[Statistic]:
        """Count phrases that many lines share, and lengths."""
        others = held_out.texts if isinstance(held_out, HasLines) else ()
        if not others:
            return []
        others = evaluation.evenly_spaced(others, len(samples))
        return [
            line_statistics.repeated_phrases(samples, others),
            line_statistics.lengths(samples, others),
        ]

    def _accepted_tokens(
        self,
        generator: Generator,
        n: int,
        rng: torch.Generator,
        options: SamplingOptions,
        with_scores: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens (n, T), and their log-probabilities, of lines that the filter accepts.

        Other lines are sampled again, so the accepted ones follow their distribution. Raises
        ValueError where MAX_ROUNDS do not suffice, or none of the first ones is accepted.
        """
        accepts = LineFilter(options).accepts
        latent = generator.sample_latent(n, rng)
        condition = make_condition(self, options, n, rng)
        rows, prompt_length = torch.arange(n), len(prompt_tokens(self, options.prompt))
        tokens = torch.zeros(n, self.length, dtype=torch.int64)
        scores: Tensor | None = None
        for number in range(1, MAX_ROUNDS + 1):
            own, given = (
                tree_map(lambda leaf, rows=rows: leaf[rows], tree) for tree in (latent, condition)
            )
            found, nats = sample_tokens(generator, own, given, options.controls, with_scores, self)
            tokens[rows] = found
            if nats is not None:
                scores = nats.new_zeros(n, self.length) if scores is None else scores
                scores[rows] = nats
            texts = [self._complete(options.prompt, prompt_length, t) for t in found.tolist()]
            rows = rows[[k for k, text in enumerate(texts) if not accepts(text)]]
            if not len(rows):
                return tokens, scores
            if len(rows) == n and number == MAX_EMPTY_ROUNDS:
                break
            latent = generator.sample_latent(n, rng)
        raise ValueError(
            "length, avoid_copies and avoid_words must allow lines of this generator; "
            f"{len(rows)} of {n} were refused {number} times: ask for a wider range, or a higher "
            "temperature"
        )

    def _complete(self, prompt: str | None, prompt_length: int, tokens: list[int]) -> str:
        """The prompt as it was typed, followed by the text of the sampled tokens."""
        whole = self.tokenizer_model.decode(tokens)
        if prompt is None or not prompt_length:
            return (prompt or "") + whole
        beginning = self.tokenizer_model.decode(tokens[:prompt_length])
        added = (
            whole.removeprefix(beginning)
            if whole.startswith(beginning)
            else self.tokenizer_model.decode(tokens[prompt_length:])
        )
        return prompt + (added.lstrip() if prompt[-1].isspace() else added)

    def _medium(self, line: str) -> Medium:
        found = scored_pieces(line, self) if isinstance(line, ScoredText) else None
        if found is None:
            return Medium("text/plain", line.encode(errors="replace"))
        content = {"given": found[0], "pieces": found[1]}
        return Medium(SCORED_TEXT, json.dumps(content).encode())

    def _scored(self, text: str, tokens: Tensor, scores: Tensor, prompt_length: int) -> ScoredText:
        pad = self.special_ids.pad
        sampled = [k for k in range(prompt_length, self.length) if int(tokens[k]) != pad]
        names = [self.tokenizer_model.token(int(tokens[k])) for k in sampled]
        ids = tokens.tolist()[: len(sampled) + prompt_length]
        return ScoredText(text, names, [float(scores[k]) for k in sampled], ids)


def _score_line(line: ScoredText) -> str:
    scores = {
        "text": str(line),
        "log_probability": line.log_probability,
        "tokens": list(line.tokens),
        "log_probabilities": list(line.log_probabilities),
    }
    return json.dumps(scores, ensure_ascii=False) + "\n"
