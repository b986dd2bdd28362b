"""Parquet and Arrow datasets are read with their classes; unused columns are reported."""

import numpy as np
import pytest
import torch

from multigan.core import optional_dependencies
from multigan.image.datasets import sources
from multigan.image.datasets.images import load_images
from multigan.image.formats.decode import Size
from multigan.image.formats.hf_tables import read_table
from tests.image.image_factory import content, random_image

SIZE = Size(6, 6)


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()


@pytest.fixture
def table():
    return pytest.importorskip("datasets", exc_type=ImportError)


def rows_of(table, broken=()):
    """A set of 12 images of two named classes."""
    cells = [{"bytes": content(random_image(k)), "path": None} for k in range(12)]
    for row in broken:
        cells[row] = {"bytes": b"no image", "path": None}
    features = table.Features(image=table.Image(), label=table.ClassLabel(names=["cat", "dog"]))
    values = {"image": cells, "label": [k % 2 for k in range(12)]}
    return table.Dataset.from_dict(values, features=features)


def test_parquet_and_arrow_sets_are_read(table, tmp_path):
    rows = rows_of(table)
    rows.to_parquet(tmp_path / "set.parquet")
    rows.save_to_disk(tmp_path / "saved")
    (tmp_path / "folder").mkdir()
    rows.to_parquet(tmp_path / "folder" / "train-0.parquet")
    for source in ("set.parquet", "saved", "folder"):
        data = load_images(str(tmp_path / source), resolution=16)
        assert data.domain.class_names == ("cat", "dog") and len(data) == 12
        batch = data.batch(torch.arange(12))
        assert batch.condition.tolist() == [k % 2 for k in range(12)]
        wanted = np.asarray(random_image(7)).transpose(2, 0, 1) / 127.5 - 1
        assert np.allclose(batch.x[7].numpy(), wanted, atol=1e-6)


def test_files_of_feather_are_read_and_empty_ones_are_passed_over(table, tmp_path):
    feather = pytest.importorskip("pyarrow.feather")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = rows_of(table)
    for name in ("set.arrow", "set.feather"):
        feather.write_feather(rows.data.table, tmp_path / name)
        assert len(load_images(str(tmp_path / name), resolution=16)) == 12
    (tmp_path / "folder").mkdir()
    parquet.write_table(rows.data.table[:0], tmp_path / "folder" / "b.parquet")
    with pytest.raises(ValueError, match="folder must have rows; got none"):
        load_images(str(tmp_path / "folder"), resolution=16)
    rows.to_parquet(tmp_path / "folder" / "a.parquet")
    assert len(load_images(str(tmp_path / "folder"), resolution=16)) == 12


def test_rows_that_cannot_be_decoded_are_counted(table, tmp_path):
    rows_of(table, broken=[1]).to_parquet(tmp_path / "set.parquet")
    with pytest.warns(UserWarning, match="1 of 12 rows are skipped: row 1: cannot be read"):
        images = read_table(str(tmp_path / "set.parquet"), SIZE)
    assert images.labels.tolist() == [0, *([0, 1] * 5)]


def test_a_table_without_images_or_that_is_none_is_one_line(table, tmp_path):
    table.Dataset.from_dict({"text": ["a"] * 12}).to_parquet(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match=r"must have a column of images; got text \(string\)"):
        load_images(str(tmp_path / "text.parquet"), resolution=6)
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match=r"bad\.parquet must be a readable table"):
        load_images(str(tmp_path / "bad.parquet"), resolution=6)


