"""Lines of text as tokens, kept in memory as ids."""

from __future__ import annotations

import hashlib
import warnings
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from multigan.core.protocols import Batch
from multigan.core.serialization import component
from multigan.text.condition import TextCondition
from multigan.text.datasets.sources import SOURCES, SPLITS, read_corpus
from multigan.text.domain import TextDomain
from multigan.text.tokenization.hf_tokenizer import import_hf_tokenizer
from multigan.text.tokenization.tokenizer import (
    EOS,
    PAD,
    TOKENIZERS,
    UNK,
    one_hot,
    tokenizer_of,
    train_tokenizer,
)

WARN_TRUNCATED_FRACTION = (
    0.1  # share of the training lines from which on too long ones are warned of
)
MANY_UNKNOWN = 0.02  # the same of lines with a word outside the vocabulary


class EncodedLines(NamedTuple):
    """The lines of one split that fit."""

    texts: tuple[str, ...]
    tokens: Tensor  # (N, T) int32: the line, EOS, PAD to the end
    labels: Tensor  # (N,) int64
    left_out: int  # lines that are too long


@component
class TextLineDataset:
    """Lines of at most `length` - 1 tokens and their end; longer ones are left out.

    `source` is a key of `sources.SOURCES`, a file with one sentence on each line, or a folder with
    train.txt and test.txt. `tokenizer` is a key of `tokenizer.KINDS`, trained on the training lines
    for at most `vocabulary` tokens, or a local folder with a Hugging Face tokenizer, whose
    vocabulary is taken whole. `labels` says what the classes of the lines are ("party", "era").
    `Batch.x` is one-hot (B, T, V) float; the condition a TextCondition with an empty prompt, or
    None without classes.
    """

    in_memory = True
    is_stochastic = False

    def __init__(
        self,
        source: str = "speeches",
        length: int = 24,
        tokenizer: str = "bpe",
        vocabulary: int = 2000,
        lowercase: bool = False,
        labels: str = "",
        subset: str = "train",
    ) -> None:
        """Raises ValueError in one line for an unknown source, split, tokenizer or label, or if no
        line of a split fits.
        """
        if subset not in SPLITS:
            raise ValueError(f"no split called {subset!r}; known: {', '.join(SPLITS)}")
        if length < 2:
            raise ValueError(f"length is {length}; wanted 2 or more: a token and the end")
        self._arguments = (source, length, tokenizer, vocabulary, lowercase, labels)
        corpus = read_corpus(source, labels)
        read = _tokenizer(*self._arguments[2:5], source, labels)
        self.domain = TextDomain(read, length, corpus.classes)
        self.subset = subset
        self._lines = _encoded(source, labels, read, length, subset)
        self.texts, self.left_out = self._lines.texts, self._lines.left_out
        self.fingerprint = _fingerprint(self._lines, read)
        self._tokens, self._labels = self._lines.tokens, self._lines.labels

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def labels(self) -> Tensor:
        """The class of each line (N,) int64, on the CPU; 0 without classes."""
        return self._lines.labels

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        """The lines at `indices` (B,), on their device; nothing is drawn, so `rng` is unused."""
        if self._tokens.device != indices.device:
            self._tokens = self._tokens.to(indices.device)
            self._labels = self._labels.to(indices.device)
        tokens = self._tokens[indices].long()
        x = one_hot(
            tokens, self.domain.vocabulary, torch.zeros((), device=tokens.device)
        )  # (B, T, V)
        if not self.domain.classes:
            return Batch(x)
        return Batch(x, TextCondition(torch.full_like(tokens, PAD), self._labels[indices]))

    def split(self, name: str) -> TextLineDataset:
        """The split called "train", "valid" or "test", whichever split this one is.

        Raises ValueError for another name.
        """
        return TextLineDataset(*self._arguments, subset=name)


@lru_cache(maxsize=4)
def _tokenizer(tokenizer: str, vocabulary: int, lowercase: bool, source: str, labels: str) -> str:
    """The tokenizer.json for a source."""
    if tokenizer in TOKENIZERS:
        lines = read_corpus(source, labels).lines["train"]
        return train_tokenizer(lines, tokenizer, vocabulary, lowercase)
    if not Path(tokenizer).is_dir():
        raise ValueError(
            f"no tokenizer called {tokenizer!r}; known: {', '.join(TOKENIZERS)}, or a folder with "
            "a tokenizer.json"
        )
    return import_hf_tokenizer(Path(tokenizer))


@lru_cache(maxsize=6)
def _encoded(source: str, labels: str, tokenizer: str, length: int, subset: str) -> EncodedLines:
    """The lines of a split as ids. Raises ValueError if none fits, and warns if many do not."""
    corpus = read_corpus(source, labels)
    texts = corpus.lines[subset]
    ids = tokenizer_of(tokenizer).encode(texts)
    fitting = [k for k, line in enumerate(ids) if 0 < len(line) < length]
    left_out = len(texts) - len(fitting)
    if not fitting:
        shortest = min((len(line) for line in ids), default=0)
        raise ValueError(
            f"{source}: none of {len(texts)} lines to {subset} on has 1 to {length - 1} tokens; "
            f"the shortest has {shortest}; wanted a larger length"
        )
    is_own = source not in SOURCES  # of the named ones it is known
    if is_own and subset == "train" and left_out > WARN_TRUNCATED_FRACTION * len(texts):
        warnings.warn(
            f"{source}: {left_out / len(texts):.0%} of the lines have more than {length - 1} "
            "tokens and are left out; a larger length keeps more",
            stacklevel=2,
        )
    unknown = sum(UNK in ids[k] for k in fitting) / len(fitting)
    if subset == "train" and unknown > MANY_UNKNOWN:
        warnings.warn(
            f"{source}: {unknown:.0%} of the lines hold a word outside the vocabulary, which the "
            "generator never writes: a discriminator may go by it; bpe has no such words",
            stacklevel=2,
        )
    tokens = torch.full((len(fitting), length), PAD, dtype=torch.int32)
    for row, k in enumerate(fitting):
        tokens[row, : len(ids[k]) + 1] = torch.tensor([*ids[k], EOS])
    labelled = torch.tensor([corpus.labels[subset][k] for k in fitting])
    return EncodedLines(tuple(texts[k] for k in fitting), tokens, labelled, left_out)


def _fingerprint(lines: EncodedLines, tokenizer: str) -> str:
    """32 hex digits of the tokens, the labels and the vocabulary."""
    digest = hashlib.blake2b(tokenizer.encode(), digest_size=16)
    digest.update(repr(tuple(lines.tokens.shape)).encode())
    for tensor in (lines.tokens, lines.labels):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
