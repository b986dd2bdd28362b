"""Arrays and IDX files become bytes by fixed ranges; what does not fit is answered in one line."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from multigan.image.datasets import sources
from multigan.image.datasets.images import load_images
from multigan.image.formats.arrays import read_idx, read_npz
from multigan.image.formats.decode import Size
from multigan.image.formats.values import ReadOptions

SIZE = Size(6, 6)
BYTES = np.random.default_rng(0).integers(0, 256, (12, 6, 6)).astype(np.uint8)
LABELS = np.array([3, 5, 9] * 4)
MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist10k"


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()


def written(tmp_path, **arrays):
    np.savez_compressed(tmp_path / "set.npz", **arrays)
    return str(tmp_path / "set.npz")


@pytest.mark.parametrize(
    "array",
    [
        BYTES,
        BYTES.astype(np.int64),
        BYTES.astype(np.float32),
        BYTES / 255,
        BYTES / 127.5 - 1,
        BYTES.astype(np.uint16) * 257,
    ],
    ids=["uint8", "int64", "0 to 255", "0 to 1", "-1 to 1", "uint16"],
)
def test_every_type_of_number_becomes_the_same_bytes(array, tmp_path):
    images = read_npz(written(tmp_path, x=array), SIZE)
    assert np.array_equal(images.pixels[:, 0].numpy(), BYTES) and images.labels is None


def test_channels_may_stand_first_or_last_and_labels_may_have_gaps(tmp_path):
    color = np.stack([BYTES, 255 - BYTES, BYTES // 2], 1)  # (N, C, H, W)
    for stack in (color, color.transpose(0, 2, 3, 1)):
        images = read_npz(written(tmp_path, images=stack, labels=LABELS), SIZE)
        assert np.array_equal(images.pixels.numpy(), color)
        assert images.labels.tolist() == [0, 1, 2] * 4 and images.class_names == ("3", "5", "9")


def test_parts_are_joined_and_classes_named(tmp_path):
    parts = {"x_train": BYTES[:8], "y_train": LABELS[:8], "x_test": BYTES[8:], "y_test": LABELS[8:]}
    images = read_npz(written(tmp_path, **parts, names=np.array(list("abcdefghij"))), SIZE)
    assert np.array_equal(images.pixels[:, 0].numpy(), np.concatenate([BYTES[8:], BYTES[:8]]))
    assert images.class_names == ("d", "f", "j")
    assert images.labels.tolist() == [2, 0, 1, 2, *([0, 1, 2] * 3)[:8]]


ONE_HOT = np.eye(10)[LABELS]


@pytest.mark.parametrize(
    "labels",
    [LABELS.astype(float), LABELS[:, None], LABELS[:, None] * 1.0, ONE_HOT, ONE_HOT > 0],
    ids=["float", "column", "float column", "one-hot", "bool one-hot"],
)
def test_labels_of_every_usual_form_are_the_same_classes(labels, tmp_path):
    halves = {"x_a": BYTES[:8], "y_a": labels[:8], "x_b": BYTES[8:], "y_b": labels[8:]}
    for arrays in ({"x": BYTES, "y": labels}, halves):
        images = read_npz(written(tmp_path, **arrays), SIZE)
        assert images.labels.tolist() == [0, 1, 2] * 4 and images.class_names == ("3", "5", "9")


def test_what_looks_most_like_labels_is_taken(tmp_path):
    weights = {"a_weight": np.ones(12)}
    for labels in ({"b_one_hot": np.eye(12), "y": LABELS}, {"y": ONE_HOT}):
        source = written(tmp_path, x=BYTES, **weights, **labels)
        assert read_npz(source, SIZE).class_names == ("3", "5", "9")


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (LABELS + 0.5, r"y float64\(12,\)"),
        (LABELS * np.nan, r"y float64\(12,\)"),
        (LABELS * 1e300, r"y float64\(12,\)"),
        (LABELS * np.inf, r"y float64\(12,\)"),
        (np.ones((12, 3)), r"y float64\(12, 3\)"),
        (np.array(["cat", "dog"] * 6), r"y <U3\(12,\)"),
    ],
    ids=["fractions", "nan", "enormous", "infinite", "several of each", "text"],
)
def test_what_might_be_labels_and_is_not_used_is_named(labels, told, tmp_path):
    source = written(tmp_path, x=BYTES, y=labels, mean=np.zeros(3))
    wanted = (
        f"set.npz: not used as classes: {told}; labels must be integers or one-hot rows, "
        "one for each image$"
    )
    with pytest.warns(UserWarning, match=wanted):
        assert read_npz(source, SIZE).labels is None


def test_labels_of_another_length_are_named_and_other_arrays_counted(tmp_path):
    with pytest.warns(UserWarning, match=r"not used as classes: y int64\(9,\)"):
        read_npz(written(tmp_path, x=BYTES, y=np.arange(9)), SIZE)
    images = read_npz(written(tmp_path, x=BYTES, y=LABELS, score=np.linspace(0, 1, 12)), SIZE)
    rows = [(row.use, row.reason, row.examples) for row in images.counts.rows]
    assert ("ignored", "arrays that are not used", ["score float64(12,)"]) in rows


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_arrays_of_low_values_are_reported_and_stretched(kind, tmp_path):
    low = (BYTES.astype(np.float64) / 255 * {np.uint16: 4095, np.float32: 0.1}[kind]).astype(kind)
    source = written(tmp_path, x=low)
    with pytest.warns(UserWarning, match=r"after conversion, 8-bit values end at \d+ of 255"):
        dark = read_npz(source, SIZE).pixels
    assert dark.max() < 30
    bright = sources.read_images(source, SIZE, ReadOptions(stretch=True)).pixels
    assert (bright.int() - torch.from_numpy(BYTES)[:, None].int()).abs().max() <= 1


def test_wide_unsigned_numbers_are_bytes_like_signed_ones(tmp_path):
    for kind in (np.uint32, np.uint64):
        images = read_npz(written(tmp_path, x=BYTES.astype(kind)), SIZE)
        assert np.array_equal(images.pixels[:, 0].numpy(), BYTES)
        with pytest.raises(ValueError, match="must be in one of 0 to 255"):
            read_npz(written(tmp_path, x=BYTES.astype(kind) * 257), SIZE)


def test_bytes_in_16_bits_are_not_black_images_and_a_warning_is_given(tmp_path):
    told = "set.npz, x: 16-bit values up to 255 are read as 0 to 255, not as 0 to 65,535$"
    with pytest.warns(UserWarning, match=told):
        images = read_npz(written(tmp_path, x=BYTES.astype(np.uint16)), SIZE)
    assert np.array_equal(images.pixels[:, 0].numpy(), BYTES)
    with pytest.raises(ValueError, match="must have images that differ"):
        read_npz(written(tmp_path, x=np.zeros_like(BYTES, np.uint16)), SIZE)


@pytest.mark.parametrize(
    ("arrays", "answer"),
    [
        ({"x": BYTES[0]}, r"must have an array of images, 3 or 4 axes; got x \(6, 6\)"),
        ({"x": BYTES[:4]}, "must have 10 or more usable images; got 4"),
        ({"x": BYTES * 3.0}, "must be in one of 0 to 1, -1 to 1, 0 to 255"),
        ({"x": BYTES / np.nan}, "values must be finite"),
        ({"x": np.zeros((12, 5, 6, 2))}, r"must have 1 or 3 channels; got the shape \(5, 6, 2\)"),
        ({"x": BYTES[:0]}, r"must hold images with pixels; got an array of shape \(0, 6, 6\)"),
        ({"x": BYTES[:, :0]}, r"must hold images with pixels; got an array of shape \(12, 0, 6\)"),
        ({"x": BYTES.astype(complex)}, "arrays must be of numbers; got complex128"),
        ({"x": BYTES, "z": BYTES[:, :5]}, "arrays of images must have one shape"),
        (
            {"x": np.array([{}, 1] * 6)},
            "set.npz must be a readable file of arrays; got Object arrays",
        ),
        (
            {"x": BYTES, "y": LABELS, "names": np.array(["a", "b"])},
            "labels must be in 0 to 1, the class names; got 3 to 9",
        ),
    ],
)
def test_arrays_that_are_no_images_are_refused(arrays, answer, tmp_path):
    with pytest.raises(ValueError, match=answer) as caught:
        read_npz(written(tmp_path, **arrays), SIZE)
    assert "\n" not in str(caught.value)


def idx(array):
    """The bytes of an IDX file: two zeros, the type, the number of axes, the sizes, the data."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(np.uint8).tobytes()


