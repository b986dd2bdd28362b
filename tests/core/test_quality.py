"""The quality of a generator in words."""

import pytest

from multigan.core.quality import quality_of


@pytest.mark.parametrize(
    ("value", "floor", "baseline", "words"),
    [
        (0.325, 0.32, 0.44, "As near to the data"),
        (0.38, 0.32, 0.44, "Better than the baseline"),
        (0.46, 0.32, 0.44, "No better than the baseline"),
        (8.05, 14.7, 15.9, "hardly nearer to the data than the baseline"),
        (15.0, 14.7, 15.9, "hardly nearer to the data than the baseline"),
        (0.0, 0.0, 0.5, "As near to the data"),
    ],
)
def test_a_value_is_judged_by_floor_and_baseline(value, floor, baseline, words):
    rows = {"real": {"d": floor}, "baseline": {"d": baseline}, "generator": {"d": value}}
    quality = quality_of(rows, "d", baseline="baseline")
    assert quality is not None and words in quality.conclusion
