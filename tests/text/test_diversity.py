"""Diversity metrics, by hand."""

import pytest

from multigan.text.metrics import diversity as m

LINES = [["a", "b", "a"], ["a", "b"], ["a", "b"], ["c"]]


def test_distinct_counts_different_ngrams_among_all():
    assert m.distinct(LINES, 1) == 3 / 8
    assert m.distinct(LINES, 2) == 2 / 4
    assert m.distinct(LINES, 4) == 0


def test_unique_and_memorized_are_fractions_of_lines():
    assert m.unique_fraction(LINES) == 3 / 4
    assert m.memorized_fraction(LINES, [["a", "b"], ["x"]]) == 2 / 4
    assert m.memorized_fraction(LINES, LINES) == 1


def test_length_distance_is_the_total_variation_of_the_histograms():
    assert m.length_total_variation(LINES, LINES[::-1]) == 0
    assert m.length_total_variation(LINES, [["a"] * 9]) == 1
    assert m.length_total_variation([["a"], ["a", "b"]], [["a"]]) == 0.5


def test_names_of_bleu_metrics_say_the_order():
    assert m.bleu_metrics("bleu", [0.5, 0.25]) == {"bleu_2": 0.5, "bleu_3": 0.25}


def test_the_first_lines_are_held_against_the_later_ones_only():
    lines = [list("abcde"), list("abcde"), list("vwxyz")]
    assert m.self_bleu_of_first(lines, first=1) == pytest.approx([1.0] * 4)
    assert m.self_bleu_of_first(lines, first=2) == [0.0] * 4


@pytest.mark.parametrize(
    "metric",
    [
        m.unique_fraction,
        lambda x: m.memorized_fraction(x, []),
        lambda x: m.length_total_variation(x, x),
    ],
)
def test_no_lines_are_refused(metric):
    with pytest.raises(ValueError, match="number of lines must be 1 or more"):
        metric([])