def test_idx_files_are_read_alone_or_as_a_folder(tmp_path):
    for name, part in {"train": slice(8), "t10k": slice(8, 12)}.items():
        (tmp_path / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(BYTES[part])))
        (tmp_path / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[part])))
    data = load_images(str(tmp_path), resolution=6)
    assert data.domain.class_names == ("3", "5", "9") and len(data) == 12
    images = read_idx(str(tmp_path), SIZE)
    assert np.array_equal(images.pixels[:4, 0].numpy(), BYTES[8:]), "t10k comes first"
    whole = tmp_path / "all-images-idx3-ubyte"
    whole.write_bytes(idx(BYTES))
    assert read_idx(str(whole), SIZE).labels is None


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", "not an IDX file"),
        (b"\x89PNG....", "not an IDX file"),
        (idx(BYTES)[:-1], "is damaged: the header declares 432 bytes; got 431"),
        (gzip.compress(idx(BYTES))[:-40], "is damaged"),
        (idx(LABELS), "must hold images .*; got 1 axes"),
        (bytes([0, 0, 8, 3]) + b"\xff" * 12, "must take 16,000,000,000 bytes or less; got 79,228,"),
    ],
)
def test_damaged_idx_files_are_refused(content, answer, tmp_path):
    (tmp_path / "x-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=answer):
        load_images(str(tmp_path), resolution=6)


def test_what_has_another_size_is_cut_around_its_centre_and_scaled(tmp_path):
    wide = np.zeros((10, 8, 24), np.uint8)
    wide[:, :, 8:16] = 200
    wide[1, :, 0] = 9  # images must differ
    pixels = read_npz(written(tmp_path, x=wide), Size(4, 4)).pixels
    assert pixels.shape == (10, 1, 4, 4) and (pixels == 200).all()
    assert read_npz(written(tmp_path, x=wide), Size(4, 12)).pixels[0, 0, 0, 0] == 0


def test_mnist_is_read_from_its_files():
    if not MNIST.is_dir():
        pytest.skip("the MNIST files are not here")
    data = load_images(str(MNIST), resolution=28)
    assert data.domain.class_names == tuple("0123456789") and len(data) == 10_000
    assert data.batch(torch.arange(5)).condition.tolist() == [7, 2, 1, 0, 4]


def test_fashion_is_read_where_debian_installs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "FASHION", str(tmp_path / "fashion"))
    with pytest.raises(ValueError, match="install Debian's dataset-fashion-mnist, or give the"):
        load_images("fashion-mnist", resolution=6)
    (tmp_path / "fashion").mkdir()
    (tmp_path / "fashion" / "train-images-idx3-ubyte").write_bytes(idx(BYTES))
    (tmp_path / "fashion" / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(12) % 10))
    sources.read_images.cache_clear()
    names = load_images("fashion-mnist", resolution=6).domain.class_names
    assert (names[0], names[9], len(set(names))) == ("t-shirt", "boot", 10)


def test_a_file_of_an_unsupported_type_lists_the_supported_ones(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(ValueError, match=r"one.png must be a folder, a file of .zip, .npz, .npy, "):
        load_images(str(tmp_path / "one.png"), resolution=6)


def test_a_shape_beyond_64_bits_is_refused_in_one_line(tmp_path):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (12147483214748364747, 4, 4), }"
    file = tmp_path / "x.npy"
    file.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117).encode() + b"\n")
    with pytest.raises(ValueError, match=r"x\.npy must be a readable file of arrays"):
        read_npz(str(file), SIZE)
