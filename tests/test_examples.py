"""The examples: each trains from its file, logs its terms, resumes, and measures what it claims."""

import math
import runpy

import pytest

from multigan.core.recipe_file import last_recipe_module
from multigan.training.launch import resume
from tests.run_helpers import OFTEN, REPOSITORY, train_tiny

EXAMPLES = {
    "pix2pix": {"loss/l1"},
    "acgan": {"loss/class_of_real", "loss/class_of_fake"},
    "infogan": {"loss/code"},
    "feature_matching": {"loss/features"},
    "cyclegan": {"loss/cycle"},
}


def test_every_example_is_tested():
    files = {file.stem for file in (REPOSITORY / "examples").glob("*.py")}
    assert files == set(EXAMPLES)
    for name in EXAMPLES:
        assert len((REPOSITORY / "examples" / f"{name}.py").read_text().splitlines()) <= 100


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_trains_resumes_and_measures(name, tmp_path):
    pytest.importorskip("sklearn", reason="pip install 'multigan[image]'")
    file = REPOSITORY / "examples" / f"{name}.py"
    with pytest.warns(UserWarning, match="--trust-recipe"):
        train_tiny(file, tmp_path / "run", **(OFTEN | {"steps": 4, "save_every": 4}))
    run = resume(tmp_path / "run", steps=6, trust=last_recipe_module(), show=0)
    assert run.step == 6 and EXAMPLES[name] <= run.log[-1].keys()
    assert run.log[-1]["loss/generator"] != run.log[-1]["loss/generator_adversarial"]
    found = runpy.run_path(str(file))["measure"](run)
    assert found and all(map(math.isfinite, found.values()))
