"""A sample survives decoding, writing and reading; options apply; the table has floors."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.image.datasets.images import load_images
from multigan.image.domain import ImageDomain
from multigan.image.metrics.evaluation import sample_images
from multigan.image.rendering import BACKGROUND, GAP
from multigan.image.spec import from_uint8, to_uint8

DIGITS = tuple(str(digit) for digit in range(10))
GRAY = ImageDomain(1, 8, 8, DIGITS)
COLOR = ImageDomain(3, 4, 6)


class Shades(nn.Module):
    """An image of class k has the brightness k / 10 in its first row, and noise below."""

    def __init__(self, domain):
        super().__init__()
        self.shape = (domain.channels, domain.height, domain.width)

    def sample_latent(self, n, rng):
        return torch.randn(n, *self.shape, generator=rng)

    def forward(self, latent, condition=None):
        image = latent.clone()
        if condition is not None:
            image[:, :, 0] = condition[:, None, None].float() / 10
        return image


class Recall(nn.Module):
    """Draws real images of the requested class: a generator that cannot be beaten."""

    def __init__(self, data):
        super().__init__()
        self.known = data.batch(torch.arange(len(data)))

    def sample_latent(self, n, rng):
        return torch.rand(n, generator=rng)

    def forward(self, latent, condition=None):
        pools = [(self.known.condition == label).nonzero()[:, 0] for label in condition]
        picks = [pool[int(u * len(pool))] for u, pool in zip(latent, pools, strict=True)]
        return self.known.x[torch.stack(picks)]


def pixels_of(file):
    with Image.open(file) as image:
        return np.array(image)


def test_bytes_and_floats_are_inverse_and_clamped():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(every)), every)
    assert to_uint8(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0])).tolist() == [0, 0, 128, 255, 255]
    assert from_uint8(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1, 1]


@pytest.mark.parametrize("domain", [GRAY, COLOR])
def test_samples_survive_decoding_writing_and_reading(domain, tmp_path):
    x = 1.2 * sample_images(Shades(domain), 5, keyed_rng(0), None).x
    samples = domain.decode(x)
    assert {(s.mode, s.size) for s in samples} == {
        ("L" if domain.channels == 1 else "RGB", (domain.width, domain.height))
    }
    files = domain.write(samples, tmp_path / "new")
    assert [file.name for file in files] == [f"{k:06d}.png" for k in range(5)] + ["grid.png"]
    assert sorted(tmp_path.glob("new/*")) == sorted(files), "temporary files are left"
    read = domain.images_to_tensor(domain.read_samples(tmp_path / "new"))
    assert torch.equal(read, from_uint8(to_uint8(x)))
    torch.testing.assert_close(read, x.clamp(-1, 1), atol=1 / 255 + 1e-6, rtol=0)


def test_writing_twice_gives_the_same_bytes_and_labels_travel_along(tmp_path):
    sampler = Sampler(GRAY, Shades(GRAY))
    folders = [tmp_path / "a", tmp_path / "b"]
    first, second = (GRAY.write(sampler.sample(12, seed=3), folder) for folder in folders)
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    labels = [sample.info["label"] for sample in GRAY.read_samples(folders[0])]
    assert labels == [*DIGITS, "0", "1"]


def test_nothing_to_write_writes_nothing(tmp_path):
    assert GRAY.write([], tmp_path) == []


def test_classes_are_sampled_in_turn_and_condition_the_generator():
    samples = Sampler(GRAY, Shades(GRAY)).sample(20, seed=0)
    first_rows = [np.array(sample)[0, 0] for sample in samples]
    assert first_rows == [to_uint8(torch.tensor(k % 10 / 10)).item() for k in range(20)]
    assert [sample.info["label"] for sample in samples] == [*DIGITS, *DIGITS]


def test_images_are_enlarged_by_a_whole_factor_without_blurring():
    sampler = Sampler(GRAY, Shades(GRAY))
    plain, large = sampler.sample(2, seed=1), sampler.sample(2, seed=1, scale=3)
    for small, enlarged in zip(plain, large, strict=True):
        assert np.array_equal(np.array(enlarged), np.kron(small, np.ones((3, 3), np.uint8)))
        assert enlarged.info["label"] == small.info["label"]
    for scale in (0, 65):
        with pytest.raises(ValueError, match=f"scale must be a whole factor .* got {scale}"):
            sampler.sample(1, scale=scale)


def test_a_sample_does_not_depend_on_the_number_of_samples():
    sampler = Sampler(GRAY, Shades(GRAY))
    many, few = sampler.sample(70, seed=1), sampler.sample(3, seed=1)
    assert [s.tobytes() for s in many[:3]] == [s.tobytes() for s in few]


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"must have shape \(1, 8, 8\); got \(1, 8, 9\)"):
        GRAY.decode(torch.zeros(2, 1, 8, 9))
    with pytest.raises(ValueError, match=r"must have \(8, 8\) pixels; got \(8, 9\)"):
        GRAY.images_to_tensor([Image.new("L", (8, 9))])
    with pytest.raises(
        ValueError, match=r"channels must be 1 \(grayscale\), 3 \(RGB\) or 4 \(RGBA\); got 2"
    ):
        ImageDomain(2, 8, 8)


def flat_images(labels):
    """8 x 8 images whose gray level is their label's number."""
    images = [Image.new("L", (8, 8), int(label)) for label in labels]
    for image, label in zip(images, labels, strict=True):
        image.info["label"] = label
    return images


