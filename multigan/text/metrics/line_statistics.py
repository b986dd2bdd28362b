"""Lines compared with others: nearest training lines, phrases that many share, and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch

from multigan.core.data_comparison import NearestItems, Statistic
from multigan.text.metrics.bleu import ngrams
from multigan.text.tokenization.words import split_words

NUM_PHRASES, PHRASE_WORDS = 10, 4  # phrases that are shown, and their words and marks
NUM_BINS = 12  # of the histogram of lengths
MAX_LINES = 200_000  # training lines that are read
Phrase = tuple[str, ...]


def nearest_lines(lines: Sequence[str], known: Sequence[str], rng: torch.Generator) -> NearestItems:
    """Find the line of `known` that shares most words and pairs of words with each of `lines`.

    The distance is 1 - 2 shared / (own + its), of different words and pairs: 0 for equal sets. Of
    more than MAX_LINES known lines a random part is read.
    """
    if len(known) > MAX_LINES:
        chosen = torch.randperm(len(known), generator=rng)[:MAX_LINES].sort().values
        known = [known[k] for k in chosen.tolist()]
    own = [_words_and_pairs(line) for line in lines]
    column = {part: k for k, part in enumerate(dict.fromkeys(p for parts in own for p in parts))}
    table = torch.zeros(len(column), len(lines))
    for number, parts in enumerate(own):
        table[[column[part] for part in parts], number] = 1
    rows, columns, sizes = [], [], []
    for number, line in enumerate(known):
        parts = _words_and_pairs(line)
        sizes.append(len(parts))
        found = [column[part] for part in parts if part in column]
        columns += found
        rows += [number] * len(found)
    occurs = torch.sparse_coo_tensor(
        torch.tensor([rows, columns], dtype=torch.int64),
        torch.ones(len(rows)),
        (len(known), len(column)),
        check_invariants=True,
    )
    shared = torch.sparse.mm(occurs, table)  # (known, lines)
    total = torch.tensor(sizes)[:, None] + table.sum(0)
    similar = 2 * shared / total.clamp_min(1)
    similar[total == 0] = 1  # nothing is equal to nothing
    best = similar.max(0)
    return NearestItems(
        [known[k] for k in best.indices.tolist()], (1 - best.values).tolist(), len(known)
    )


def repeated_phrases(lines: Sequence[str], others: Sequence[str]) -> Statistic:
    """Count the phrases of PHRASE_WORDS words that most of `lines` share, in % of both."""
    counts, expected = _phrase_counts(lines), _phrase_counts(others)
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:NUM_PHRASES]
    rows = [
        (" ".join(phrase), 100 * count / len(lines), 100 * expected[phrase] / max(1, len(others)))
        for phrase, count in most
        if count > 1
    ]
    return Statistic(f"Phrases of {PHRASE_WORDS} words in most lines", "% of lines", rows)


def lengths(lines: Sequence[str], others: Sequence[str]) -> Statistic:
    """Return the histogram of the numbers of words and marks of lines, in % of both."""
    sides = [[len(split_words(line)) for line in side] for side in (lines, others)]
    longest = max(map(max, sides))
    width = max(1, -(-(longest + 1) // NUM_BINS))
    own, expected = (Counter(length // width for length in side) for side in sides)
    rows = [
        (
            f"{k * width} to {(k + 1) * width - 1}" if width > 1 else str(k),
            100 * own[k] / len(lines),
            100 * expected[k] / len(others),
        )
        for k in range(longest // width + 1)
    ]
    return Statistic("Words and marks in a line", "% of lines", rows)


def _phrase_counts(lines: Iterable[str]) -> Counter[Phrase]:
    """Count the lines that hold each phrase."""
    return Counter(
        phrase for line in lines for phrase in set(ngrams(split_words(line), PHRASE_WORDS))
    )


def _words_and_pairs(line: str) -> set[Phrase]:
    words = split_words(line.lower())
    return {(word,) for word in words} | set(pairwise(words))
