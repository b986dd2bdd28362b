"""Counts add up by use and reason, name three examples of each, and survive JSON."""

import json

import pytest

from multigan.core.data_counts import CHANGED, LEFT_OUT, USED, DataCounts


def counts():
    found = DataCounts("images")
    for k in range(5):
        found.add(LEFT_OUT, "broken", [f"{k}.png"])
    found.add(LEFT_OUT, "empty", count=12)
    found.add(CHANGED, "rotated", ["a\udce9.png"], 2)
    found.add(USED, "PNG", count=1000)
    return found


def test_rows_are_sorted_by_use_and_count_and_name_three_examples():
    assert counts().lines() == [
        "used      1,000  PNG",
        "changed       2  rotated: a\\xe9.png, ...",
        "left out     12  empty",
        "left out      5  broken: 0.png, 1.png, 2.png, ...",
    ]
    assert counts().total(LEFT_OUT) == 17
    assert counts().summary() == (
        "1,000 images used; changed: 2 rotated; left out: 12 empty, 5 broken"
    )


def test_an_unknown_use_is_refused():
    with pytest.raises(ValueError, match=r"use must be one of used, .*; got 'lost'"):
        DataCounts("images").add("lost", "")


def test_a_stored_table_is_the_same_table_with_printable_names():
    stored = json.dumps(counts().to_json(), ensure_ascii=False)
    stored.encode()
    found = DataCounts.from_json(json.loads(stored))
    assert found.lines()[1] == "changed       2  rotated: a\\xe9.png, ..."
    assert found.total(LEFT_OUT) == 17 and found.unit == "images"


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {"rows": 1, "unit": "x"},
        {"rows": [[1]], "unit": "x"},
        {"rows": [["used", "x", float("inf"), []]], "unit": "x"},
        {"rows": [["lost", "x", 1, []]], "unit": "x"},
        {"rows": [["used", "x", 1, 5]], "unit": "x"},
    ],
)
def test_damaged_counts_are_no_counts(content):
    assert DataCounts.from_json(content) is None