def centers(file, domain=GRAY):
    """The gray level in the middle of every tile of a preview."""
    grid = pixels_of(file)
    assert grid[0, 0] == BACKGROUND
    side = 64 + GAP
    return [[int(level) for level in row] for row in grid[GAP + 32 :: side, GAP + 32 :: side]]


def test_the_preview_shows_a_column_per_class_where_classes_are_more_than_their_samples(tmp_path):
    (file,) = GRAY.preview(flat_images(DIGITS * 2 + ("0", "1")), tmp_path / "step-1.5")
    assert file == tmp_path / "step-1.5.png"
    rows = [list(range(10)), list(range(10)), [0, 1] + [BACKGROUND] * 8]
    assert centers(file) == rows


@pytest.mark.parametrize(
    ("labels", "columns", "rows"),
    [
        (["7"] * 4, None, [[7, 7], [7, 7]]),  # one class: a square
        (["0", "1", "2", "3", "4"], None, [[0, 1, 2], [3, 4, BACKGROUND]]),  # each once: a square
        (["1", "0"] * 3, None, [[1] * 3, [0] * 3]),  # a row per class, in order of appearance
        (["0", "1"] * 3, 3, [[0, 1, 0], [1, 0, 1]]),  # a given number: in the given order
        (["0", "1", "1", "2"], None, [[0, 1], [1, 2]]),  # no columns: a square, class by class
        (
            [str(k % 10) for k in range(16)],  # more classes than twice the side of a square
            None,
            [list(range(10)), [*range(6), *[BACKGROUND] * 4]],
        ),
        (
            [str(k % 20) for k in range(21)],  # more classes than columns
            None,
            [
                [0, 0, 1, 2, 3],
                [4, 5, 6, 7, 8],
                [9, 10, 11, 12, 13],
                [14, 15, 16, 17, 18],
                [19, *[BACKGROUND] * 4],
            ],
        ),
        (
            ["0", "1"] * 16,
            None,
            [[0] * 12, [0] * 4 + [BACKGROUND] * 8, [1] * 12, [1] * 4 + [BACKGROUND] * 8],
        ),
    ],
)
def test_the_preview_arranges_what_there_is(labels, columns, rows, tmp_path):
    (file,) = GRAY.preview(flat_images(labels), tmp_path / "grid", columns=columns)
    assert centers(file) == rows


def test_a_preview_enlarges_by_whole_factors_without_blurring(tmp_path):
    samples = COLOR.decode(sample_images(Shades(COLOR), 1, keyed_rng(0), None).x)
    (file,) = COLOR.preview(samples, tmp_path / "one")
    grid = pixels_of(file)[GAP:-GAP, GAP:-GAP]
    assert grid.shape == (40, 60, 3)
    assert np.array_equal(grid[::10, ::10], np.array(samples[0]))
    assert np.array_equal(grid[9::10, 9::10], np.array(samples[0]))


