import json
import math

from multigan.core.results_table import ResultsTable

ROWS = {"real": {"distance": 0.25, "share": 1.0}, "this model": {"distance": 3.0}}


def test_rows_stand_below_each_other_and_a_missing_value_is_an_empty_cell():
    lines = ResultsTable(ROWS, ("a note",)).markdown().splitlines()
    assert lines[0] == "| | distance | share |" and lines[1] == "|---|---|---|"
    assert lines[2:4] == ["| real | 0.25 | 1 |", "| this model | 3 |  |"]
    assert lines[-1] == "- a note"


def test_many_metrics_stand_below_each_other():
    names = [f"m{i}" for i in range(13)]
    rows = {"real": dict.fromkeys(names, 1.0), "this model": {"m2": 2.0}}
    lines = ResultsTable(rows).markdown().splitlines()
    assert lines[0] == "| | real | this model |" and lines[4] == "| m2 | 1 | 2 |"
    assert lines[3] == "| m1 | 1 |  |" and len(lines) == 2 + 13 + 1


def test_an_interval_stands_beside_its_value_and_in_the_json():
    table = ResultsTable(ROWS, intervals={"real": {"distance": (0.2, 0.31)}})
    assert "| real | 0.25 [0.2, 0.31] | 1 |" in table.markdown()
    assert json.loads(table.json())["intervals"] == {"real": {"distance": [0.2, 0.31]}}


def test_a_value_that_is_not_finite_is_null():
    read = json.loads(ResultsTable({"a": {"b": math.nan}}).json())
    assert read == {"rows": {"a": {"b": None}}, "notes": []}
