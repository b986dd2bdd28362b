"""The extractor knows the digits, and every figure falls when what it stands for gets worse."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from multigan.contract import Batch
from multigan.image import metrics
from multigan.image.data import open_images
from multigan.rng import keyed_rng

SHAPE = (1, 16, 16)


class Unlabelled:
    """A labelled set without its labels."""

    def __init__(self, data):
        self.data, self.fingerprint = data, data.fingerprint

    def __len__(self):
        return len(self.data)

    def batch(self, indices, rng=None):
        return Batch(self.data.batch(indices).x)


@pytest.fixture(scope="module")
def digits():
    return open_images("digits", resolution=16)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "made on demand"


@pytest.fixture(scope="module")
def classifier(digits, cache):
    return metrics.extractor_for(digits.split("train"), SHAPE, 10, cache)


@pytest.fixture(scope="module")
def sets(digits):
    """Valid, test and training pictures with equal class shares."""
    splits = [digits.split(name) for name in ("valid", "test", "train")]
    return metrics.matched(splits, 1000)


def test_the_classifier_is_right_on_unseen_digits(digits, classifier):
    for name in ("valid", "test"):
        data = digits.split(name)
        assert metrics.agreement(classifier, data.batch(torch.arange(len(data)))) >= 0.97


def test_features_are_standardised_over_the_training_split(digits, classifier):
    train = digits.split("train").batch(torch.arange(1258))
    with torch.no_grad():
        features = classifier.features(train.x)
    assert features.shape == (1258, metrics.FEATURES)
    torch.testing.assert_close(features.mean(0), torch.zeros(32), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0), torch.ones(32), atol=1e-4, rtol=0)


def test_the_extractor_is_read_back_from_the_cache_and_a_damaged_file_is_replaced(
    digits, classifier, cache, monkeypatch
):
    (file,) = cache.iterdir()
    content = file.read_bytes()
    trained = []
    monkeypatch.setattr(metrics, "_train", lambda *_: trained.append(1))
    again = metrics.extractor_for(digits.split("train"), SHAPE, 10, cache)
    assert not trained
    assert all(map(torch.equal, classifier.state_dict().values(), again.state_dict().values()))
    file.write_bytes(content[:1000])
    metrics.extractor_for(digits.split("train"), SHAPE, 10, cache)
    assert trained and len(file.read_bytes()) == len(content)
    file.write_bytes(content)
    metrics.extractor_for(digits.split("valid"), SHAPE, 10, cache)
    assert len(trained) == 2, "another set has another extractor"


def test_matched_sets_have_equal_class_shares_and_no_repetition(sets):
    assert len(sets[0].x) == 267
    for batch in sets:
        assert torch.equal(batch.condition, sets[0].condition)
        assert len(batch.x.flatten(1).unique(dim=0)) == len(batch.x)


def test_matched_sets_are_cut_in_proportion(digits):
    few = metrics.matched([digits.split("train"), digits], 100)
    assert len(few[0].x) == len(few[1].x) <= 110
    assert few[0].condition.bincount().tolist() == few[1].condition.bincount().tolist()
    whole = metrics.matched([Unlabelled(digits)], 5000)[0]
    assert whole.condition is None and torch.equal(whole.x, digits.batch(torch.arange(1797)).x)


def worsened(real):
    """The same pictures, spoilt in one way each."""
    labels = real.condition
    groups = {int(label): real.x[labels == label] for label in labels.unique()}
    noise = torch.randn(real.x.shape, generator=keyed_rng("noise"))
    means = torch.stack([groups[int(label)].mean(0) for label in labels])
    return {
        "noisy": real.x + 0.5 * noise,
        "blurred": F.avg_pool2d(real.x, 5, 1, 2),
        "half way to the mean": (real.x + means) / 2,
        "one picture per class": torch.stack([groups[int(label)][0] for label in labels]),
    }


@pytest.mark.parametrize("labelled", [True, False])
def test_frechet_and_kernel_see_noise_blur_and_collapse(digits, classifier, sets, cache, labelled):
    def seen(x):
        return Batch(x, sets[0].condition if labelled else None)

    extractor = classifier
    if not labelled:
        train = Unlabelled(digits.split("train"))
        extractor = metrics.extractor_for(train, SHAPE, 0, cache)
    valid, test, known = (batch.x for batch in sets)
    rows = {
        name: metrics.measure(extractor, seen(valid), seen(x), known, keyed_rng(0))
        for name, x in {"floor": test, **worsened(sets[1])}.items()
    }
    floor = rows.pop("floor")
    for name, row in rows.items():
        assert row["frechet"] > 2 * floor["frechet"], name
        assert row["kernel"] > floor["kernel"] + 0.03, name
        assert row.keys() == floor.keys() and ("class_agreement" in row) == labelled
    assert rows["one picture per class"]["recall"] == 0
    assert rows["one picture per class"]["coverage"] < 0.3 < 0.9 < floor["coverage"]
    assert rows["half way to the mean"]["diversity"] < 0.9 * floor["diversity"]
    assert rows["noisy"]["novelty"] > 1.5 * floor["novelty"]


def test_wrong_classes_are_seen_although_the_pictures_are_real(classifier, sets):
    valid, test, known = sets
    swapped = Batch(test.x, test.condition.roll(40))
    row = metrics.measure(classifier, valid, swapped, known.x, keyed_rng(0))
    assert row["class_agreement"] < 0.5
    assert row["frechet"] < 1


def test_within_class_sd_by_hand():
    x = torch.tensor([0.0, 2.0, 5.0, 5.0, 9.0]).view(5, 1, 1, 1).expand(5, 1, 1, 2)
    labels = torch.tensor([0, 0, 1, 1, 2])  # class 2 is seen once and says nothing
    assert metrics.within_class_sd(Batch(x, labels)) == pytest.approx(math.sqrt(2) / 2)
    alone = torch.arange(5)
    assert math.isnan(metrics.within_class_sd(Batch(x, alone)))
    spread = np.std([0, 2, 5, 5, 9], ddof=1)
    assert metrics.within_class_sd(Batch(x)) == pytest.approx(spread)


def test_nearest_distance_by_hand():
    train = torch.zeros(2, 1, 2, 2)
    train[1] = 4
    pictures = torch.tensor([0.0, 3.0, -2.0]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    assert metrics.nearest_distance(pictures, train) == pytest.approx(2)  # of 0, 2 and 4
    assert metrics.nearest_distance(train, train) == 0


def test_the_baseline_has_the_mean_and_covariance_of_every_class():
    labels = torch.arange(40) % 2
    x = torch.randn(40, 1, 2, 2, generator=keyed_rng("x")) * (1 + labels[:, None, None, None])
    wished = torch.arange(40_000) % 2
    drawn = metrics.gaussian_baseline(Batch(x, labels), wished, len(wished), keyed_rng(0))
    assert torch.equal(drawn.condition, wished)
    for label in (0, 1):
        real, fake = (
            batch.x[batch.condition == label].flatten(1) for batch in (Batch(x, labels), drawn)
        )
        torch.testing.assert_close(fake.mean(0), real.mean(0), atol=0.05, rtol=0)
        torch.testing.assert_close(fake.T.cov(), real.T.cov(), atol=0.15, rtol=0.03)
    alone = metrics.gaussian_baseline(Batch(x), None, 3, keyed_rng(0))
    assert alone.x.shape == (3, 1, 2, 2) and alone.condition is None


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 5, 33), (3, 64, 48), (1, 2, 2)])
def test_the_extractor_takes_pictures_of_any_size(shape):
    extractor = metrics.Extractor(*shape, classes=4)
    x = torch.zeros(2, *shape)
    assert extractor(x).shape == (2, 4)
    assert extractor.features(x).shape == (2, metrics.FEATURES)
