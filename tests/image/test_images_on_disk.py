"""Images that are read from a file are those in memory, in the same order, bit by bit."""

from __future__ import annotations

import os
import signal
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from multigan.core.protocols import Batch, HasLabels, SupportsPrefetch
from multigan.engine.batches import BatchStream
from multigan.image.datasets import sources
from multigan.image.datasets.images import ImageDataset
from multigan.image.formats import decode_workers, decoded_images
from multigan.image.metrics.balanced_subsets import class_balanced_subsets
from multigan.runs.directory import read_jsonl
from multigan.storage.row_files import StoredRows
from multigan.training.callbacks import Callback
from multigan.training.launch import resume, train
from multigan.training.loop import Interrupted
from tests.image.image_factory import content, folder_of, random_image
from tests.run_helpers import weights_at

SIDE = 8
COUNT = 40
MODES = ("yes", "no")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()
    yield
    sources.read_images.cache_clear()


def in_folder(root):
    folder = folder_of(root / "pets", COUNT)
    (folder / "cat" / "again.png").write_bytes((folder / "cat" / "0000.png").read_bytes())
    (folder / "dog" / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def gray(root):
    (root / "gray").mkdir()
    for k in range(COUNT):
        image = random_image(k).convert("I;16" if k % 2 else "L")
        (root / "gray" / f"{k}.png").write_bytes(content(image))
    return root / "gray"


def in_archive(root):
    with zipfile.ZipFile(root / "pets.zip", "w") as archive:
        for file in sorted(folder_of(root / "unpacked", COUNT).rglob("*.png")):
            archive.write(file, file.relative_to(root / "unpacked"))
    return root / "pets.zip"


def in_table(root):
    datasets = pytest.importorskip("datasets")
    cells = [{"bytes": content(random_image(k)), "path": None} for k in range(COUNT)]
    table = datasets.Dataset.from_dict({"image": cells, "label": [k % 2 for k in range(COUNT)]})
    table.to_parquet(str(root / "pets.parquet"))
    return root / "pets.parquet"


@pytest.mark.filterwarnings("ignore:.*(are skipped|so the images are dark|read as)")
@pytest.mark.parametrize("source", [in_folder, gray, in_archive, in_table])
@pytest.mark.parametrize("cached_by", MODES)
def test_every_split_has_the_same_samples_and_fingerprint(source, cached_by, tmp_path, monkeypatch):
    monkeypatch.setattr(decode_workers, "MAX_SPOOL_BYTES", 10 * 3 * SIDE**2)
    path = str(source(tmp_path))
    ImageDataset(path, SIDE, in_memory=cached_by)  # which writes the file
    for split in ("all", "train", "valid", "test"):
        sets = [ImageDataset(path, SIDE, split, None, True, in_memory=mode) for mode in MODES]
        assert [data.in_memory for data in sets] == [True, False]
        assert len(sets[0]) == len(sets[1]) and sets[0].fingerprint == sets[1].fingerprint
        order = torch.randperm(len(sets[0]))
        for data in sets:
            data.prefetch(order)
        first, second = (data.batch(order) for data in sets)
        assert torch.equal(first.x, second.x) and first.x.shape[1] == (1 if source is gray else 3)
        if first.condition is not None:
            assert torch.equal(first.condition, second.condition)
    assert sets[0].split("train").fingerprint == sets[1].split("train").fingerprint
    assert "in memory, 0.0 MB" in str(sets[0].data_counts().summary())
    assert "read from a cached file, 0.0 MB" in str(sets[1].data_counts().summary())


def test_size_decides_and_what_grows_while_it_is_decoded_is_read_from_its_file(
    tmp_path, monkeypatch
):
    path = str(in_folder(tmp_path))
    needed = COUNT * 3 * SIDE**2
    for limit, expected in ((needed + 10 * 3 * SIDE**2, True), (needed - 1, False)):
        monkeypatch.setattr("multigan.storage.dataset_memory.MAX_IN_MEMORY_BYTES", limit)
        sources.read_images.cache_clear()
        with pytest.warns(UserWarning, match="2 of 42 files are skipped"):
            assert ImageDataset(path, SIDE).in_memory == expected


def test_a_run_from_the_file_is_the_run_in_memory_even_if_it_is_resumed(tmp_path):
    path = str(folder_of(tmp_path / "pets", COUNT))
    settings = {"tiny": True, "resolution": SIDE, "show": 0, "report": False, "log_every": 1}
    settings |= {"save_every": 2, "sample_every": 1000, "data": path}
    runs = [tmp_path / mode for mode in MODES]
    with pytest.warns(UserWarning, match="not measured"):
        train("image", steps=4, in_memory="yes", out=str(runs[0]), **settings)
        with pytest.raises(Interrupted):
            stop = [StopAfterTwo()]
            train("image", steps=4, in_memory="no", out=str(runs[1]), callbacks=stop, **settings)
        resume(runs[1], show=0)
    logs = [[loss_of(line) for line in read_jsonl(run / "log.jsonl")] for run in runs]
    assert logs[0] == logs[1] and len(logs[0]) == 4
    expected, found = (weights_at(run, 4) for run in runs)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


class StopAfterTwo(Callback):
    """Ends a run as a user does."""

    def on_step(self, step, values):
        if step == 2:
            os.kill(os.getpid(), signal.SIGTERM)


def loss_of(line):
    return {name: value for name, value in line.items() if name.startswith(("loss", "logits"))}


def test_a_cache_that_cannot_be_written_is_a_warning_and_leaves_nothing(tmp_path, monkeypatch):
    path = str(folder_of(tmp_path / "pets", COUNT))
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.warns(UserWarning, match="the cache .* cannot be written"):
        data = ImageDataset(path, SIDE, in_memory="no")
    assert not list((tmp_path / "temporary").iterdir()) and not data.in_memory
    assert len(data.batch(torch.arange(COUNT)).x) == COUNT


@pytest.mark.parametrize("damage", ["zeroed", "another shape"])
@pytest.mark.parametrize("mode", MODES)
def test_damaged_images_in_the_cache_are_decoded_again(damage, mode, tmp_path):
    path = str(folder_of(tmp_path / "pets", COUNT))
    whole = ImageDataset(path, SIDE, in_memory=mode).fingerprint
    (file,) = (tmp_path / "cache" / "multigan").iterdir()
    stored = file.read_bytes()
    if damage == "zeroed":
        file.write_bytes(stored[:100] + bytes(100) + stored[200:])
    else:
        with decoded_images.RowWriter((3, 4, 4), "uint8", None) as writer:
            writer.append(np.zeros((COUNT, 3, 4, 4), np.uint8))
            writer.save(file, [])
    sources.read_images.cache_clear()
    assert ImageDataset(path, SIDE, in_memory=mode).fingerprint == whole
    assert file.read_bytes() == stored, "it is stored again"


def test_an_option_that_does_nothing_is_a_warning(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8), np.uint8))
    with pytest.warns(UserWarning, match="--in-memory no is for image files and tables only"):
        assert ImageDataset(str(tmp_path / "x.npy"), SIDE, in_memory="no").in_memory
    with pytest.raises(ValueError, match="in_memory must be one of auto, yes, no; got 'never'"):
        ImageDataset(str(tmp_path / "x.npy"), SIDE, in_memory="never")


