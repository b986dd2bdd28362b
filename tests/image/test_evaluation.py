"""Every row of a table is quantized before evaluation, with the right interval."""

import numpy as np
import pytest
import torch
from torch import nn

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.image.datasets.stacked import StackedImages
from multigan.image.domain import ImageDomain
from multigan.image.metrics import evaluation, image_metrics
from multigan.image.spec import from_uint8, quantize

DOMAIN = ImageDomain(1, 8, 8)


class Speckle:
    """Splits of 60 noisy images without classes."""

    def __init__(self, name="train"):
        self.fingerprint = name
        pixels = torch.randint(256, (60, 1, 8, 8), generator=keyed_rng(name), dtype=torch.uint8)
        self.x = from_uint8(pixels)

    def __len__(self):
        return len(self.x)

    def batch(self, indices, rng=None):
        return Batch(self.x[indices])

    def split(self, name):
        return Speckle(name)


class Between(nn.Module):
    """Draws values between those of bytes, and beyond -1 and 1."""

    def __init__(self, channels=1):
        super().__init__()
        self.channels = channels

    def sample_latent(self, n, rng):
        return torch.randn(n, self.channels, 8, 8, generator=rng)

    def forward(self, latent, condition=None):
        return latent


def is_kept_by_files(x):
    return torch.equal(quantize(Batch(x)).x, x)


def table(generator, full_cache):
    data = Speckle("valid")
    return evaluation.evaluate(
        DOMAIN, generator, data, keyed_rng(0), full_cache, extractor="random"
    )


def test_every_row_is_measured_as_bytes(full_cache, monkeypatch):
    seen = []

    def recording(reference, fake, rng):
        seen.append(fake.x)
        return {"kernel_distance": 0.5, "kernel_distance_std": 0.125, "frechet_distance": 1.0}

    monkeypatch.setattr(image_metrics, "image_metrics", recording)
    monkeypatch.setattr(evaluation, "MAX_REPETITIONS", 1)
    found = table(Between(), full_cache)
    assert len(seen) == len(found.rows) == 4
    assert all(map(is_kept_by_files, seen)) and not is_kept_by_files(torch.randn(9))
    assert seen[-1].abs().max() == 1 and len(seen[-1].unique()) > 100


def test_the_interval_of_the_kernel_distance_is_one_sd_on_either_side(full_cache, monkeypatch):
    spreads = iter((0.125, 0.25, 0.5, 1.0))
    row = lambda *_: {"kernel_distance": 0.5, "kernel_distance_std": next(spreads)}  # noqa: E731
    monkeypatch.setattr(image_metrics, "image_metrics", row)
    monkeypatch.setattr(evaluation, "MAX_REPETITIONS", 1)
    found = table(Between(), full_cache)
    for name, sd in zip(found.rows, (0.125, 0.25, 0.5, 1.0), strict=True):
        assert found.intervals[name] == {"kernel_distance": (0.5 - sd, 0.5 + sd)}
        assert found.rows[name] == {"kernel_distance": 0.5}, "the std is an interval only"


def test_sampled_rows_of_a_small_split_are_means_of_sample_sets(full_cache, monkeypatch):
    distances = iter((0.0, 0.1, 2.0, 1.0, 4.0, 6.0, 3.0, 5.0))  # train, held out, then the others
    sampled = []

    def row(reference, fake, rng):
        sampled.append(fake.x)
        return {"kernel_distance": 0.0, "kernel_distance_std": 0.0,
                "frechet_distance": next(distances)}  # fmt: skip

    monkeypatch.setattr(image_metrics, "image_metrics", row)
    monkeypatch.setattr(evaluation, "MAX_REPETITIONS", 3)
    found = table(Between(), full_cache)
    baseline, generator = list(found.rows)[2:]
    assert found.rows[baseline]["frechet_distance"] == 4  # of 2, 4 and 6
    assert found.rows[generator]["frechet_distance"] == 3  # of 1, 3 and 5
    low, high = found.intervals[generator]["frechet_distance"]
    assert (low, high) == pytest.approx((3 - 4 / 3**0.5, 3 + 4 / 3**0.5))
    assert "frechet_distance" not in found.intervals["real (held out)"]
    assert not torch.equal(sampled[3], sampled[6]), "sample sets differ"
    assert any("means of 3 sample sets" in note for note in found.notes)


@pytest.mark.parametrize(
    ("n", "sets"), [(1010, 1), (1000, 1), (999, 2), (600, 3), (267, 7), (250, 8), (100, 8)]
)
def test_sample_sets_hold_twice_the_images_of_a_large_split_at_most(n, sets):
    assert evaluation._repetitions(n, most=1000) == sets


def test_stacks_are_counted_as_bytes(monkeypatch):
    stacks, seen = StackedImages("digits", 8, "valid"), []

    class Classifier:
        def predict_classes(self, x):
            seen.append(is_kept_by_files(x))
            return torch.zeros(len(x), 3, dtype=torch.long)

    rows = {name: {} for name in ("real (train)", "real (held out)", evaluation.ROW_GENERATOR)}
    evaluation._count_modes(rows, Classifier(), Between(3), stacks, keyed_rng(0))
    assert len(seen) >= 3 and all(seen)
    assert all(row["modes_covered"] == 1 for row in rows.values())


def squared_mmd(a, b):
    """Unbiased, of the kernel (a.b / F + 1)^3, by numpy."""
    n, width = a.shape
    k = lambda x, y: (x @ y.T / width + 1) ** 3  # noqa: E731
    own = sum((k(x, x).sum() - np.trace(k(x, x))) / (n * (n - 1)) for x in (a, b))
    return own - 2 * k(a, b).mean()


class Pixels:
    """Features that are the pixels."""

    def features(self, x):
        return x.flatten(1)


def test_the_spread_of_the_kernel_distance_is_that_of_pairs_of_halves():
    real, fake = (torch.randn(80, 1, 2, 4, generator=keyed_rng(k)) for k in ("real", "fake"))
    reference = image_metrics.make_reference(Pixels(), Batch(real), real)
    row = image_metrics.image_metrics(reference, Batch(fake), keyed_rng(0))
    sets, rng = [x.flatten(1).double().numpy() for x in (real, fake)], np.random.default_rng(0)
    assert row["kernel_distance"] == pytest.approx(squared_mmd(*sets))
    halves = [squared_mmd(*(rows[rng.permutation(80)[:40]] for rows in sets)) for _ in range(2000)]
    assert row["kernel_distance_std"] == pytest.approx(np.std(halves), rel=0.25)
