"""The files for containers and for conda follow pyproject.toml."""

from __future__ import annotations

import re

from packaging.requirements import Requirement

import multigan
from tests.run_helpers import REPOSITORY

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}


def project_requirements() -> dict[str, str]:
    """Name -> version range of each dependency of the project."""
    text = (REPOSITORY / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    stated = [Requirement(line) for line in re.findall(r'"([^"]+)"', block[1])]
    return {item.name: str(item.specifier) for item in stated}


def test_the_conda_recipe_needs_what_the_project_needs():
    text = (REPOSITORY / "conda" / "meta.yaml").read_text()
    run = re.search(r"^  run:\n((?:    - .*\n)+)", text, re.MULTILINE)[1]
    found = dict(re.match(r"    - (\S+) (\S+)", line).groups() for line in run.splitlines())
    expected = {CONDA_NAMES.get(k, k): v for k, v in project_requirements().items()}
    assert found.pop("python") == ">=3.10" and found == expected
    assert f'{{% set version = "{multigan.__version__}" %}}' in text


def test_the_container_installs_extras_that_exist():
    extras = re.search(r'"\.\[(.+?)\]"', (REPOSITORY / "Dockerfile").read_text())[1].split(",")
    text = (REPOSITORY / "pyproject.toml").read_text()
    assert extras and all(re.search(rf"^{extra} = \[", text, re.MULTILINE) for extra in extras)
