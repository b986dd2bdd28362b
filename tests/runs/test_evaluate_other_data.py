"""`multigan evaluate RUN --data OTHER`: data that fit the generator; the table names them."""

import numpy as np
import pytest

from multigan.arrays.datasets.sources import ArraySource
from multigan.core.evaluation_size import small_evaluations
from multigan.runs.evaluate import evaluate
from tests.run_helpers import train_tiny


@pytest.fixture(scope="module")
def image_run(tmp_path_factory):
    return train_tiny("image", tmp_path_factory.mktemp("other") / "image").path


def images(tmp_path, names):
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (80, 16, 16), dtype=np.uint8), np.arange(80) % len(names)
    file = tmp_path / "other.npz"
    np.savez(file, images=pixels, labels=labels, names=np.array(names))
    return str(file)


def test_data_with_other_classes_are_refused(image_run, tmp_path):
    other = images(tmp_path, ["apple", "pear"])
    with pytest.raises(ValueError, match=r"classes 0, 1, 2, .*of the generator; got apple, pear"):
        evaluate(image_run, data=other)
    np.save(tmp_path / "plain.npy", np.load(other)["images"])
    with pytest.raises(ValueError, match=r"those of the generator; got none"):
        evaluate(image_run, data=str(tmp_path / "plain.npy"))


def test_the_table_names_the_other_data(image_run):
    with small_evaluations():
        own, other = evaluate(image_run), evaluate(image_run, data="digits")
    assert own.rows == other.rows  # the digits are the data of the run
    assert other.notes == (*own.notes[:-1], f"{own.notes[-1]}, of other data: digits")


def test_whole_numbers_in_floating_point_are_labels(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    np.savez(tmp_path / "whole.npz", x=x, y=y.astype(float))
    assert ArraySource(str(tmp_path / "whole.npz")).domain.labels == (0, 1)
    for name, values in {
        "part": y + 0.5,
        "prices": 3.0 * np.arange(40),
        "large": 3e6 * y,
    }.items():
        np.savez(tmp_path / f"{name}.npz", x=x, y=values)
        assert not ArraySource(str(tmp_path / f"{name}.npz")).domain.labels
