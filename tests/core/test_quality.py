"""The quality of a generator in words."""

import pytest

from multigan.core.quality import quality_of


@pytest.mark.parametrize(
    ("value", "floor", "baseline", "words", "beats"),
    [
        (0.325, 0.32, 0.44, "As near to the data", True),
        (0.38, 0.32, 0.44, "Better than the baseline", True),
        (0.46, 0.32, 0.44, "No better than the baseline", False),
        (8.05, 14.7, 15.9, "hardly nearer to the data than the baseline", None),
        (16.0, 14.7, 15.9, "hardly nearer to the data than the baseline", None),
        (0.0, 0.0, 0.5, "As near to the data", True),
        (-0.1, -0.2, -0.1, "No better than the baseline", False),
    ],
)
def test_a_value_is_judged_by_floor_and_baseline(value, floor, baseline, words, beats):
    rows = {"real": {"d": floor}, "baseline": {"d": baseline}, "generator": {"d": value}}
    quality = quality_of(rows, "d", baseline="baseline")
    assert quality is not None and words in quality.conclusion
    assert quality.beats_baseline is beats
