"""One thread: the networks of the tests are small, and their numbers then do not depend on it."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The helper models of the small evaluations of tiny runs: they are made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def full_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The helper models of evaluations of full size."""
    return tmp_path_factory.mktemp("full_cache")


@pytest.fixture(scope="session")
def points_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of tests.run_helpers.STEPS steps, never to be written to."""
    from tests.run_helpers import train_tiny

    return train_tiny("points", tmp_path_factory.mktemp("runs") / "points").path
