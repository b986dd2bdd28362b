"""The refiner of text: a network that reads tokens, the generator's states, and whole words.

A line of pieces of words may hold a word that is none, which no single piece shows. The number of
words that occur in no other training line shows it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from multigan.core.serialization import component
from multigan.text.condition import TextCondition
from multigan.text.models.transformer import scaled_embedding
from multigan.text.tokenization.tokenizer import load_tokenizer
from multigan.text.tokenization.words import split_words

SKETCH = (3, 1 << 17)  # of word counts: independent hashes, counters of each
MAX_COUNT = 255  # of a counter
COUNT_EDGES = (0, 1, 2, 4, 8, 16, 32, 64)  # upper edges of the classes of counts
WORD_BUCKETS = 1 << 13
MAX_UNKNOWN = 4  # largest number of unknown words that is distinguished


class ObservedLines(NamedTuple):
    """Lines as the refiner reads them; words are padded with 0."""

    tokens: Tensor  # (B, T) int64
    condition: TextCondition | None
    words: Tensor  # (B, W) int64, a bucket above 0
    counts: Tensor  # (B, W) int64, the class of the count in other training lines
    unknown: Tensor  # (B,) int64, words that occur in none of them


@component
class TextRefiner(nn.Module):
    """Lines -> logits (B,): higher for lines that are more like real ones than like generated ones.

    Args:
        tokenizer: the tokenizer.json of the lines.
        features: size of the generator's states.
        num_lines: training lines, whose hashes it holds: their own words do not count for them.
        width: of the recurrent layer, in each direction.
        dropout: of the joined features.
        token_buckets: rows of the table of tokens, which token k shares with k + token_buckets.
    """

    learning_rate = 1e-3
    counters: Tensor  # (hashes, counters) uint8: the counts of words in training lines
    line_hashes: Tensor  # (num_lines,) int32, ascending hashes

    def __init__(
        self,
        tokenizer: str,
        features: int,
        num_lines: int = 0,
        width: int = 96,
        dropout: float = 0.4,
        token_buckets: int = 1 << 12,
    ) -> None:
        super().__init__()
        self.tokenizer, self.token_buckets = tokenizer, token_buckets
        self.register_buffer("counters", torch.zeros(SKETCH, dtype=torch.uint8))
        self.register_buffer("line_hashes", torch.zeros(num_lines, dtype=torch.int32))
        self.token = scaled_embedding(token_buckets, width)
        self.states = nn.Linear(features, width)
        self.recurrent = nn.LSTM(2 * width, width, batch_first=True, bidirectional=True)
        self.word = scaled_embedding(WORD_BUCKETS, 48)
        self.count = scaled_embedding(len(COUNT_EDGES) + 2, 16)
        self.phrases = nn.Linear(3 * 64, 96)
        self.unknown = nn.Embedding(MAX_UNKNOWN + 1, 1)
        nn.init.zeros_(self.unknown.weight)
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(4 * width + 2 * 96, 128)
        self.to_logit = nn.Linear(128, 1)

    def count_words(self, texts: Iterable[str]) -> None:
        """Set the counts of words, and the hashes of lines, to those of the training lines."""
        texts = list(texts)
        counts = Counter(word for text in texts for word in split_words(text))
        sketch = torch.zeros(SKETCH, dtype=torch.int64)
        for word, count in counts.items():
            for row, place in enumerate(_places(word)):
                sketch[row, place] += count
        self.counters.copy_(sketch.clamp_max(MAX_COUNT))
        hashes = torch.tensor([_line_hash(text) for text in texts], dtype=torch.int32)
        self.line_hashes.copy_(hashes.sort().values)

    def observe(self, x: Tensor, condition: TextCondition | None = None) -> ObservedLines:
        """Split one-hot rows (B, T, V), or tokens (B, T), into words and count these."""
        tokens = x.argmax(-1) if x.is_floating_point() else x
        decode = load_tokenizer(self.tokenizer).decode
        texts = [decode(line) for line in tokens.tolist()]
        rows = [split_words(text)[: tokens.shape[1]] for text in texts]
        known = self._occurrences(texts, rows)
        size = tokens.shape[1]
        words, counts = (torch.zeros(len(rows), size, dtype=torch.int64) for _ in range(2))
        for row, (line, found) in enumerate(zip(rows, known, strict=True)):
            words[row, : len(line)] = torch.tensor([_bucket(word) for word in line])
            counts[row, : len(line)] = found
        edges = torch.tensor(COUNT_EDGES)
        classes = torch.where(words > 0, torch.bucketize(counts, edges) + 1, 0)
        unknown = ((counts == 0) & (words > 0)).sum(1).clamp_max(MAX_UNKNOWN)
        device = x.device
        return ObservedLines(
            tokens, condition, words.to(device), classes.to(device), unknown.to(device)
        )

    def _occurrences(self, texts: Sequence[str], rows: Sequence[list[str]]) -> list[Tensor]:
        """The counts of the words of each line in the other training lines."""
        places = [torch.tensor(_places(word)) for line in rows for word in line]
        if not places:
            return [torch.zeros(0, dtype=torch.int64) for _ in rows]
        index = torch.stack(places).T  # (hashes, words)
        found = self.counters.cpu().gather(1, index).min(0).values.long()
        hashes = torch.tensor([_line_hash(text) for text in texts], dtype=torch.int32)
        sorted_lines = self.line_hashes.cpu()
        at = torch.searchsorted(sorted_lines, hashes).clamp_max(max(0, len(sorted_lines) - 1))
        is_own = sorted_lines[at] == hashes if len(sorted_lines) else torch.zeros(len(texts)) > 0
        parts = list(found.split([len(line) for line in rows]))
        for k in is_own.nonzero().flatten().tolist():
            own = Counter(rows[k])
            parts[k] = (parts[k] - torch.tensor([own[word] for word in rows[k]])).clamp_min(0)
        return parts

    def forward(self, observed: ObservedLines, generator: Any) -> Tensor:
        """Logits (B,)."""
        tokens = observed.tokens
        is_token = (tokens != load_tokenizer(self.tokenizer).special_ids.pad)[..., None]
        with torch.no_grad():
            states = generator.hidden_states(tokens, observed.condition)
        inputs = [self.token(tokens % self.token_buckets), relu(self.states(states))]
        h = self.recurrent(torch.cat(inputs, dim=-1) * is_token)[0]
        pieces = _pool(h, is_token)
        words = torch.cat([self.word(observed.words), self.count(observed.counts)], dim=-1)
        is_word = (observed.words > 0)[..., None]
        around = pad(words * is_word, (0, 0, 1, 1)).unfold(1, 3, 1).flatten(2)  # (B, W, 3 x 64)
        phrases = _pool(relu(self.phrases(around)), is_word)
        joined = self.dropout(torch.cat([pieces, phrases], dim=-1))
        logits: Tensor = self.to_logit(relu(self.hidden(joined))) + self.unknown(observed.unknown)
        return logits.squeeze(-1)


def _pool(h: Tensor, is_there: Tensor) -> Tensor:
    """Mean and maximum (B, 2 F) of h (B, T, F) over the positions that are there (B, T, 1)."""
    mean = (h * is_there).sum(1) / is_there.sum(1).clamp_min(1)
    largest = h.masked_fill(~is_there, -1e4).amax(1).clamp_min(-10)
    return torch.cat([mean, largest], dim=-1)


@lru_cache(maxsize=1 << 17)
def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


@lru_cache(maxsize=1 << 17)
def _places(word: str) -> tuple[int, ...]:
    """The counter of a word for each hash."""
    digest = _digest(word)
    parts = (digest[4 * k : 4 * k + 4] for k in range(SKETCH[0]))
    return tuple(int.from_bytes(part, "little") % SKETCH[1] for part in parts)


def _bucket(word: str) -> int:
    return 1 + int.from_bytes(_digest(word)[12:], "little") % (WORD_BUCKETS - 1)


def _line_hash(text: str) -> int:
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little", signed=True)
