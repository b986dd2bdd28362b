"""BLEU and Self-BLEU against any number of references, exactly and fast.

The scores are those of nltk's `sentence_bleu` with uniform weights and smoothing `method1`, meant
over the hypotheses. A table of the largest count of every n-gram in any one reference takes the
place of the references, so that a hypothesis costs as much as it has n-grams.
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
NO_MATCH = 0.1  # stands for a count of matches that is 0


class Most(NamedTuple):
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
    matches = _matches(hypotheses, _largest(references, max_order), max_order)
    for place, (line, found) in enumerate(zip(hypotheses, matches, strict=True)):
        penalty = _brevity(len(line), _closest(len(line), lengths))
        for order, score in enumerate(_scores(len(line), found, penalty)):
            scores[order][place] = score
    return [math.fsum(order) / len(hypotheses) for order in scores[1:]]


def self_bleu(hypotheses: Sequence[Words], max_order: int = 5) -> list[float]:
    """Self-BLEU of the orders 2 to `max_order`: each line against all the others, never itself.

    1 for lines that are all alike (and as long as `max_order`), about 0 for lines that share no
    word. Raises ValueError for fewer than two lines.
    """
    _check(len(hypotheses), 2, "hypotheses", max_order)
    penalties = _penalties_among(hypotheses)
    scores = [[0.0] * len(hypotheses) for _ in range(max_order)]
    tables = [_most(hypotheses, order) for order in range(1, max_order + 1)]
    for place, line in enumerate(hypotheses):
        found = [_matched_elsewhere(line, place, k + 1, table) for k, table in enumerate(tables)]
        for order, score in enumerate(_scores(len(line), found, penalties[len(line)])):
            scores[order][place] = score
    return [math.fsum(order) / len(hypotheses) for order in scores[1:]]


def grams(line: Words, order: int) -> Iterator[Gram]:
    """The n-grams of a line, in order."""
    return zip(*(line[start:] for start in range(order)), strict=False)


def _check(found: int, least: int, what: str, max_order: int) -> None:
    if found < least:
        raise ValueError(f"{found} {what}; wanted {least} or more")
    if max_order < 2:
        raise ValueError(f"max_order is {max_order}; wanted 2 or more")


def _largest(references: Sequence[Words], max_order: int) -> list[dict[Gram, int]]:
    """Order by order: n-gram -> its largest count in one reference."""
    tables: list[dict[Gram, int]] = [{} for _ in range(max_order)]
    for line in references:
        for k, table in enumerate(tables):
            for gram, count in Counter(grams(line, k + 1)).items():
                if count > table.get(gram, 0):
                    table[gram] = count
    return tables


def _matches(
    hypotheses: Sequence[Words], tables: Sequence[dict[Gram, int]], max_order: int
) -> Iterator[list[int]]:
    """Of each hypothesis, order by order, the clipped count of n-grams that match."""
    for line in hypotheses:
        yield [
            sum(
                min(count, table.get(gram, 0))
                for gram, count in Counter(grams(line, k + 1)).items()
            )
            for k, table in enumerate(tables)
        ]


def _most(lines: Sequence[Words], order: int) -> dict[Gram, Most]:
    """n-gram -> where its count is largest, and how large it is elsewhere."""
    table: dict[Gram, Most] = {}
    for place, line in enumerate(lines):
        for gram, count in Counter(grams(line, order)).items():
            best = table.get(gram)
            if best is None:
                table[gram] = Most(count, place, 0)
            elif count > best.largest:
                table[gram] = Most(count, place, best.largest)
            elif count > best.elsewhere:
                table[gram] = best._replace(elsewhere=count)
    return table


def _matched_elsewhere(line: Words, place: int, order: int, table: dict[Gram, Most]) -> int:
    """The clipped count of n-grams of the line at `place` that other lines have."""
    matched = 0
    for gram, count in Counter(grams(line, order)).items():
        best = table[gram]
        matched += min(count, best.elsewhere if best.owner == place else best.largest)
    return matched


def _scores(length: int, matches: Sequence[int], penalty: float) -> list[float]:
    """The scores of one hypothesis of `length` words, order 1 and up."""
    if length == 0 or matches[0] == 0:
        return [0.0] * len(matches)
    logs = [
        math.log((found or NO_MATCH) / max(1, length - order))
        for order, found in enumerate(matches)
    ]
    return [penalty * math.exp(math.fsum(logs[:n]) / n) for n in range(1, len(logs) + 1)]


def _penalties_among(lines: Sequence[Words]) -> dict[int, float]:
    """Length -> the brevity penalty of a line of this length against all the others."""
    counts = Counter(len(line) for line in lines)
    return {
        length: _brevity(
            length,
            _closest(length, sorted(set(counts) - ({length} if counts[length] == 1 else set()))),
        )
        for length in counts
    }


def _closest(length: int, lengths: Sequence[int]) -> int:
    """The closest of sorted lengths; of two equally close ones the shorter."""
    place = bisect_left(lengths, length)
    return min(lengths[max(0, place - 1) : place + 1], key=lambda other: abs(other - length))


def _brevity(length: int, reference: int) -> float:
    return 1.0 if length > reference or length == 0 else math.exp(1 - reference / length)
