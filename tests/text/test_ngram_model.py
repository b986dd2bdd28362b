"""N-gram models sample what they have counted."""

from collections import Counter

import pytest

from multigan.core.rng import keyed_rng
from multigan.text.metrics.ngram_model import NgramModel

LINES = [list("ab"), list("ab"), list("ab"), list("ac")]


def test_tokens_follow_as_often_as_they_were_counted():
    drawn = NgramModel(LINES, 2).sample(4000, keyed_rng(0), max_length=5)
    counts = Counter("".join(line) for line in drawn)
    assert set(counts) == {"ab", "ac"}
    assert counts["ab"] / 4000 == pytest.approx(3 / 4, abs=0.03)


def test_sharpening_is_the_power_of_the_counts():
    drawn = NgramModel(LINES, 2).sample(4000, keyed_rng(0), max_length=5, sharpening=2.0)
    counts = Counter("".join(line) for line in drawn)
    assert counts["ab"] / 4000 == pytest.approx(9 / 10, abs=0.02)


def test_each_order_sees_one_token_less_than_itself():
    lines = [list("xab"), list("yac")]
    by_two = NgramModel(lines, 2).sample(200, keyed_rng(0), max_length=9)
    by_three = NgramModel(lines, 3).sample(200, keyed_rng(0), max_length=9)
    assert {"".join(line) for line in by_two} == {"xab", "xac", "yab", "yac"}
    assert {"".join(line) for line in by_three} == {"xab", "yac"}


def test_lines_end_at_the_longest_and_equal_streams_give_equal_lines():
    model = NgramModel([list("a" * 50)], 2)
    drawn = model.sample(20, keyed_rng(0), max_length=4)
    assert max(len(line) for line in drawn) == 4
    assert (
        drawn == model.sample(20, keyed_rng(0), max_length=4) != model.sample(20, keyed_rng(1), 3)
    )


def test_a_unigram_model_and_numbers_as_tokens_work():
    drawn = NgramModel([[5, 6]], 1).sample(100, keyed_rng(0), max_length=3)
    assert {token for line in drawn for token in line} == {5, 6}


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="got 0 and 4"):
        NgramModel(LINES, 0)
    with pytest.raises(ValueError, match="got 2 and 0"):
        NgramModel([], 2)
    with pytest.raises(ValueError, match="sharpening must be above 0; got 0"):
        NgramModel(LINES, 2).sample(1, keyed_rng(0), 3, sharpening=0)
