"""BLEU and Self-BLEU against a direct computation, nltk and the published rows."""

import math
import random
from collections import Counter
from fractions import Fraction

import pytest

from multigan.text.metrics.bleu import bleu, self_bleu
from multigan.text.metrics.diversity import self_bleu_of_first
from tests.text.text_factory import captions, needs_captions

WORDS = ["a", "man", "dog", "rides", "the", "red", "horse", "."]


def random_lines(n, seed, longest=12):
    rng = random.Random(seed)
    return [rng.choices(WORDS, k=rng.randint(0, longest)) for _ in range(n)]


def direct(line, references, order):
    """Sentence BLEU of one order as its definition says, reference by reference."""
    logs = []
    for k in range(1, order + 1):
        own = Counter(tuple(line[i : i + k]) for i in range(len(line) - k + 1))
        others = [Counter(tuple(r[i : i + k]) for i in range(len(r) - k + 1)) for r in references]
        matched = sum(min(c, max(other[gram] for other in others)) for gram, c in own.items())
        if k == 1 and matched == 0:
            return 0.0
        share = Fraction(matched, max(1, len(line) - k + 1))
        logs.append(math.log(share) if matched else math.log(0.1 / max(1, len(line) - k + 1)))
    closest = min((abs(len(r) - len(line)), len(r)) for r in references)[1]
    brevity = 1.0 if len(line) > closest else math.exp(1 - closest / len(line))
    return brevity * math.exp(sum(logs) / order)


def test_bleu_equals_its_definition():
    lines, references = random_lines(60, 1), random_lines(40, 2, longest=9)
    for order, score in enumerate(bleu(lines, references), start=2):
        wanted = sum(direct(line, references, order) for line in lines) / len(lines)
        assert score == pytest.approx(wanted, abs=1e-12)


def test_self_bleu_leaves_each_line_out_of_its_own_references():
    lines = random_lines(60, 3)
    others = [lines[:k] + lines[k + 1 :] for k in range(len(lines))]
    for order, score in enumerate(self_bleu(lines), start=2):
        each = [direct(line, rest, order) for line, rest in zip(lines, others, strict=True)]
        assert score == pytest.approx(sum(each) / len(lines), abs=1e-12)


@pytest.mark.slow  # importing nltk takes longer than all the rest
@pytest.mark.filterwarnings("ignore")
def test_both_equal_nltk():
    scores = pytest.importorskip("nltk.translate.bleu_score")
    method = scores.SmoothingFunction().method1
    lines, references = random_lines(40, 4), random_lines(30, 5)
    lines += [["zebra"], ["zebra", "a"], ["a"] * 14]
    for k, order in enumerate((2, 3, 4, 5)):
        weights = [1 / order] * order
        each = [scores.sentence_bleu(references, line, weights, method) for line in lines]
        assert bleu(lines, references)[k] == pytest.approx(sum(each) / len(lines), abs=1e-12)
        own = [
            scores.sentence_bleu(lines[:i] + lines[i + 1 :], line, weights, method)
            for i, line in enumerate(lines)
        ]
        assert self_bleu(lines)[k] == pytest.approx(sum(own) / len(lines), abs=1e-12)


def test_a_hypothesis_computed_by_hand():
    line, references = list("adraxh"), [list("adrth")]
    # Words: a (once of 2), d, r, h; pairs: ad, dr; triples: adr.
    wanted = [
        math.sqrt(4 / 6 * 2 / 5),
        (4 / 6 * 2 / 5 * 1 / 4) ** (1 / 3),
        (4 / 6 * 2 / 5 * 1 / 4 * 0.1 / 3) ** (1 / 4),
    ]
    assert bleu([line], references, max_order=4) == pytest.approx(wanted, abs=1e-12)


def test_short_lines_pay_the_brevity_penalty_of_the_closest_length():
    references = [["a"] * 3, ["a"] * 8]
    assert bleu([["a"] * 5], references, 2) == pytest.approx([1.0])  # 3 is closer than 8
    assert bleu([["a"] * 6], references, 2) == pytest.approx([math.exp(1 - 8 / 6)])


def test_an_empty_hypothesis_counts_as_nothing_and_stays_in_the_mean():
    references = [list("abcdef")]
    assert bleu([list("abcdef"), []], references) == pytest.approx([0.5] * 4)
    assert bleu([["x"] * 6], references) == [0.0] * 4


def test_equal_lines_have_a_self_bleu_of_one_and_lines_without_a_common_word_none():
    assert self_bleu([list("abcde")] * 3) == pytest.approx([1.0] * 4)
    assert self_bleu([list("abcde"), list("vwxyz")]) == [0.0] * 4


def test_a_line_is_no_closest_reference_of_its_own():
    wanted = [math.exp(1 - 8 / 5), math.sqrt(5 / 8 * 4 / 7)]
    assert self_bleu([["a"] * 5, ["a"] * 8], 2) == pytest.approx([sum(wanted) / 2])


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="number of hypotheses must be 1 or more; got 0"):
        bleu([], [["a"]])
    with pytest.raises(ValueError, match="number of references must be 1 or more; got 0"):
        bleu([["a"]], [])
    with pytest.raises(ValueError, match="number of hypotheses must be 2 or more; got 1"):
        self_bleu([["a"]])
    with pytest.raises(ValueError, match="max_order must be 2 or more; got 1"):
        bleu([["a"]], [["a"]], max_order=1)


@needs_captions
def test_the_row_of_real_captions_is_the_published_one():
    train, test = captions("train.txt"), captions("test.txt")
    assert bleu(train, test) == pytest.approx([0.740, 0.520, 0.337, 0.218], abs=1e-3)
    published = [0.890, 0.742, 0.546, 0.386]
    assert self_bleu_of_first(train) == pytest.approx(published, abs=1e-3)


@needs_captions
@pytest.mark.parametrize(
    ("name", "known"),
    [
        pytest.param("train.txt", [0.8923, 0.7470, 0.5734, 0.4158], marks=pytest.mark.slow),
        ("test.txt", [0.9056, 0.7734, 0.6086, 0.4521]),
    ],
)
def test_self_bleu_of_all_captions_is_the_known_one(name, known):
    assert self_bleu(captions(name)) == pytest.approx(known, abs=1e-4)
