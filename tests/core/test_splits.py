"""Splits: the fraction of each class, and none empty where there are samples for all."""

import itertools
from collections import Counter

import pytest
import torch

from multigan.core.splits import WHOLE, split_members

BOUNDS = {"train": (0.0, 0.7), "valid": (0.7, 0.85), "test": (0.85, 1.0)}


def splits_of(labels, bounds=BOUNDS):
    labels = None if labels is None else torch.tensor(labels)
    count = 40 if labels is None else len(labels)
    return {name: split_members(count, labels, name, bounds).tolist() for name in bounds}


@pytest.mark.parametrize(
    "labels",
    [
        None,
        [0] * 20 + [1] * 20,
        [k // 3 for k in range(6)],  # two classes of three
        [k // 4 for k in range(8)],
        [k // 5 for k in range(150)],
        [0] * 3 + [1] * 4,
        list(range(9)),
    ],
)
def test_splits_are_disjoint_complete_and_none_is_empty(labels):
    found = splits_of(labels)
    members = sorted(itertools.chain(*found.values()))
    assert members == list(range(len(members))) and all(found.values())
    assert all(part == sorted(part) for part in found.values())


def test_large_classes_have_their_fraction_in_every_split():
    labels = [0] * 20 + [1] * 100
    for name, (first, last) in BOUNDS.items():
        counts = Counter(labels[k] for k in splits_of(labels)[name])
        assert counts == {c: round(n * last) - round(n * first) for c, n in ((0, 20), (1, 100))}


def test_every_class_of_few_samples_is_trained_on():
    """Five samples each: no fraction of one class is a validation sample."""
    found = splits_of([k // 5 for k in range(150)])
    assert {name: len(part) for name, part in found.items()} == {
        "train": 105,
        "valid": 23,
        "test": 22,
    }
    assert set(Counter(k // 5 for k in found["train"]).values()) == {3, 4}


def test_a_split_without_a_fraction_stays_empty():
    bounds = {"train": (0.0, 1.0), "valid": (1.0, 1.0), "test": (1.0, 1.0)}
    assert [len(part) for part in splits_of([0, 0, 1, 1], bounds).values()] == [4, 0, 0]
    assert split_members(4, None, WHOLE, bounds).tolist() == [0, 1, 2, 3]
