"""The public names: importable, typed, and usable as the documentation uses them."""

import subprocess
import sys

import pytest
import torch

import multigan
from multigan.arrays.datasets.arrays import ArrayDataset
from multigan.core import protocols
from multigan.core.adapters import Networks
from multigan.core.recipe import Recipe, Schedule, Term, TermInputs
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component, domains
from multigan.engine.losses import AdversarialLoss
from multigan.engine.trainer import AdversarialTrainer
from multigan.runs.refine import refine
from multigan.storage.loading import load
from multigan.training.callbacks import Callback
from multigan.training.launch import resume, train
from multigan.training.run import Run
from tests.run_helpers import REPOSITORY, tiny_recipe

PUBLIC = {
    **{"train": train, "resume": resume, "load": load, "refine": refine},
    **{"Recipe": Recipe, "Schedule": Schedule, "ResultsTable": ResultsTable},
    **{"AdversarialTrainer": AdversarialTrainer, "component": component},
    **{"Batch": protocols.Batch, "Dataset": protocols.Dataset, "Domain": protocols.Domain},
    **{"Generator": protocols.Generator, "Discriminator": protocols.Discriminator},
    **{
        "Sampler": protocols.Sampler,
        "ArrayDataset": ArrayDataset,
        "Networks": Networks,
        "Run": Run,
        "Callback": Callback,
    },
    **{"Term": Term, "TermInputs": TermInputs, "AdversarialLoss": AdversarialLoss},
}
TYPES = {  # a fragment of what mypy reveals for each public name
    "train": "def (recipe:",
    "resume": "def (path:",
    "load": "-> multigan.core.protocols.Sampler",
    "refine": "def (path:",
    "Recipe": "-> multigan.core.recipe.Recipe",
    "Schedule": "-> multigan.core.recipe.Schedule",
    "AdversarialTrainer": "-> multigan.engine.trainer.AdversarialTrainer",
    "ArrayDataset": "-> multigan.arrays.datasets.arrays.ArrayDataset",
    "Networks": "-> multigan.core.adapters.Networks",
    "Term": "-> multigan.core.recipe.Term",
    "TermInputs": "-> multigan.core.recipe.TermInputs",
    "AdversarialLoss": "multigan.engine.losses.AdversarialLoss",
    "Run": "-> multigan.training.run.Run",
    "Callback": "-> multigan.training.callbacks.Callback",
    "Sampler": "-> multigan.core.protocols.Sampler",
    "ResultsTable": "-> multigan.core.results_table.ResultsTable",
    "component": "(cls: T) -> T",
    "Batch": "multigan.core.protocols.Batch",
    "Generator": "multigan.core.protocols.Generator",
    "Discriminator": "multigan.core.protocols.Discriminator",
    "Dataset": "multigan.core.protocols.Dataset",
    "Domain": "multigan.core.protocols.Domain",
}


def test_the_public_names_are_the_definitions_themselves():
    assert set(multigan.__all__) == {*PUBLIC, "__version__"} == {*TYPES, "__version__"}
    for name, definition in PUBLIC.items():
        assert getattr(multigan, name) is definition, name
    assert dir(multigan) == sorted(multigan.__all__)


def test_every_domain_is_an_attribute_of_the_package():
    for name, package in domains().items():
        assert getattr(multigan, name).__name__ == package


def test_the_decorator_and_the_recipe_are_used_by_their_public_names():
    from multigan import AdversarialTrainer, Batch, Recipe, Sampler, Schedule, component

    @component
    class Doubled:
        def __init__(self, factor=2):
            self.factor = factor

    assert Doubled(3)._component_arguments == {"factor": 3}
    tiny = tiny_recipe("points")
    recipe = Recipe(
        data=tiny.data,
        generator=tiny.generator,
        discriminator=tiny.discriminator,
        steps=2,
        batch_size=8,
        generator_lr=Schedule(1e-3, 1e-4),
    )
    assert [step.number for step in AdversarialTrainer(recipe).steps()] == [1, 2]
    assert len(Sampler(recipe.data.domain, recipe.generator).sample(3)) == 3
    assert isinstance(recipe.data.batch(torch.arange(2)), Batch)


@pytest.mark.slow
def test_a_type_checker_sees_the_type_of_every_public_name(tmp_path):
    pytest.importorskip("mypy", reason="pip install mypy")
    file = tmp_path / "reveal.py"
    lines = [f"reveal_type(multigan.{name})" for name in TYPES]
    file.write_text("\n".join(["import multigan", *lines]) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", str(file)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    revealed = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    assert len(revealed) == len(TYPES), done.stdout
    for (name, fragment), line in zip(TYPES.items(), revealed, strict=True):
        assert fragment in line and 'Any"' not in line, (name, line)


def test_the_package_tells_type_checkers_that_it_is_typed():
    assert (REPOSITORY / "multigan" / "py.typed").is_file()