def test_the_domain_survives_json():
    assert from_config(to_config(GRAY)) == GRAY
    assert to_config(GRAY)["component"] == "image/ImageDomain"
    assert GRAY.selection_metric == "frechet_distance"


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", resolution=8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tables(digits, cache):
    """The same true generator measured twice: without and with a cached extractor."""
    sampler = Sampler(digits.domain, Recall(digits.split("test")))
    valid = digits.split("valid")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    found = [digits.domain.evaluate(sampler, valid, keyed_rng(0), cache) for _ in range(2)]
    assert torch.equal(before, torch.get_rng_state()), "evaluation moved the global generator"
    return found


def test_the_table_has_floors_a_baseline_and_the_model_last(tables):
    rows = tables[0].rows
    assert list(rows) == ["real (train)", "real (held out)", "Gaussian per class", "generator"]
    assert tables[0].metrics == [
        "class_accuracy",
        "intra_class_frechet_distance",
        "frechet_distance",
        "kernel_distance",
        "precision",
        "recall",
        "density",
        "coverage",
        "intra_class_std_ratio",
        "nn_distance_ratio",
        "nn_distance_auc",
        "memorized_fraction",
        "near_duplicate_fraction",
    ]
    assert "267 images in every row" in tables[0].notes[0]
    assert "not an FID" in tables[0].notes[1]


def test_real_images_are_held_to_be_real(tables):
    rows = tables[0].rows
    assert rows["real (train)"]["nn_distance_ratio"] == 0
    for name in ("real (held out)", "generator"):
        assert rows[name]["class_accuracy"] > 0.95
        assert 0.9 < rows[name]["nn_distance_ratio"] < 1.1
        assert 0.9 < rows[name]["intra_class_std_ratio"] < 1.1
        assert rows[name]["coverage"] > 0.8
        assert rows[name]["frechet_distance"] < 1


def test_a_table_does_not_depend_on_what_is_cached(tables):
    assert tables[0] == tables[1]


def test_noise_is_far_from_real(digits, cache, tables):
    noise = Sampler(digits.domain, Shades(digits.domain))
    row = digits.domain.evaluate(noise, digits.split("valid"), keyed_rng(0), cache).model
    assert row["frechet_distance"] > 10 * tables[0].model["frechet_distance"]
    assert row["class_accuracy"] < 0.5
    assert row["recall"] < 0.3 and row["nn_distance_ratio"] > 2


def test_a_split_is_never_its_own_floor(digits, cache):
    sampler = Sampler(digits.domain, Recall(digits.split("train")))
    for name in ("valid", "test"):
        table = digits.domain.evaluate(sampler, digits.split(name), keyed_rng(0), cache)
        assert table.rows["real (held out)"]["frechet_distance"] > 0.1
        assert table.model["nn_distance_ratio"] == 0, "copies of training images are reported"


class Blank(Recall):
    def forward(self, latent, condition=None):
        return super().forward(latent, condition) / 0


def test_a_diverged_generator_is_not_measured(digits, cache):
    sampler = Sampler(digits.domain, Blank(digits.split("train")))
    with pytest.raises(ValueError, match="values must be finite"):
        digits.domain.evaluate(sampler, digits.split("valid"), keyed_rng(0), cache)


class Few:
    """A set with a handful of images in each split."""

    def __init__(self, data, name="all"):
        self.data, self.fingerprint = data, name

    def __len__(self):
        return 20

    def batch(self, indices, rng=None):
        return self.data.batch(indices)

    def split(self, name):
        return Few(self.data, name)


def test_too_few_images_are_refused_in_one_line(digits, cache):
    sampler = Sampler(digits.domain, Recall(digits))
    with pytest.raises(ValueError, match=r"must have more than 32 images; got 20"):
        digits.domain.evaluate(sampler, Few(digits), keyed_rng(0), cache)
