"""Folders and archives: usable files are read in order, others are counted and named."""

import resource
import warnings
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from multigan.image.commands import inspect_images
from multigan.image.datasets import sources
from multigan.image.datasets.images import ImageDataset, load_images
from multigan.image.formats import decode_workers, folder
from multigan.image.formats.decode import Size
from multigan.image.formats.folder import read_folder
from tests.image.image_factory import content, folder_of, random_image
from tests.run_helpers import snapshot

SIZE = Size(8, 8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()
    yield
    sources.read_images.cache_clear()


def zipped(root, file):
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(root.rglob("*.*")):
            archive.write(path, path.relative_to(root.parent))
    return file


def test_sub_folders_are_classes_and_their_names_the_labels(tmp_path):
    root = folder_of(tmp_path / "pets", 12)
    images = read_folder(str(root), SIZE)
    assert images.class_names == ("cat", "dog") and images.labels.tolist() == [0] * 6 + [1] * 6
    assert images.pixels.shape == (12, 3, 8, 8)
    data = load_images(str(root), resolution=8)
    assert data.domain.class_names == ("cat", "dog")
    assert [len(data.split(name)) for name in ("train", "valid", "test")] == [8, 2, 2]


def test_an_archive_is_read_like_the_folder_in_it(tmp_path):
    root = folder_of(tmp_path / "pets", 12)
    from_folder = read_folder(str(root), SIZE)
    from_archive = read_folder(str(zipped(root, tmp_path / "pets.zip")), SIZE)
    assert torch.equal(from_folder.pixels, from_archive.pixels)
    assert from_archive.class_names == ("cat", "dog"), "the one folder on top is no class"


def test_broken_files_among_many_are_counted_named_and_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(decode_workers, "FILES_PER_WORKER", 10)
    monkeypatch.setattr(decode_workers, "available_cpus", lambda: 2)
    root = folder_of(tmp_path / "pets", 40)
    whole = read_folder(str(root), SIZE).pixels
    for k in range(0, 40, 4):
        (root / "cat" / f"{k:04d}.png").write_bytes(b"\x89PNG broken")
    (root / "dog" / "again.png").write_bytes((root / "dog" / "0001.png").read_bytes())
    (root / "notes.txt").write_text("mine")
    (root / ".DS_Store").write_text("the system's")
    told = (
        r"pets: 12 of 42 files are skipped: 10 cannot be read \(cat/0000.png, cat/0004.png, "
        r"cat/0008.png, ...\); 1 the same as another file \(dog/again.png\); "
        r"1 no image file \(notes.txt\); list them: multigan image inspect$"
    )
    for _ in ("decoded", "from the cache"):
        with pytest.warns(UserWarning, match=told):
            images = read_folder(str(root), SIZE)
    assert images.labels.tolist() == [0] * 10 + [1] * 20
    kept = [k for k in range(0, 40, 2) if k % 4] + list(range(1, 40, 2))
    order = [*range(0, 40, 2), *range(1, 40, 2)]
    assert torch.equal(images.pixels, whole[[order.index(k) for k in kept]])
    inspect_images(str(root), resolution=8)
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("pets: 30 color images") and out[1] == "classes: cat 10, dog 20"
    assert len([line for line in out if line.startswith("skipped: ")]) == 12
    assert "skipped: notes.txt: no image file" in out
    assert "left out  10  cannot be read: cat/0000.png, cat/0004.png, cat/0008.png, ..." in out
    assert "ignored    1  hidden, or of the operating system: .DS_Store" in out


def test_several_processes_read_what_one_reads(tmp_path, monkeypatch):
    root = folder_of(tmp_path / "pets", 23)
    alone = read_folder(str(root), SIZE)
    monkeypatch.setattr(decode_workers, "FILES_PER_WORKER", 8)
    monkeypatch.setattr(decode_workers, "available_cpus", lambda: 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    together = read_folder(str(root), SIZE)
    assert torch.equal(alone.pixels, together.pixels)
    assert torch.equal(alone.labels, together.labels)


def test_a_set_is_decoded_once_and_again_when_it_changes(tmp_path, monkeypatch):
    root = folder_of(tmp_path / "pets", 12)
    first = read_folder(str(root), SIZE)
    (kept,) = (tmp_path / "cache" / "multigan").iterdir()
    monkeypatch.setattr(folder, "decode_files_parallel", None)
    assert torch.equal(read_folder(str(root), SIZE).pixels, first.pixels)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept.write_bytes(kept.read_bytes()[:100])
    assert torch.equal(read_folder(str(root), SIZE).pixels, first.pixels), "a damaged one"
    folder_of(root, 1, start=12)
    assert len(read_folder(str(root), SIZE).pixels) == 13


def test_a_full_disk_is_no_reason_not_to_go_on(tmp_path, monkeypatch):
    root = folder_of(tmp_path / "pets", 12)
    (tmp_path / "cache").write_text("no folder")
    with pytest.warns(UserWarning, match="the cache .* cannot be written"):
        assert len(read_folder(str(root), SIZE).pixels) == 12


def test_one_colour_image_makes_the_set_one_of_colour(tmp_path):
    root = tmp_path / "pets"
    root.mkdir()
    for k in range(11):
        (root / f"{k:02d}.png").write_bytes(content(random_image(k).convert("L")))
    assert read_folder(str(root), SIZE).pixels.shape == (11, 1, 8, 8)
    (root / "x.png").write_bytes(content(random_image(11)))
    pixels = read_folder(str(root), SIZE).pixels
    assert pixels.shape == (12, 3, 8, 8)
    assert torch.equal(pixels[0, 0], pixels[0, 2]) and not torch.equal(*pixels[11, :2])


@pytest.mark.parametrize(
    ("files", "answer"),
    [
        ({}, "must hold images .*; got no file"),
        ({f"{k}.png": k for k in range(3)}, "must have 10 or more usable images; got 3"),
        (
            {"a.txt": None, "b.png": 1},
            "must have 10 or more usable images; got 1; 1 of 2 files are",
        ),
    ],
)
def test_too_few_images_say_so_in_one_line(files, answer, tmp_path):
    root = tmp_path / "few"
    root.mkdir()
    for name, seed in files.items():
        (root / name).write_bytes(b"text" if seed is None else content(random_image(seed)))
    with pytest.raises(ValueError, match=answer) as caught:
        load_images(str(root), resolution=8)
    assert "\n" not in str(caught.value) and "few" in str(caught.value)


def test_an_archive_with_outside_paths_writes_nothing_and_is_reported(tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    with zipfile.ZipFile(inside / "evil.zip", "w") as archive:
        for k in range(12):
            archive.writestr(f"{k}.png", content(random_image(k)))
        archive.writestr("../../out.png", content(random_image(20)))
        archive.writestr("..\\out.png", content(random_image(21)))
        archive.writestr("/out.png", content(random_image(22)))
    before = snapshot(tmp_path)
    with pytest.warns(UserWarning, match=r"3 path outside the archive \(../../out.png, "):
        images = read_folder(str(inside / "evil.zip"), SIZE)
    assert len(images.pixels) == 12
    after = snapshot(tmp_path)
    assert {name for name in after if not name.startswith("cache/")} == set(before)


def test_an_image_bomb_costs_no_memory(tmp_path):
    for k in range(12):
        (tmp_path / f"{k:02d}.png").write_bytes(content(random_image(k)))
    (tmp_path / "bomb.png").write_bytes(content(Image.new("1", (20_000, 20_000))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.warns(UserWarning, match=r"1 too large \(bomb.png\)"):
        assert len(read_folder(str(tmp_path), SIZE).pixels) == 12
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000, f"{grown} KiB; the bomb's pixels are 1.2 GB as RGB"


def test_no_archive_is_one_line(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match=r"x\.zip must be a readable zip archive"):
        load_images(str(tmp_path / "x.zip"), resolution=8)


def test_a_set_of_any_shape_is_a_domain_of_that_shape(tmp_path):
    root = folder_of(tmp_path / "pets", 12)
    data = load_images(str(root), resolution=12, aspect=1.5)
    assert (data.domain.height, data.domain.width) == (12, 18) == data.domain.resolution
    assert data.split("train").batch(torch.arange(2)).x.shape == (2, 3, 12, 18)
    assert load_images(str(root), resolution=12).domain.resolution == 12


def test_a_mirrored_set_holds_each_training_image_twice(tmp_path):
    root = str(folder_of(tmp_path / "pets", 20))
    plain, mirrored = (ImageDataset(root, 8, horizontal_flip=m) for m in (False, True))
    train, twice = plain.split("train"), mirrored.split("train")
    n = len(train)
    assert len(twice) == 2 * n and twice.fingerprint != train.fingerprint
    there = twice.batch(torch.arange(2 * n))
    here = train.batch(torch.arange(n))
    assert torch.equal(there.x, torch.cat([here.x, here.x.flip(3)]))
    assert torch.equal(there.condition, torch.cat([here.condition, here.condition]))
    assert mirrored.split("valid").fingerprint == plain.split("valid").fingerprint


def test_pixels_are_those_of_the_files(tmp_path):
    root = folder_of(tmp_path / "pets", 10, classes=())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = read_folder(str(root), Size(16, 16)).pixels
    for k in range(10):
        assert np.array_equal(pixels[k].permute(1, 2, 0).numpy(), np.asarray(random_image(k)))
