"""Labels, bytes, names and errors of plain data, the same for every kind of dataset."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from multigan import ArrayDataset
from multigan.arrays.datasets.map_style import MapDataset
from multigan.core.adapters import as_dataset


def test_a_column_of_integers_is_labels():
    labels = np.arange(40) % 3
    column = ArrayDataset(np.zeros((40, 2)), labels[:, None])
    assert column.domain == ArrayDataset(np.zeros((40, 2)), labels).domain
    assert column.y.shape == (40,) and column.domain.labels == (0, 1, 2)
    pairs = [(np.zeros(2), labels[k : k + 1]) for k in range(40)]
    assert as_dataset(pairs).domain.labels == (0, 1, 2)
    assert ArrayDataset(np.zeros((40, 2)), np.eye(3, dtype=int)[labels]).y.dtype == torch.float32


class Items(torch.utils.data.Dataset):
    """A dataset of map style of the values of a function."""

    def __init__(self, make, count=40):
        self.make, self.count = make, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return self.make(index)


def test_a_sample_of_map_style_with_a_column_of_labels_has_a_label():
    found = MapDataset(Items(lambda k: (torch.zeros(2), torch.tensor([k % 3]))))
    assert found.domain.labels == (0, 1, 2)
    assert found.batch(torch.arange(4)).condition.tolist() == [0, 1, 2, 0]


def test_the_sample_that_is_not_finite_is_named_once():
    items = Items(lambda k: torch.full((2,), math.nan if k == 30 else 1.0), 30)
    data = MapDataset(items)
    items.count = 40
    with pytest.raises(ValueError, match=r"^x of sample 30 must be finite; got NaN or infinity$"):
        data._sample(30)


BYTES = {
    "tensors": lambda k: torch.full((4, 4), k, dtype=torch.uint8),
    "arrays": lambda k: np.full((4, 4, 3), k, np.uint8),
    "images of Pillow": lambda k: Image.new("L", (4, 4), k),
}


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("read", [MapDataset, lambda d: ArrayDataset.from_iterable(iter(d), 40)])
def test_bytes_of_every_kind_of_dataset_are_warned_of(kind, read):
    items = Items(BYTES[kind])
    with pytest.warns(UserWarning, match="x holds bytes, and its values stay 0 to 255"):
        read(items if read is MapDataset else [items[k] for k in range(40)])


def test_data_without_a_length_or_values_are_refused():
    class Endless(torch.utils.data.Dataset):
        def __getitem__(self, index):
            return torch.zeros(2)

    with pytest.raises(ValueError, match="must state its length in __len__; Endless has none"):
        as_dataset(Endless())
    with pytest.raises(ValueError, match="got a tensor on the meta device"):
        as_dataset(torch.empty(4, 2, device="meta"))


def test_the_classes_of_a_table_keep_their_names_and_numbers():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"x": datasets.Value("float32"), "label": datasets.ClassLabel(names=["zebra", "ant"])}
    )
    columns = {"x": [float(k) for k in range(40)], "label": [k % 2 for k in range(40)]}
    data = as_dataset(datasets.Dataset.from_dict(columns, features=features))
    assert data.domain.labels == (0, 1) and data.domain.class_names == ("zebra", "ant")
    assert data.split("valid").domain.class_names == ("zebra", "ant")


def test_an_error_of_a_dataset_names_the_sample():
    def make(index):
        return torch.zeros(2) if index < 30 else {}["boom"]

    with pytest.raises(ValueError, match="sample 30 of the dataset cannot be read: Key"):
        MapDataset(Items(make))
