"""A dataset of text lines, kept in memory as token ids."""

from __future__ import annotations

import copy
import math
import warnings
from itertools import chain, compress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from multigan.core.data_counts import CHANGED, LEFT_OUT, MAX_EXAMPLES, USED, DataCounts
from multigan.core.fingerprint import fingerprint
from multigan.core.protocols import Batch
from multigan.core.serialization import component
from multigan.text.condition import TextCondition
from multigan.text.datasets.sources import SOURCES, SPLITS, Corpus, ReadOptions, read_corpus
from multigan.text.domain import TextDomain
from multigan.text.spec import TextSpec
from multigan.text.tokenization.hf_tokenizer import import_hf_tokenizer
from multigan.text.tokenization.tokenizer import (
    BLOCK_LINES,
    TOKENIZERS,
    one_hot,
    train_tokenizer,
)
from multigan.text.tokenization.words import MAX_UNSPACED_FRACTION, SPLITTERS, unspaced_fraction

WARN_TRUNCATED_FRACTION = 0.1  # of too long training lines, above which there is a warning
EXAMPLE_CHARACTERS = 40  # of a line that is left out
PURPOSES = {"train": "train", "valid": "validate", "test": "test"}
WARN_UNKNOWN_FRACTION = 0.02  # of training lines with a word outside the vocabulary


class EncodedLines(NamedTuple):
    """The lines of one split that fit into the length."""

    texts: tuple[str, ...]
    tokens: Tensor  # (N, T) int32: the line, its end, padding
    labels: Tensor  # (N,) int64
    num_truncated: int  # lines that are too long
    truncated: tuple[str, ...]  # the beginnings of some of them
    fingerprint: str


