"""Diversity metrics of lines: pure functions of lists of token lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from multigan.text.metrics.bleu import Words, bleu, ngrams


def bleu_metrics(name: str, scores: Sequence[float]) -> dict[str, float]:
    """Scores of the orders 2 and up under the names `name`_2, `name`_3 ..."""
    return {f"{name}_{order}": score for order, score in enumerate(scores, start=2)}


def self_bleu_of_first(lines: Sequence[Words], first: int = 200, max_order: int = 5) -> list[float]:
    """BLEU of the `first` lines against all the later ones: the Self-BLEU of many papers.

    Noisier than `self_bleu`, and lower. Raises ValueError if there are no later lines.
    """
    return bleu(lines[:first], lines[first:], max_order)


def distinct(lines: Sequence[Words], order: int) -> float:
    """The fraction of different n-grams among all, in [0, 1]; 0 if there are none.

    It falls with the number of lines: compare it at equal numbers only.
    Source: Li et al. 2016, arXiv:1510.03055.
    """
    counts = Counter(gram for line in lines for gram in ngrams(line, order))
    return len(counts) / max(1, sum(counts.values()))


def unique_fraction(lines: Sequence[Words]) -> float:
    """The fraction of different lines, in [0, 1]. Raises ValueError without lines."""
    _check_lines(lines)
    return len({tuple(line) for line in lines}) / len(lines)


def memorized_fraction(lines: Sequence[Words], train: Sequence[Words]) -> float:
    """The fraction of lines that are word by word in `train`. Raises ValueError without lines."""
    _check_lines(lines)
    known = {tuple(line) for line in train}
    return sum(tuple(line) in known for line in lines) / len(lines)


def length_total_variation(lines: Sequence[Words], others: Sequence[Words]) -> float:
    """The total variation between the two distributions of lengths, 0 (equal) to 1.

    Raises ValueError if one of them is empty.
    """
    fractions = []
    for side in (lines, others):
        _check_lines(side)
        counts = Counter(len(line) for line in side)
        fractions.append({length: count / len(side) for length, count in counts.items()})
    first, second = fractions
    lengths = sorted(first.keys() | second.keys())
    return sum(abs(first.get(n, 0.0) - second.get(n, 0.0)) for n in lengths) / 2


def _check_lines(lines: Sequence[Words]) -> None:
    if not lines:
        raise ValueError("the number of lines must be 1 or more; got 0")
