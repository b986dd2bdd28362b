"""The notebooks of examples/ run from top to bottom, in seconds, and show what they make.

Their cells are executed in one namespace, as a kernel would; the last expression of a cell is
shown by its `_repr_html_`. They carry no outputs.
"""

from __future__ import annotations

import ast
import json
import re

import pytest

from multigan.core.evaluation_size import small_evaluations
from tests.run_helpers import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "examples/notebooks").glob("*.ipynb"))
SHOWN = {"images": ["<img"] * 2, "text": ["<pre"] * 2, "music": ["<img.*<audio"] * 2}


def code_cells(file) -> list[str]:
    """The code of the cells, with the values that make training short."""
    cells = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
    return [re.sub(r"^TINY = False", "TINY = True", "".join(cell["source"])) for cell in cells]


def execute(code: str, namespace: dict) -> object:
    """The value of the last expression of a cell, or None."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_notebooks_carry_no_outputs(file):
    cells = json.loads(file.read_text())["cells"]
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in cells)
    assert code_cells(file)[0].startswith("TINY = True")


@pytest.mark.parametrize("name", [
    "images", *(pytest.param(name, marks=pytest.mark.slow) for name in ("text", "music")),
])  # fmt: skip
def test_a_notebook_runs_and_shows_its_samples(name, tmp_path, monkeypatch):
    (file,) = [file for file in NOTEBOOKS if file.stem == name]
    monkeypatch.chdir(tmp_path)
    namespace: dict = {}
    with small_evaluations():
        values = [execute(cell, namespace) for cell in code_cells(file)]
    shown = [value._repr_html_() for value in values if hasattr(value, "_repr_html_")]
    assert len(shown) == len(SHOWN[name])
    for html, expected in zip(shown, SHOWN[name], strict=True):
        assert re.search(expected, html, re.DOTALL) and len(html) < 4_000_000


def test_every_notebook_is_run():
    assert {file.stem for file in NOTEBOOKS} == set(SHOWN)
