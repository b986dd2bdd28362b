"""Sampling of lines: options, conditions, tokens and log-probabilities."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multigan.core.interpolation import LatentInterpolation
from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import SAMPLING_BATCH_SIZE, Generator, Latent
from multigan.core.refinement import RefinedGenerator
from multigan.core.trees import tree_map
from multigan.text.condition import TextCondition, no_condition
from multigan.text.models.token_sampling import check_controls
from multigan.text.spec import TextSpec
from multigan.text.tokenization.slurs import SLURS
from multigan.text.tokenization.words import collapse_line_breaks, split_words

WORD_LISTS = NO_WORDS, SLURS_LIST = "none", "slurs"  # values of `avoid_words` that are no file
REPLACEMENT = "\ufffd"  # in place of bytes that are not yet a character


class SamplingOptions(NamedTuple):
    """The options of `TextDomain.sample`, as they were typed."""

    prompt: str | None = None
    label: str | None = None
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    length: str | None = None
    avoid_copies: Path | None = None
    avoid_words: str | None = None

    @property
    def controls(self) -> dict[str, Any]:
        """The controls of `generate`; temperature 0 is the likeliest token."""
        if self.temperature == 0:
            return {"temperature": 1.0, "top_k": 1, "top_p": 1.0}
        return {"temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}


class LineFilter:
    """The lines that may be returned: of a number of words, not in a file, without some words.

    Raises ValueError for a range that is none, and for a file that cannot be read.
    """

    def __init__(self, options: SamplingOptions) -> None:
        self.words = None if options.length is None else parse_length(options.length)
        self.avoided: frozenset[str] = frozenset()
        if options.avoid_copies is not None:
            self.avoided = read_avoided("avoid_copies", Path(options.avoid_copies))
        self.avoided_words = AvoidedWords(read_avoided_words(options.avoid_words))

    def accepts(self, text: str) -> bool:
        """Check a line."""
        if text.strip() in self.avoided:
            return False
        if self.avoided_words.occur_in(text):
            return False
        return self.words is None or self.words[0] <= len(split_words(text)) <= self.words[1]


class AvoidedWords:
    """Words, words in a row, and words with marks; compared without letter case.

    Of an entry with several pieces, such as don't or New York, the pieces must follow each other.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._words: set[str] = set()
        self._rows: list[str] = []  # pieces, with a space at both ends
        self._marked: list[str] = []  # one piece with marks, such as c++
        for entry in map(fold, entries):
            pieces = re.findall(r"\w+", entry)
            if len(pieces) > 1:
                self._rows.append(f" {' '.join(pieces)} ")
            elif pieces == [entry]:
                self._words.add(entry)
            elif entry:
                self._marked.append(entry)

    def occur_in(self, text: str) -> bool:
        """Check a line for any of them."""
        folded = fold(text)
        pieces = re.findall(r"\w+", folded)
        joined = f" {' '.join(pieces)} " if self._rows else ""
        return (
            not self._words.isdisjoint(pieces)
            or any(row in joined for row in self._rows)
            or any(entry in folded for entry in self._marked)
        )


def fold(text: str) -> str:
    """The text as avoided words are compared: composed characters, without letter case."""
    return unicodedata.normalize("NFC", text).casefold()


def parse_length(text: str) -> tuple[int, int]:
    """The range of a number of words: "8-15", or "12". Raises ValueError for anything else."""
    found = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text.strip())
    low, high = (0, 0) if found is None else (int(found[1]), int(found[2] or found[1]))
    if not 1 <= low <= high:
        raise ValueError(f"length must be words such as 12 or 8-15, 1 or more; got {text!r}")
    return low, high


def read_avoided_words(choice: str | None) -> frozenset[str]:
    """The words that no line may hold: SLURS, those of a file, or none.

    Raises ValueError for a file that cannot be read.
    """
    if choice in (None, NO_WORDS):
        return frozenset()
    if choice == SLURS_LIST:
        return SLURS
    return read_avoided("avoid_words", Path(choice))


def read_avoided(option: str, file: Path) -> frozenset[str]:
    """The lines of a text file in UTF-8, stripped. Raises ValueError for one that is not read."""
    try:
        lines = file.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ValueError(f"{option} must be a text file in UTF-8; got {file}") from None
    except OSError as error:
        raise ValueError(f"{option} must be a text file; got {file}: {error}") from None
    return frozenset(line.strip() for line in lines)


def check_options(options: SamplingOptions) -> None:
    """Raise ValueError, in one line, for an option out of range."""
    check_controls(options.temperature or 1.0, options.top_k, options.top_p)
    if options.prompt is not None and collapse_line_breaks(options.prompt) != options.prompt:
        raise ValueError("prompt must be a single line; got several")


def make_condition(
    spec: TextSpec, options: SamplingOptions, n: int, rng: torch.Generator
) -> TextCondition | None:
    """The condition of `n` lines; None without a prompt and without classes.

    Without a requested class, each line samples one. Raises ValueError for an unknown class, or a
    prompt that is too long.
    """
    prompt = prompt_tokens(spec, options.prompt)
    label = sample_labels(spec, options.label, n, rng)
    if label is None and not prompt:
        return None
    condition = no_condition(n, spec.length, spec.special_ids.pad)
    condition.prompt[:, : len(prompt)] = torch.tensor(prompt, dtype=torch.int64)
    return condition if label is None else condition._replace(label=label)


def prompt_tokens(spec: TextSpec, prompt: str | None) -> Sequence[int]:
    """The tokens of a prompt; the space after it belongs to the word that follows.

    Raises ValueError if they leave no room for another token and the end.
    """
    if prompt is None or not prompt.strip():
        return []
    (tokens,) = spec.tokenizer_model.encode([prompt.rstrip()])
    if len(tokens) > spec.length - 2:
        raise ValueError(
            f"prompt must have at most {spec.length - 2} tokens, because this generator writes "
            f"lines of at most {spec.length - 1}; got {len(tokens)}"
        )
    return tokens


