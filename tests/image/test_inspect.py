"""`image inspect` reads what training reads, and answers as it does."""

import numpy as np
import pytest

from multigan.image.commands import inspect_images
from multigan.image.datasets import sources
from multigan.image.datasets.images import load_images
from tests.image.image_factory import content, folder_of, random_image
from tests.image.test_arrays import BYTES, LABELS, idx


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    sources.read_images.cache_clear()


def test_arrays_and_idx_files_are_counted_like_folders(tmp_path, capsys):
    np.savez(tmp_path / "set.npz", x=BYTES, y=LABELS)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a-images-idx3-ubyte").write_bytes(idx(BYTES))
    (tmp_path / "set" / "a-labels-idx1-ubyte").write_bytes(idx(LABELS))
    for source in ("set.npz", "set"):
        inspect_images(source, resolution=6)
        told = f"{source}: 12 grayscale images\nclasses: 3 4, 5 4, 9 4\nused      12  array\n"
        assert capsys.readouterr().out == told


def test_tables_are_counted_like_folders(tmp_path, capsys):
    package = pytest.importorskip("datasets", exc_type=ImportError)
    cells = [{"bytes": content(random_image(k)), "path": None} for k in range(12)]
    rows = package.Dataset.from_dict({"image": cells, "label": ["cat", "dog"] * 6})
    rows.to_parquet(tmp_path / "set.parquet")
    inspect_images("set.parquet", resolution=6)
    told = "set.parquet: 12 color images\nclasses: cat 6, dog 6\nused      12  PNG: row 0, row 1,"
    assert told in capsys.readouterr().out


def test_a_builtin_dataset_is_counted(capsys):
    inspect_images("digits", resolution=8)
    assert capsys.readouterr().out.startswith(
        "digits: 1,797 grayscale images\nclasses: 0 178, 1 182,"
    )


def test_the_usual_folders_of_a_set_in_parts_are_read_as_its_classes(tmp_path, capsys):
    folder_of(tmp_path / "pets" / "train", 12)
    folder_of(tmp_path / "pets" / "test", 4, start=12)
    inspect_images("pets", resolution=8)
    out = capsys.readouterr().out
    assert out.startswith("pets: 16 color images\nclasses: cat 8, dog 8\n")
    assert "note: test, train are splits of one dataset and are joined\n" in out


@pytest.mark.parametrize(
    ("source", "resolution"), [("nowhere", 8), ("one.png", 8), ("few.npz", 6), ("pets", 0)]
)
def test_what_cannot_be_trained_on_is_answered_as_training_does(source, resolution, tmp_path):
    (tmp_path / "one.png").write_bytes(content(random_image(0)))
    np.savez(tmp_path / "few.npz", x=BYTES[:3])
    folder_of(tmp_path / "pets", 12)
    said = []
    for read in (inspect_images, load_images):
        with pytest.raises(ValueError) as caught:
            read(source, resolution=resolution)
        said.append(str(caught.value))
    assert said[0] == said[1] and "\n" not in said[0]
