"""Every recipe trains, resumes and samples, and says what it is."""

import re
import shutil
import subprocess

import pytest

from multigan.core.recipe_file import NOT_MEASURED as TIME_NOT_MEASURED
from multigan.core.recipe_file import (
    Hyperparameter,
    read_recipe,
    recipe_names,
    resolve_hyperparameters,
)
from multigan.storage.loading import load
from tests.run_helpers import REPOSITORY, logs_of, resume_tiny, steps_before, train_tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore:the learning rate has come to 0:UserWarning"),
    pytest.mark.filterwarnings("ignore:not measured, so no best checkpoint:UserWarning"),
]


every_recipe = pytest.mark.parametrize("name", recipe_names())
SLOW = {
    "folk",
    "pop",
    "music_large",
    "benchmarks/music_binarization",
    "benchmarks/stacked_mnist",
}  # minutes
every_recipe_trained = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in recipe_names()],
)


def test_as_many_recipes_are_found_as_git_tracks():
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        pytest.skip("no git here")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "recipes"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    tracked = {line for line in done.stdout.splitlines() if line.endswith(".py")}
    tracked = {line for line in tracked if (REPOSITORY / line).exists()}
    found = {path.relative_to(REPOSITORY).as_posix() for path in recipe_names().values()}
    assert found == tracked and found


@every_recipe
def test_a_recipe_states_the_time_that_it_took_and_on_what_or_that_it_was_not_measured(name):
    file = read_recipe(name)
    says_so = re.search(r"\b[Nn]ot\s+(measured|run)\b", file.header)
    assert file.time != TIME_NOT_MEASURED or says_so


NOT_MEASURED = {"step", "neighbors", "diagnostics"}  # of a line without an evaluation


@every_recipe_trained
def test_a_recipe_trains_resumes_and_samples(name, tmp_path, cache):
    half, before = 2, steps_before(name)
    intervals = {"log_every": half, "save_every": half}
    run = train_tiny(name, tmp_path / "run", steps=half, cache_dir=str(cache), **intervals)
    assert run.step == before + half and run.ended == "finished"
    again = resume_tiny(run.path, steps=2 * half)
    last = before + 2 * half
    assert again.step == last
    logged = [line["step"] for line in logs_of(run.path)["log"]]
    due = {step for step in range(1, last + 1) if step % half == 0}
    learnt = {before} - {0}  # the likelihood stage's last line
    assert logged == sorted(due | learnt | {before + half, last})
    assert (run.path / "checkpoints" / "likelihood").is_dir() == (before > 0)
    sampler = load(run.path)
    for line in logs_of(run.path)["metrics"]:
        if line.keys() - NOT_MEASURED:  # a dataset may refuse to be evaluated on this split
            assert line[sampler.domain.selection_metric] is not None
    assert len(sampler.sample(3, seed=0)) == 3
    assert (run.path / "recipe.py").read_bytes() == recipe_names()[name].read_bytes()


@every_recipe
def test_tiny_runs_for_a_few_steps_only(name):
    file = read_recipe(name)
    assert 1 < resolve_hyperparameters(file, {}, tiny=True)["steps"] <= 100, "TINY sets steps"
    values = resolve_hyperparameters(file, {}, tiny=False)
    steps = values["steps"]
    both = None if steps is None else steps + values.get("likelihood_steps", 0)
    assert both is None or both > 100, "None: the recipe says by itself"


@every_recipe
def test_the_header_of_a_recipe_says_how_to_run_it(name):
    file = read_recipe(name)
    assert f"multigan train {name}" in file.header
    assert len(file.summary) <= 100 and file.summary.endswith(".")


@every_recipe
def test_every_knob_has_a_help_and_a_default_of_its_type(name):
    for hyperparameter in read_recipe(name).hyperparameters:
        assert hyperparameter.help, hyperparameter.name
        kind = hyperparameter.type
        allowed = (kind, int) if kind is float else (kind,)
        if not (hyperparameter.default is None and hyperparameter.optional):
            assert isinstance(hyperparameter.default, allowed), hyperparameter.name


