"""Sub-folders are classes, unless they are called like the parts of a set."""

import re

import pytest

from multigan.image.formats.labels import encode_labels, folder_labels


def test_labels_are_the_first_folder_in_which_files_differ():
    assert folder_labels(["a/1", "a/2"]) == folder_labels(["1", "2"]) == (None, (), "")
    labels, names, _ = folder_labels(["top/b/x/1", "top/a/2", "top/b/y/3"])
    assert labels.tolist() == [1, 0, 1] and names == ("a", "b")
    outside = folder_labels(["a/1", "2"])
    assert outside.numbers is None and outside.note.startswith("1 of 2 images are outside of the")


@pytest.mark.parametrize(
    "files",
    [
        ["train/cat/1", "train/dog/2", "test/cat/3"],
        ["pets/Train/cat/1", "pets/Train/dog/2", "pets/Val/cat/3"],
        ["training/images/cat/1", "training/images/dog/2", "validation/images/cat/3"],
    ],
)
def test_parts_of_a_set_are_joined_and_their_sub_folders_are_the_classes(files):
    labels, names, note = folder_labels(files)
    assert note.endswith("are splits of one dataset and are joined")
    assert labels.tolist() == [0, 1, 0] and names == ("cat", "dog")


@pytest.mark.parametrize(
    "files",
    [
        ["train/1", "test/2"],
        ["train/cat/1", "train/dog/2", "test/3"],
        ["train/cat/1", "train/dog/2", "test/unknown/3"],
    ],
)
def test_parts_without_shared_sub_folders_are_no_classes(files):
    found = folder_labels(files)
    assert found.numbers is None
    assert re.match("test, train are .* share no subfolders that", found.note)


def test_a_class_may_have_the_name_of_a_split():
    labels, names, _ = folder_labels(["train/1", "plane/2"])
    assert labels.tolist() == [1, 0] and names == ("plane", "train")


@pytest.mark.parametrize(
    ("values", "names", "numbers"),
    [
        ([1, 1, None, 2], ("1", "2"), [0, 0, -1, 1]),
        (["1", "1", ""], ("1",), [0, 0, -1]),
        ([-1, 1, None], ("-1", "1"), [0, 1, -1]),
        (["001", "01", "001"], ("001", "01"), [0, 1, 0]),
    ],
)
def test_missing_labels_are_no_class_and_names_keep_their_zeros(values, names, numbers):
    encoded = encode_labels(values)
    assert encoded.names == names and encoded.numbers.tolist() == numbers
