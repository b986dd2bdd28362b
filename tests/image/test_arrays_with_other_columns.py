"""Arrays of images with further arrays: which of them are the labels, and which the names."""

import numpy as np
import pytest

from multigan.image.datasets.images import load_images

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
LABELS = np.arange(60) % 3


def classes(tmp_path, **arrays):
    file = tmp_path / f"{'-'.join(arrays)}.npz"
    np.savez(file, images=IMAGES, **arrays)
    return load_images(str(file), resolution=8).domain.class_names


@pytest.mark.parametrize("name", ["label", "labels", "y", "target", "Class"])
@pytest.mark.parametrize("other", ["fold", "idx", "a"])
def test_an_array_that_is_called_labels_comes_before_other_integers(tmp_path, name, other):
    assert classes(tmp_path, **{name: LABELS, other: np.arange(60)}) == ("0", "1", "2")


def test_label_comes_before_category_and_genre(tmp_path):
    others = {"category": np.arange(60) % 5, "genre": np.arange(60) % 4}
    assert classes(tmp_path, **others, label=LABELS) == ("0", "1", "2")


def test_file_names_are_not_names_of_classes(tmp_path):
    files = np.array([f"{k}.png" for k in range(60)])
    assert classes(tmp_path, labels=LABELS, files=files) == ("0", "1", "2")
    names, parts = np.array(["cat", "dog", "owl"]), np.array(["train", "test"])
    assert classes(tmp_path, a=parts, labels=LABELS, files=files, names=names) == (
        "cat",
        "dog",
        "owl",
    )