def written(tmp_path, text):
    file = tmp_path / "mine.py"
    file.write_text(text)
    return file


RECIPE = '''"""Mine."""
TINY = {"steps": 2, "name": "tiny"}

def recipe(*, steps: int = 10, lr: float = 1e-3, name: str | None = None, fast: bool = False):
    """Mine.

    steps: how many
    """
    raise AssertionError("reading a recipe never runs it")

print(1 / 0)
'''


def test_a_recipe_file_is_read_and_never_run(tmp_path):
    file = read_recipe(written(tmp_path, RECIPE))
    assert file.summary == "Mine." and file.tiny == {"steps": 2, "name": "tiny"}
    assert file.hyperparameters == (
        Hyperparameter("steps", int, 10, "how many"),
        Hyperparameter("lr", float, 1e-3, ""),
        Hyperparameter("name", str, None, "", optional=True),
        Hyperparameter("fast", bool, False, ""),
    )


def test_hyperparameters_resolve_from_defaults_then_tiny_then_requested_values(tmp_path):
    file = read_recipe(written(tmp_path, RECIPE))
    defaults = {"steps": 10, "lr": 1e-3, "name": None, "fast": False}
    assert resolve_hyperparameters(file, {}, tiny=False) == defaults
    tiny = resolve_hyperparameters(file, {"steps": 5, "lr": 1}, tiny=True)
    assert tiny == defaults | {"steps": 5, "lr": 1, "name": "tiny"}
    assert resolve_hyperparameters(file, {"name": None}, tiny=True)["name"] is None


@pytest.mark.parametrize(
    ("requested", "answer"),
    [
        ({"step": 1}, "has no hyperparameter 'step'; did you mean steps?"),
        ({"steps": 1.5}, "steps must be of type int; got 1.5"),
        ({"steps": True}, "steps must be of type int; got True"),
        ({"steps": None}, "steps must be of type int; got None"),
        ({"fast": 1}, "fast must be of type bool; got 1"),
    ],
)
def test_an_unknown_hyperparameter_or_one_of_the_wrong_type_is_refused(requested, answer, tmp_path):
    with pytest.raises(ValueError) as caught:
        resolve_hyperparameters(read_recipe(written(tmp_path, RECIPE)), requested, tiny=False)
    assert answer in str(caught.value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("def recipe(:", "must be a Python file"),
        ("x = 1", "found no `recipe`"),
        ("def recipe(steps: int = 1): ...", "must be keyword-only"),
        ("def recipe(*, steps=1): ...", "steps must have a type and a default"),
        ("def recipe(*, steps: int): ...", "steps must have a type and a default"),
        ("def recipe(*, sizes: list = []): ...", "the type of sizes must be one of int"),
        ("def recipe(*, steps: int = n): ...", "'n' must be a literal"),
        (
            "TINY = {'x': 1}\ndef recipe(*, y: int = 1): ...",
            "TINY must set hyperparameters of the recipe; got ['x']",
        ),
    ],
)
def test_a_file_that_is_no_recipe_is_answered_in_one_line(text, answer, tmp_path):
    with pytest.raises(ValueError) as caught:
        read_recipe(written(tmp_path, text))
    assert answer in str(caught.value) and "\n" not in str(caught.value)


def test_the_default_gamma_of_the_image_recipe_follows_the_loss(tmp_path, cache):
    default = read_recipe("image")
    names = ("gamma", "lr", "generator_lr_ratio")  # of which --tiny changes all
    values = {h.name: h.default for h in default.hyperparameters if h.name in names}
    assert values["gamma"] == "auto"
    run = train_tiny("image", tmp_path / "run", log_every=1, cache_dir=str(cache), **values)
    lines = logs_of(run.path)["log"]
    gammas = [line["gamma/r1"] for line in lines]
    assert len(set(gammas)) > len(gammas) / 2 and gammas == [line["gamma/r2"] for line in lines]
    assert all(
        rate["lr/generator"] == pytest.approx(rate["lr/discriminator"] / 4) for rate in lines
    )
