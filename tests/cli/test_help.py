"""The help of a command fits 80 columns, opens with two examples, and shows what may be given."""

import re

import pytest

from multigan.cli import app
from multigan.cli.evaluate import print_results
from multigan.core.recipe_file import parameter_help, read_recipe, resolve_hyperparameters
from multigan.core.results_table import ResultsTable
from multigan.core.wrapping import labeled
from multigan.runs.train_options import TrainOptions
from multigan.training.launch import train

RECIPES = [
    "arrays", "chorales", "folk", "image", "image_large", "music", "music_large",
    "points", "pop", "text",
]  # fmt: skip


def help_of(line, capsys):
    assert app.main([*line.split(), "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", RECIPES)
def test_the_help_of_training_fits_80_columns(name, capsys):
    lines = help_of(f"train {name}", capsys).splitlines()
    assert [line for line in lines if len(line) > 80] == []
    examples = [line for line in lines[1:6] if line.startswith("  multigan ")]
    assert len(examples) >= 2 and all(name in example for example in examples)


def test_the_help_has_a_panel_for_the_experiment_and_one_for_the_run(capsys):
    text = help_of("train image", capsys)
    experiment, run = text.partition("\nExperiment:\n")[2].split("\nRun:\n")
    assert "  --lr FLOAT" in experiment and "  --tiny" in experiment
    assert "  --seed INT" in run and "  --log STR" in run and "--report/--no-report" in run
    for flag in ("--device", "--seed", "--out"):
        assert flag not in experiment


def test_choices_are_whole_in_the_help(capsys):
    text = " ".join(help_of("train image", capsys).split())
    assert "(one of none, diffaugment, scheduled, ada; default: none)" in text
    assert "(one of raise, skip, rollback; default: raise)" in text
    assert "…" not in text


def test_another_choice_is_refused_before_anything_is_built(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert app.main(["train", "image", "--network", "transformer"]) == 2
    error = capsys.readouterr().err
    assert error == "error: network must be one of dcgan, r3gan; got 'transformer'\n"
    with pytest.raises(ValueError, match="network must be one of dcgan, r3gan; got 'mlp'"):
        train("image", network="mlp")
    with pytest.raises(ValueError, match="on_nonfinite must be one of raise, skip, rollback; got"):
        TrainOptions(on_nonfinite="ignore").resolved(1)
    assert not list(tmp_path.iterdir())


def test_choices_of_a_recipe_file_are_read_without_executing_it(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from typing import Literal\n"
        "def recipe(*, a: Literal['x', 'y'] = 'x', b: Literal['p'] | None = None, c: str = ''):\n"
        "    ...\n"
    )
    found = {h.name: (h.type, h.choices, h.optional) for h in read_recipe(file).hyperparameters}
    assert found == {
        "a": (str, ("x", "y"), False),
        "b": (str, ("p",), True),
        "c": (str, (), False),
    }
    assert resolve_hyperparameters(read_recipe(file), {"b": None}, tiny=False)["a"] == "x"
    with pytest.raises(ValueError, match="b must be one of p; got 'q'"):
        resolve_hyperparameters(read_recipe(file), {"b": "q"}, tiny=False)
    file.write_text("def recipe(*, a: Literal[1, 2] = 1): ...\n")
    with pytest.raises(ValueError, match=r"the type of a must be one of int, .*Literal of strings"):
        read_recipe(file)


def test_a_help_text_may_go_on_in_the_next_line():
    text = "Do it.\n\na: the first\n    and the rest\nb: short\n\nRaises ValueError."
    assert parameter_help(text) == {"a": "the first and the rest", "b": "short"}
    helps = {h.name: h.help for h in read_recipe("image").hyperparameters}
    assert "EMA half-life" in helps["burn_in"]


def test_the_help_of_sampling_opens_with_two_examples(points_run, capsys):
    lines = help_of(f"sample {points_run}", capsys).splitlines()
    assert sum(line.startswith("  multigan sample ") for line in lines) == 2
    assert re.search(r"--out PATH +a new or empty folder", "\n".join(lines))


def test_a_label_is_followed_by_a_space_whatever_its_length():
    assert labeled("note", "text") == "note      text"
    assert labeled("conclusion", "text") == "conclusion text"


def test_the_help_begins_with_the_commands_that_make_and_use_a_run(capsys):
    assert app.main(["--help"]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"│ {name} ") for name in app.FIRST]
    assert places == sorted(places)


def test_an_evaluation_begins_with_its_notes_and_ends_with_the_quality(capsys):
    rows = {name: {"d": value} for name, value in (("real", 1.0), ("none", 3.0), ("model", 2.0))}
    table = ResultsTable(rows, ("how it was counted",), {}, headline="d", baseline="none")
    print_results(table, {})
    text = capsys.readouterr().out
    assert text.startswith("note      how it was counted\n")
    assert text.index("model") < text.index("quality   D 2; real 1; none, without a network, 3.")