def test_a_missing_package_is_answered_with_the_line_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(optional_dependencies.importlib.util, "find_spec", lambda name: None)
    (tmp_path / "x.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match=r"pip install 'multigan\[image\]'"):
        load_images(str(tmp_path / "x.parquet"), resolution=6)


def with_columns(table, tmp_path, **columns):
    """A Parquet file of 12 images and other columns."""
    rows = rows_of(table).remove_columns("label")
    for name, values in columns.items():
        rows = rows.add_column(name, values)
    rows.to_parquet(tmp_path / "set.parquet")
    return str(tmp_path / "set.parquet")


@pytest.mark.parametrize(
    ("name", "values", "names"),
    [
        ("label", [3, 7] * 6, ("3", "7")),
        ("Labels", [3.0, 7.0] * 6, ("3", "7")),
        ("class", ["cat", "dog"] * 6, ("cat", "dog")),
        ("label", [[1, 0], [0, 1]] * 6, ("0", "1")),
    ],
    ids=["whole numbers", "floats", "text", "one-hot"],
)
def test_a_column_called_label_is_the_classes(name, values, names, table, tmp_path):
    images = read_table(with_columns(table, tmp_path, id=[*range(12)], **{name: values}), SIZE)
    assert images.class_names == names and images.labels.tolist() == [0, 1] * 6


def test_labels_stay_with_their_rows_where_some_are_not_used(table, tmp_path):
    rows = rows_of(table, broken=[1]).remove_columns("label")
    rows.add_column("label", ["cat", "dog"] * 6).to_parquet(tmp_path / "set.parquet")
    with pytest.warns(UserWarning, match="1 of 12 rows are skipped"):
        images = read_table(str(tmp_path / "set.parquet"), SIZE)
    assert images.class_names == ("cat", "dog") and images.labels.tolist() == [0, *([0, 1] * 5)]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"digit": [0, 1] * 6}, "digit;"),
        ({"label": [0.5, 1.5] * 6}, "label;"),
        ({"label": [None] * 12}, "label;"),
        ({"label": [[1], [1, 0]] * 6}, "label;"),
        ({"text": [f"file {k}" for k in range(12)]}, "text;"),
        ({k: [0] * 12 for k in "abc"} | {"label": list("abcdefghijkl")}, "label, a, b, ...;"),
    ],
    ids=["another name", "fractions", "empty cells", "ragged", "captions", "all differ"],
)
def test_columns_that_are_not_used_as_classes_are_named(columns, told, table, tmp_path):
    source = with_columns(table, tmp_path, **columns)
    with pytest.warns(
        UserWarning, match=f"not used as classes: {told} labels must be a ClassLabel"
    ):
        assert read_table(source, SIZE).labels is None


def test_missing_labels_are_reported(table, tmp_path):
    rows = rows_of(table)
    rows.map(lambda row: {"label": -1 if row["label"] else 0}).to_parquet(tmp_path / "set.parquet")
    with pytest.warns(UserWarning, match="not used as classes: only 6 of 12 images have a label"):
        assert len(read_table(str(tmp_path / "set.parquet"), SIZE).pixels) == 12
    rows.map(lambda row: {"label": None}).to_parquet(tmp_path / "empty.parquet")
    with pytest.warns(UserWarning, match="not used as classes: label;"):
        assert read_table(str(tmp_path / "empty.parquet"), SIZE).labels is None


def test_several_splits_saved_together_are_one_set(table, tmp_path):
    rows = rows_of(table)
    splits = {"train": rows.select(range(8)), "test": rows.select(range(8, 12))}
    table.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    data = load_images(str(tmp_path / "saved"), resolution=16)
    assert data.domain.class_names == ("cat", "dog")
    assert data.batch(torch.arange(12)).condition.tolist() == [0, 1] * 6


@pytest.mark.parametrize("struct", [False, True], ids=["bytes", "struct"])
def test_bytes_without_a_feature_of_images_are_images(struct, table, tmp_path):
    cells = [content(random_image(k)) for k in range(12)]
    values = [{"bytes": cell, "path": None} for cell in cells] if struct else cells
    table.Dataset.from_dict({"label": [0, 1] * 6, "png": values}).to_parquet(tmp_path / "x.parquet")
    images = read_table(str(tmp_path / "x.parquet"), Size(16, 16))
    assert np.array_equal(images.pixels[3].permute(1, 2, 0).numpy(), np.asarray(random_image(3)))
    assert images.labels.tolist() == [0, 1] * 6