@component
class TextLineDataset:
    """Lines of at most `length` - 1 tokens and their end; longer ones are left out.

    `source` is a key of `sources.SOURCES`, a text file, a table or a folder of them, as for
    `sources.read_corpus`; `text_column`, `label_column` and `unit` are its options. `tokenizer` is
    a key of `tokenizer.TOKENIZERS`, trained on the training lines for at most `vocabulary_size`
    tokens, or a local folder with a Hugging Face tokenizer of any size. `class_field` names the
    classes of the lines ("party", "era").
    `Batch.x` is one-hot (B, T, V) float. The condition is a TextCondition with an empty prompt, or
    None without classes.
    """

    in_memory = True
    _is_compact = False
    is_stochastic = False
    _tokens: Tensor
    _labels: Tensor

    def __init__(
        self,
        source: str = "speeches",
        length: int = 24,
        tokenizer: str = "bpe",
        vocabulary_size: int = 2000,
        lowercase: bool = False,
        class_field: str = "",
        split: str = "train",
        text_column: str = "",
        label_column: str = "",
        unit: str = "line",
    ) -> None:
        """Raises ValueError in one line for an unknown source, split, tokenizer or class field, or
        if no line of a split fits.
        """
        _check_subset(split)
        if length < 2:
            raise ValueError(
                f"length must be 2 or more, a token and the end of the line; got {length}"
            )
        options = ReadOptions(text_column, label_column, unit)
        self._source, self._corpus = source, read_corpus(source, class_field, options)
        train = self._corpus.lines["train"]
        text = _load_or_train(tokenizer, train, vocabulary_size, lowercase)
        self.domain = TextDomain(text, length, self._corpus.class_names)
        self._encoded: dict[str, EncodedLines] = {}  # shared by the splits
        if tokenizer in SPLITTERS and unspaced_fraction(train) > MAX_UNSPACED_FRACTION:
            warnings.warn(
                f"{source}: its script has no spaces between words, so a token of the tokenizer "
                f"{tokenizer} is a whole clause, of which most are unknown; use bpe or char",
                stacklevel=2,
            )
        self._select(split)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labels(self) -> Tensor:
        """The class of each line (N,) int64, on the CPU; 0 without classes."""
        return self._encoded[self.split_name].labels

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The lines at `indices` (B,), on their device; deterministic, so `rng` is unused."""
        if self._tokens.device != indices.device:
            self._tokens = self._tokens.to(indices.device)
            self._labels = self._labels.to(indices.device)
        tokens = self._tokens[indices].long()
        x = tokens
        if not self._is_compact:
            like = torch.zeros((), device=tokens.device)
            x = one_hot(tokens, self.domain.vocabulary_size, like)  # (B, T, V)
        if not self.domain.class_names:
            return Batch(x)
        prompt = torch.full_like(tokens, self.domain.special_ids.pad)
        return Batch(x, TextCondition(prompt, self._labels[indices]))

    def split(self, name: str) -> TextLineDataset:
        """The split called "train", "valid" or "test", of the same corpus and tokenizer.

        Raises ValueError for another name.
        """
        _check_subset(name)
        dataset = copy.copy(self)
        arguments = vars(self)["_component_arguments"]
        vars(dataset)["_component_arguments"] = arguments | {"split": name}
        dataset._select(name)
        return dataset

    def with_domain(self, domain: TextDomain) -> TextLineDataset:
        """The same lines, split into tokens by another tokenizer, and of another length.

        Raises ValueError unless the classes are the same, and if no line of a split fits.
        """
        if domain.class_names != self.domain.class_names:
            names = [", ".join(d.class_names) or "none" for d in (domain, self.domain)]
            raise ValueError(
                f"{self._source} must have the classes of the generator, {names[0]}; got {names[1]}"
            )
        dataset = copy.copy(self)
        dataset.domain, dataset._encoded = domain, {}
        dataset._select(self.split_name)
        return dataset

    def compact(self) -> TextLineDataset:
        """The same lines, whose batches hold tokens (B, T) int64 in place of one-hot rows."""
        dataset = copy.copy(self)
        dataset._is_compact = True
        return dataset

    def data_counts(self) -> DataCounts:
        """Return the counts of all splits: lines that are used, too long, or left out before."""
        counts = DataCounts("lines")
        for row in () if self._corpus.counts is None else self._corpus.counts.rows:
            counts.add(row.use, row.reason, row.examples, row.count)
        limit = f"more than {self.domain.length - 1} tokens"
        for name in SPLITS:
            lines = self._lines(name)
            if lines.texts:
                counts.add(USED, f"to {PURPOSES[name]}", count=len(lines.texts))
            if lines.num_truncated:
                counts.add(LEFT_OUT, limit, lines.truncated, lines.num_truncated)
        unknown = int((self._lines("train").tokens == self.domain.special_ids.unk).any(1).sum())
        if unknown:
            counts.add(CHANGED, "with a word that the vocabulary lacks", count=unknown)
        return counts

    def _lines(self, split: str) -> EncodedLines:
        if split not in self._encoded:
            self._encoded[split] = _encode(self._source, self._corpus, self.domain, split)
        return self._encoded[split]

    def _select(self, split: str) -> None:
        """Select the split."""
        lines = self._lines(split)
        self.split_name, self.texts, self.num_truncated = split, lines.texts, lines.num_truncated
        self.fingerprint = lines.fingerprint
        self._tokens, self._labels = lines.tokens, lines.labels


def _check_subset(name: str) -> None:
    if name not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {name!r}")


def _load_or_train(tokenizer: str, lines: list[str], vocabulary_size: int, lowercase: bool) -> str:
    """The tokenizer.json of a kind trained on the lines, or of a folder."""
    if tokenizer in TOKENIZERS:
        return train_tokenizer(lines, tokenizer, vocabulary_size, lowercase)
    if not Path(tokenizer).is_dir():
        raise ValueError(
            f"tokenizer must be {', '.join(TOKENIZERS)}, or a folder with a tokenizer.json; "
            f"got {tokenizer!r}"
        )
    return import_hf_tokenizer(Path(tokenizer))


def _encode(source: str, corpus: Corpus, spec: TextSpec, split: str) -> EncodedLines:
    """Encode the lines of a split. Raises ValueError if none fits, and warns if many do not."""
    texts, length = corpus.lines[split], spec.length
    is_fitting: list[bool] = []
    tables: list[Tensor] = []
    shortest = math.inf
    for start in range(0, len(texts), BLOCK_LINES):  # the ids of all lines take much memory
        ids = spec.tokenizer_model.encode(texts[start : start + BLOCK_LINES])
        sizes = np.array([len(line) for line in ids])
        shortest = min(shortest, sizes.min())
        fits = (sizes > 0) & (sizes < length)
        is_fitting += fits.tolist()
        tables.append(_table([ids[k] for k in fits.nonzero()[0]], spec))
    if not any(is_fitting):
        raise ValueError(
            f"{source}: length must be above {0 if not texts else shortest}, the tokens of the "
            f"shortest of {len(texts)} {split} lines; got {length}"
        )
    tokens = torch.cat(tables)
    if split == "train":
        _warn(source, spec, len(texts), tokens)
    labels = torch.tensor(list(compress(corpus.labels[split], is_fitting)))
    contents = (tokens.numpy().tobytes(), labels.numpy().tobytes())
    stated = fingerprint((spec.tokenizer, tuple(tokens.shape), *contents))
    truncated = [text for text, fits in zip(texts, is_fitting, strict=True) if not fits]
    examples = tuple(f"{text[:EXAMPLE_CHARACTERS]}..." for text in truncated[:MAX_EXAMPLES])
    return EncodedLines(
        tuple(compress(texts, is_fitting)), tokens, labels, len(truncated), examples, stated
    )


def _table(ids: list[list[int]], spec: TextSpec) -> Tensor:
    """Return lines of tokens as rows (N, length) int32: each line, its end, padding."""
    sizes = np.array([len(line) for line in ids], dtype=np.int64)[:, None]
    table = np.full((len(ids), spec.length), spec.special_ids.pad, dtype=np.int32)
    places = np.arange(spec.length)[None]
    table[places < sizes] = np.fromiter(chain.from_iterable(ids), np.int32)
    table[places == sizes] = spec.special_ids.eos
    return torch.from_numpy(table)


def _warn(source: str, spec: TextSpec, num_lines: int, tokens: Tensor) -> None:
    """Warn of many too long lines, except in a named source, and of many unknown words."""
    truncated = 1 - len(tokens) / num_lines
    if source not in SOURCES and truncated > WARN_TRUNCATED_FRACTION:
        warnings.warn(
            f"{source}: {truncated:.0%} of the lines have more than {spec.length - 1} tokens and "
            "are left out; a larger length keeps more",
            stacklevel=2,
        )
    unknown = int((tokens == spec.special_ids.unk).any(1).sum()) / len(tokens)
    if unknown > WARN_UNKNOWN_FRACTION:
        warnings.warn(
            f"{source}: {unknown:.0%} of the lines hold a word outside the vocabulary, which the "
            "generator never writes, so the discriminator can tell real lines by it; bpe has no "
            "such words",
            stacklevel=2,
        )
