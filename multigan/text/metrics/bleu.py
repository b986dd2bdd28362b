"""BLEU and Self-BLEU against any number of references, exactly and fast.

The scores are those of nltk's `sentence_bleu` with uniform weights and smoothing `method1`,
averaged over the hypotheses. A table of the largest count of every n-gram in any one reference
replaces the references. The cost of a hypothesis is then linear in its number of n-grams.
Source: Papineni et al. 2002; Chen and Cherry 2014, smoothing 1; Zhu et al. 2018, arXiv:1802.01886
(Self-BLEU).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Words = Sequence[str]
Gram = tuple[str, ...]
SMOOTHED_ZERO = 0.1  # replaces a count of matches that is 0


class MaxCount(NamedTuple):
    """The largest count of an n-gram in one line, that line, and the largest in another line."""

    largest: int
    owner: int
    elsewhere: int


def bleu(
    hypotheses: Sequence[Words], references: Sequence[Words], max_order: int = 5
) -> list[float]:
    """BLEU of the orders 2 to `max_order`: means over the hypotheses, each in [0, 1].

    Every reference is one for every hypothesis. Raises ValueError if either is empty.
    """
    _check(len(hypotheses), 1, "hypotheses", max_order)
    _check(len(references), 1, "references", max_order)
    lengths = sorted({len(line) for line in references})
    scores = [[0.0] * len(hypotheses) for _ in range(max_order)]
    matches = _matches(hypotheses, _max_counts(references, max_order), max_order)
    for k, (line, matched) in enumerate(zip(hypotheses, matches, strict=True)):
        penalty = _brevity_penalty(len(line), _closest(len(line), lengths))
        for order, score in enumerate(_scores(len(line), matched, penalty)):
            scores[order][k] = score
    return [math.fsum(order) / len(hypotheses) for order in scores[1:]]


def self_bleu(hypotheses: Sequence[Words], max_order: int = 5) -> list[float]:
    """Self-BLEU of the orders 2 to `max_order`: each line against all the others, never itself.

    1 for equal lines (at least as long as `max_order`), about 0 for lines that share no
    word. Raises ValueError for fewer than two lines.
    """
    _check(len(hypotheses), 2, "hypotheses", max_order)
    penalties = _brevity_penalties(hypotheses)
    scores = [[0.0] * len(hypotheses) for _ in range(max_order)]
    tables = [_two_largest_counts(hypotheses, order) for order in range(1, max_order + 1)]
    for k, line in enumerate(hypotheses):
        matched = [_matched_elsewhere(line, k, n, table) for n, table in enumerate(tables, start=1)]
        for order, score in enumerate(_scores(len(line), matched, penalties[len(line)])):
            scores[order][k] = score
    return [math.fsum(order) / len(hypotheses) for order in scores[1:]]


def ngrams(line: Words, order: int) -> Iterator[Gram]:
    """The n-grams of a line, in order."""
    return zip(*(line[start:] for start in range(order)), strict=False)


def _check(count: int, minimum: int, name: str, max_order: int) -> None:
    if count < minimum:
        raise ValueError(f"the number of {name} must be {minimum} or more; got {count}")
    if max_order < 2:
        raise ValueError(f"max_order must be 2 or more; got {max_order}")


def _max_counts(references: Sequence[Words], max_order: int) -> list[dict[Gram, int]]:
    """Order by order: n-gram -> its largest count in one reference."""
    tables: list[dict[Gram, int]] = [{} for _ in range(max_order)]
    for line in references:
        for k, table in enumerate(tables):
            for gram, count in Counter(ngrams(line, k + 1)).items():
                if count > table.get(gram, 0):
                    table[gram] = count
    return tables


def _matches(
    hypotheses: Sequence[Words], tables: Sequence[dict[Gram, int]], max_order: int
) -> Iterator[list[int]]:
    """The clipped counts of matching n-grams of each hypothesis, order by order."""
    for line in hypotheses:
        yield [
            sum(
                min(count, table.get(gram, 0))
                for gram, count in Counter(ngrams(line, k + 1)).items()
            )
            for k, table in enumerate(tables)
        ]


def _two_largest_counts(lines: Sequence[Words], order: int) -> dict[Gram, MaxCount]:
    """n-gram -> its largest count, the line that has it, and the largest count elsewhere."""
    table: dict[Gram, MaxCount] = {}
    for k, line in enumerate(lines):
        for gram, count in Counter(ngrams(line, order)).items():
            best = table.get(gram)
            if best is None:
                table[gram] = MaxCount(count, k, 0)
            elif count > best.largest:
                table[gram] = MaxCount(count, k, best.largest)
            elif count > best.elsewhere:
                table[gram] = best._replace(elsewhere=count)
    return table


def _matched_elsewhere(line: Words, index: int, order: int, table: dict[Gram, MaxCount]) -> int:
    """The clipped count of n-grams of the line at `index` in other lines."""
    matched = 0
    for gram, count in Counter(ngrams(line, order)).items():
        best = table[gram]
        matched += min(count, best.elsewhere if best.owner == index else best.largest)
    return matched


def _scores(length: int, matches: Sequence[int], penalty: float) -> list[float]:
    """The scores of one hypothesis of `length` words, from order 1."""
    if length == 0 or matches[0] == 0:
        return [0.0] * len(matches)
    logs = [
        math.log((count or SMOOTHED_ZERO) / max(1, length - order))
        for order, count in enumerate(matches)
    ]
    return [penalty * math.exp(math.fsum(logs[:n]) / n) for n in range(1, len(logs) + 1)]


def _brevity_penalties(lines: Sequence[Words]) -> dict[int, float]:
    """Length -> the brevity penalty of a line of this length against all the others."""
    counts = Counter(len(line) for line in lines)
    return {
        length: _brevity_penalty(
            length,
            _closest(length, sorted(set(counts) - ({length} if counts[length] == 1 else set()))),
        )
        for length in counts
    }


def _closest(length: int, lengths: Sequence[int]) -> int:
    """The closest of sorted lengths; of two equally close ones the shorter."""
    k = bisect_left(lengths, length)
    return min(lengths[max(0, k - 1) : k + 1], key=lambda other: abs(other - length))


def _brevity_penalty(length: int, reference: int) -> float:
    return 1.0 if length > reference or length == 0 else math.exp(1 - reference / length)
