"""Plain data as datasets: arrays, tensors, torch datasets and tables; splits and errors."""

import sys
import types

import numpy as np
import pytest
import torch
from torch.utils import data as torch_data

from multigan import ArrayDataset, Recipe, train
from multigan.arrays.datasets.map_style import MapDataset
from multigan.core.adapters import as_dataset
from multigan.core.protocols import Dataset
from multigan.core.trees import tree_leaves

X = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
LABELS = np.arange(50) % 5


def whole(data):
    return data.batch(torch.arange(len(data)))


class Items(torch_data.Dataset):
    """Pairs (x, label) of map style."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], int(LABELS[index])


class Noisy(Items):
    """With a random transform."""

    def __getitem__(self, index):
        return torch.from_numpy(X[index]) + torch.rand(3), int(LABELS[index])


class Stream(torch_data.IterableDataset):
    """Pairs of iterable style that states a length."""

    def __init__(self, stated=50):
        self.stated = stated

    def __len__(self):
        if self.stated is None:
            raise TypeError
        return self.stated

    def __iter__(self):
        return iter([(X[k], int(LABELS[k])) for k in range(50)])


class Wrapped:
    """What numpy can read."""

    def __array__(self, dtype=None, copy=None):
        return X


def table():
    datasets = pytest.importorskip("datasets", reason="pip install 'multigan[image]'")
    return datasets.Dataset.from_dict({"x": X.tolist(), "label": LABELS.tolist()})


SOURCES = {
    "arrays": lambda: ArrayDataset(X, LABELS),
    "pair": lambda: (X, LABELS),
    "tensors": lambda: (torch.from_numpy(X), torch.from_numpy(LABELS)),
    "tensor dataset": lambda: torch_data.TensorDataset(torch.tensor(X), torch.tensor(LABELS)),
    "map style": Items,
    "iterable": Stream,
    "samples": lambda: [(X[k], int(LABELS[k])) for k in range(50)],
    "table": table,
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_kind_of_data_has_the_same_samples_and_labels_in_disjoint_splits(name):
    train = as_dataset(SOURCES[name]())
    assert isinstance(train, Dataset) and train.split_name == "train"
    parts = [whole(train.split(part)) for part in ("train", "valid", "test")]
    assert [len(part.x) for part in parts] == [40, 5, 5]
    pairs = [pair for part in parts for pair in zip(part.x, part.condition, strict=True)]
    assert {tuple(row.tolist()): int(label) for row, label in pairs} == {
        tuple(row.tolist()): int(label) for row, label in zip(X, LABELS, strict=True)
    }
    assert train.domain.labels == (0, 1, 2, 3, 4) and train.domain.shape == (3,)
    again = as_dataset(SOURCES[name]())
    prints = [train.split(part).fingerprint for part in ("train", "valid", "test")]
    assert again.fingerprint == train.fingerprint == prints[0] and len(set(prints)) == 3


@pytest.mark.parametrize("x", [X.tolist(), Wrapped(), X.astype("float64"), torch.tensor(X).half()])
def test_samples_become_float32(x):
    data = as_dataset(x)
    assert len(data) == 40 and whole(data).x.dtype == torch.float32
    assert whole(data).condition is None


def test_the_object_holds_all_samples_and_values_become_columns():
    data = ArrayDataset(np.arange(10.0))
    assert len(data) == 10 and whole(data).x.tolist() == [[float(k)] for k in range(10)]
    none = ArrayDataset(X, held_out=0)
    assert [len(none.split(name)) for name in ("train", "valid", "test")] == [50, 0, 0]


def test_strings_are_labels_in_alphabetical_order():
    data = ArrayDataset(X, ["b", "a"] * 25)
    assert data.domain.class_names == ("a", "b")
    assert whole(data).condition[:2].tolist() == [1, 0]


def test_other_conditions_are_float32_trees():
    data = ArrayDataset(X, {"code": X[:, :2].astype("float64"), "kind": LABELS})
    found = whole(data).condition
    assert found["code"].dtype == torch.float32 and found["kind"].dtype == torch.int64
    assert data.domain.labels == ()


def test_random_transforms_are_a_function_of_the_stream():
    data = as_dataset(Noisy())
    before = torch.random.get_rng_state()
    first, again, other = (
        data.batch(torch.tensor([3]), torch.Generator().manual_seed(k)).x for k in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ArrayDataset(X, LABELS[:-1]), "y must have 50 rows, .* got 49"),
        (lambda: ArrayDataset(np.full((4, 2), np.nan)), "x must be finite; .* in sample 0"),
        (lambda: ArrayDataset(np.array([[1.0, 2.0], [np.inf, 0.0]])), "in sample 1"),
        (lambda: ArrayDataset(X, np.full(50, np.nan)), "y must be finite"),
        (lambda: ArrayDataset(np.array(["a", "b"])), "x must be an array of real numbers; got"),
        (lambda: ArrayDataset(X.astype(complex)), "x must be an array of real numbers; got"),
        (lambda: ArrayDataset([[1.0], [1.0, 2.0]]), "x must be an array of real numbers; got"),
        (lambda: ArrayDataset(np.float32(1)), "x must have samples on its first axis"),
        (lambda: ArrayDataset(np.zeros((0, 2))), "x must have samples on its first axis"),
        (lambda: ArrayDataset(X, held_out=1.0), r"held_out must be a fraction in \[0, 1\)"),
        (lambda: ArrayDataset(X).split("half"), "split must be one of train, valid, test"),
        (lambda: as_dataset((X, LABELS, X)), r"must be a pair \(x, y\); got 3 values"),
        (lambda: as_dataset(Stream(None)), "must state its length in __len__; Stream has none"),
        (lambda: as_dataset(Stream(60)), "must yield its length, 60; got 50"),
        (lambda: ArrayDataset.from_iterable([], 3), "must yield its length, 3; got 0"),
        (lambda: ArrayDataset.from_iterable(X, 0), "at least one sample; got a length of 0"),
        (
            lambda: ArrayDataset.from_iterable([X[0], X[0, :2]], 2),
            r"\(3,\); got \(2,\) in sample 1",
        ),
        (lambda: as_dataset(Stream(40)), "must yield its length, 40; got more"),
        (lambda: as_dataset(object()), "data must be a Dataset, an array, .*; got a object"),
        (lambda: as_dataset("folder"), "data must be a Dataset, an array, .*; got a str"),
        (lambda: as_dataset(table().rename_column("x", "a").add_column("b", LABELS)), "columns x"),
        (lambda: as_dataset(table().to_iterable_dataset()), "a streamed table must state"),
    ],
)
def test_what_is_wrong_is_one_sentence(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


class Sorted(torch_data.Dataset):
    """Samples in the order of their labels; the last label is that of one sample."""

    def __init__(self, labels, stated=False):
        self.own = labels
        if stated:
            self.targets = labels

    def __len__(self):
        return len(self.own)

    def __getitem__(self, index):
        return torch.full((2,), float(index)), self.own[index]


NUMBERS = [0] * 700 + [1] * 300 + [2]
NAMES = ["cat", "dog", "owl"]


@pytest.mark.parametrize("names", [False, True])
def test_a_label_that_appears_late_is_known_where_all_labels_are_stated(names):
    labels = [NAMES[k] for k in NUMBERS] if names else NUMBERS
    data = MapDataset(Sorted(labels, stated=True))
    assert data.domain.labels == (0, 1, 2)
    assert data.domain.class_names == (tuple(NAMES) if names else ("0", "1", "2"))
    assert data.batch(torch.tensor([0, 800, 1000])).condition.tolist() == [0, 1, 2]
    message = r"the label of sample 1000 must be one of the 2 .*; got ('owl'|2): give the dataset"
    with pytest.raises(ValueError, match=message):
        MapDataset(Sorted(labels)).batch(torch.tensor([1000]))


def test_labels_of_another_kind_or_number_are_not_those_of_the_samples():
    data = Sorted(NUMBERS[:900])
    data.targets = [7, 8]
    assert MapDataset(data).domain.labels == (0, 1)
    data.targets = ["a"] * 900
    assert MapDataset(data).domain.labels == (0, 1)


def test_a_split_is_hashed_once(monkeypatch):
    data = ArrayDataset(X, LABELS)
    prints = [data.split(name).fingerprint for name in ("train", "valid", "test")]
    monkeypatch.setattr(ArrayDataset, "_hash", None)
    again = data.split("train")
    assert [again.split(name).fingerprint for name in ("train", "valid", "test")] == prints


@pytest.mark.parametrize("in_memory", ["yes", "no"])
@pytest.mark.parametrize("y", [None, "labels", "names", "trees"])
def test_an_iterable_is_read_once_into_memory_or_a_file(in_memory, y, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    conditions = {"labels": LABELS, "names": [f"class {k}" for k in LABELS]}
    conditions["trees"] = [{"code": torch.tensor(row)} for row in X]
    items = iter(X if y is None else [*zip(X, conditions[y], strict=True)])
    data = ArrayDataset.from_iterable(items, 50, in_memory=in_memory)
    expected = ArrayDataset(X, {"code": X} if y == "trees" else conditions.get(y))
    assert data.in_memory == (in_memory == "yes") and not list(tmp_path.rglob("*.tmp"))
    assert data.domain == expected.domain
    for name in ("train", "valid", "test"):
        ours, theirs = data.split(name), expected.split(name)
        assert ours.fingerprint == theirs.fingerprint
        ours.prefetch(torch.arange(len(ours)))
        pairs = zip(tree_leaves(whole(ours)), tree_leaves(whole(theirs)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_streamed_table_is_read_once_with_its_length():
    data = ArrayDataset.from_iterable(table().to_iterable_dataset(), 50)
    assert data.fingerprint == ArrayDataset(X, LABELS).fingerprint


@pytest.mark.parametrize("in_memory", ["yes", "no"])
def test_a_run_of_an_iterable_is_that_of_its_array(in_memory, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    logs = []
    for k, data in enumerate((ArrayDataset.from_iterable(X, 50, in_memory=in_memory), X)):
        torch.manual_seed(0)
        networks = {"generator": torch.nn.Linear(2, 3), "discriminator": torch.nn.Linear(3, 1)}
        recipe = Recipe(data=data, latent_dim=2, steps=3, batch_size=8, **networks)
        with pytest.warns(UserWarning, match="not measured"):
            run = train(recipe, out=str(tmp_path / f"run {k}"), show=0, report=False, log_every=1)
        logs.append([line["loss/discriminator"] for line in run.log])
    assert logs[0] == logs[1] and len(logs[0]) == 3


def test_bytes_of_images_are_pointed_to_the_domain_of_images():
    with pytest.warns(UserWarning, match="for images use ImageDataset.from_arrays"):
        ArrayDataset(np.zeros((4, 8, 8), np.uint8))


def test_a_list_of_points_holds_points_and_not_pairs():
    data = as_dataset([(0.1, 0.2), (0.3, 0.4)] * 20)
    assert data.batch(torch.arange(2)).x.shape == (2, 2)


def test_another_module_called_datasets_changes_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", types.ModuleType("datasets"))
    assert len(as_dataset(np.zeros((50, 2)))) == 40