def test_a_balanced_subset_reads_no_other_image(tmp_path):
    path = str(folder_of(tmp_path / "pets", COUNT))
    data = ImageDataset(path, SIDE, horizontal_flip=True, in_memory="no").split("train")
    assert isinstance(data, HasLabels) and isinstance(data, SupportsPrefetch)
    read = []
    data._batch = lambda indices, own=data._batch: read.append(len(indices)) or own(indices)
    (subset,) = class_balanced_subsets([data], 6)
    assert subset.condition.tolist() == [0] * 3 + [1] * 3 and read == [6]


def test_images_that_are_all_alike_are_found_in_a_file(tmp_path):
    (tmp_path / "alike").mkdir()
    for k in range(12):
        file = content(Image.new("L", (SIDE, SIDE), 7), pnginfo=None) + bytes([k])
        (tmp_path / "alike" / f"{k}.png").write_bytes(file)
    with pytest.raises(ValueError, match="must have images that differ; got 12 images that are"):
        ImageDataset(str(tmp_path / "alike"), SIDE, in_memory="no")


class Rows:
    """A dataset of stored rows that notes what is read ahead."""

    in_memory, is_stochastic, fingerprint, domain = False, False, "", None

    def __init__(self, count):
        self.count, self.ahead, self.read = count, [], []

    def __len__(self):
        return self.count

    def prefetch(self, indices):
        self.ahead.append(indices.tolist())

    def batch(self, indices, rng=None):
        self.read.append(indices.tolist())
        return Batch(indices.float()[:, None])

    def split(self, name):
        return self


def test_each_batch_is_read_ahead_before_it_is_used():
    data = Rows(10)
    stream = BatchStream(data, seed=0, batch_size=4).batches(3)
    values = [next(stream).x[:, 0].long().tolist() for _ in range(7)]
    plain = BatchStream(data, seed=0, batch_size=4)
    assert values == [plain.sample_indices(k)[1].tolist() for k in range(3, 10)]
    assert data.read == values and data.ahead[: len(values) - 1] == values[1:]


def test_stored_rows_are_what_a_file_of_images_holds(tmp_path):
    data = ImageDataset(str(folder_of(tmp_path / "pets", COUNT)), SIDE, in_memory="no")
    assert isinstance(data._pixels, StoredRows) and data._pixels.num_bytes == COUNT * 3 * SIDE**2