def sample_labels(spec: TextSpec, label: str | None, n: int, rng: torch.Generator) -> Tensor | None:
    """The classes (n,) of the lines: `label`, or evenly sampled ones; None without classes."""
    if label is None:
        return (
            torch.randint(len(spec.class_names), (n,), generator=rng) if spec.class_names else None
        )
    if not spec.class_names:
        raise ValueError(f"label must be left out for a generator without classes; got {label!r}")
    if label not in spec.class_names:
        raise ValueError(f"label must be one of {', '.join(spec.class_names)}; got {label!r}")
    return torch.full((n,), spec.class_names.index(label))


def sample_tokens(
    generator: Any,
    latent: Latent,
    condition: TextCondition | None,
    controls: Mapping[str, Any],
    with_scores: bool = False,
    spec: TextSpec | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Sample tokens (B, T) int64, on the CPU, and optionally their log-probabilities (B, T).

    `controls` are temperature, top_k and top_p; the log-probabilities depend on the temperature
    only, and are those of the generator where a refiner chooses. With the `spec` of a tokenizer
    with tokens that are parts of characters, no character is broken: `generate` gets the
    tokenizer's `transitions`.
    """
    device = device_of(generator)
    if spec is not None and spec.tokenizer_model.utf8_transitions is not None:
        controls = {**controls, "transitions": spec.tokenizer_model.utf8_transitions}
    latent, condition = (tree_map(lambda leaf: leaf.to(device), t) for t in (latent, condition))
    with eval_mode(generator), torch.no_grad():
        tokens = generator.generate(latent, condition, **controls)
        if not with_scores:
            return tokens.cpu(), None
        temperature = controls.get("temperature", 1.0)
        wrapped = isinstance(generator, RefinedGenerator | LatentInterpolation)
        scorer = generator.generator if wrapped else generator
        scores = scorer.token_log_likelihood(tokens, condition, temperature=temperature)
    return tokens.cpu(), scores.cpu()


class SampledLines(NamedTuple):
    """Lines, and the fraction of them that did not end within the length."""

    texts: list[str]
    unfinished: float


def sample_lines(
    spec: TextSpec,
    generator: Generator,
    n: int,
    rng: torch.Generator,
    labels: Tensor | None = None,
    temperature: float = 1.0,
) -> SampledLines:
    """Sample `n` lines, of the classes `labels` (n,) if there are any."""
    texts: list[str] = []
    unfinished = 0
    for start in range(0, n, SAMPLING_BATCH_SIZE):
        count = min(SAMPLING_BATCH_SIZE, n - start)
        condition = None
        if labels is not None:
            batch_labels = labels[start : start + count]
            condition = no_condition(count, spec.length, spec.special_ids.pad)
            condition = condition._replace(label=batch_labels)
        latent = generator.sample_latent(count, rng)
        tokens, _ = sample_tokens(
            generator, latent, condition, {"temperature": temperature}, spec=spec
        )
        texts += [spec.tokenizer_model.decode(line) for line in tokens.tolist()]
        unfinished += int((tokens != spec.special_ids.eos).all(1).sum())
    return SampledLines(texts, unfinished / n)


class ScoredText(str):
    """A string with its sampled tokens, without those of a prompt, and their log-probabilities.

    `log_probabilities` are in nats, one for each of `tokens`, the end of the line included. `ids`
    are the ids of all tokens of the line, those of the prompt first.
    """

    tokens: tuple[str, ...]
    log_probabilities: tuple[float, ...]
    ids: tuple[int, ...]

    def __new__(
        cls,
        text: str,
        tokens: Sequence[str],
        log_probabilities: Sequence[float],
        ids: Sequence[int] = (),
    ) -> ScoredText:
        """Raise ValueError unless there are as many log-probabilities as tokens."""
        if len(tokens) != len(log_probabilities):
            raise ValueError(
                f"log_probabilities must have one value a token, {len(tokens)}; "
                f"got {len(log_probabilities)}"
            )
        scored = super().__new__(cls, text)
        scored.tokens, scored.log_probabilities = tuple(tokens), tuple(log_probabilities)
        scored.ids = tuple(ids)
        return scored

    @property
    def log_probability(self) -> float:
        """The log-probability of all sampled tokens together, in nats."""
        return math.fsum(self.log_probabilities)


def scored_pieces(line: ScoredText, spec: TextSpec) -> tuple[str, list[tuple[str, float]]] | None:
    """The prompt, and each further piece of text with the log-probability of its tokens.

    Prompt and pieces together are the line. A token that is a part of a character belongs to the
    piece that completes it, and the end of the line to no piece. None where the text is not that of
    the tokens.
    """
    first = len(line.ids) - len(line.tokens)
    if first < 0:
        return None
    decode = spec.tokenizer_model.decode
    done, begun = decode(line.ids[:first]), 0.0
    start = len(done)
    pieces: list[tuple[str, float]] = []
    for k, nats in enumerate(line.log_probabilities, start=first + 1):
        if line.ids[k - 1] == spec.special_ids.eos:
            break
        whole, begun = decode(line.ids[:k]), begun + nats
        if whole.startswith(done) and not whole.endswith(REPLACEMENT):
            pieces.append((whole[len(done) :], begun))
            done, begun = whole, 0.0
    sampled = done[start:]
    is_whole = line.endswith(sampled) and (first > 0 or line == sampled)
    return (str(line)[: len(line) - len(sampled)], pieces) if is_whole else None
