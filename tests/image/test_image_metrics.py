"""The extractor classifies the digits, and every metric gets worse with what it measures."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from multigan.core.fidelity import frechet_distance
from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.image.datasets.images import load_images
from multigan.image.metrics import feature_extractors, image_metrics
from multigan.image.metrics.balanced_subsets import class_balanced_subsets

SHAPE = (1, 16, 16)


class Unlabeled:
    """A labeled set without its labels."""

    def __init__(self, data):
        self.data, self.fingerprint = data, data.fingerprint

    def __len__(self):
        return len(self.data)

    def batch(self, indices, rng=None):
        return Batch(self.data.batch(indices).x)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", resolution=16)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "made on demand"


@pytest.fixture(scope="module")
def classifier(digits, cache):
    return feature_extractors.extractor_for(digits.split("train"), SHAPE, 10, cache)


@pytest.fixture(scope="module")
def sets(digits):
    """Valid, test and training images with equal class shares."""
    splits = [digits.split(name) for name in ("valid", "test", "train")]
    return class_balanced_subsets(splits, 1000)


def test_the_classifier_is_right_on_unseen_digits(digits, classifier):
    for name in ("valid", "test"):
        data = digits.split(name)
        assert (
            image_metrics.classifier_accuracy(classifier, data.batch(torch.arange(len(data))))
            >= 0.97
        )


def test_features_are_standardised_over_the_training_split(digits, classifier):
    train = digits.split("train").batch(torch.arange(1258))
    with torch.no_grad():
        features = classifier.features(train.x)
    assert features.shape == (1258, feature_extractors.FEATURES)
    torch.testing.assert_close(features.mean(0), torch.zeros(32), atol=1e-4, rtol=0)
    torch.testing.assert_close(features.std(0), torch.ones(32), atol=1e-4, rtol=0)


def test_the_extractor_is_read_back_from_the_cache_and_a_damaged_file_is_replaced(
    digits, classifier, cache, tmp_path, monkeypatch
):
    copied = Path(shutil.copytree(cache, tmp_path / "copied"))
    trained = []
    monkeypatch.setattr(feature_extractors, "_train", lambda *_: trained.append(1))
    again = feature_extractors.extractor_for(digits.split("train"), SHAPE, 10, copied)
    assert not trained
    assert all(map(torch.equal, classifier.state_dict().values(), again.state_dict().values()))
    sizes = {file: file.stat().st_size for file in copied.iterdir()}  # other tests make some too
    for file in sizes:
        file.write_bytes(file.read_bytes()[:1000])
    feature_extractors.extractor_for(digits.split("train"), SHAPE, 10, copied)
    assert len(trained) == [f.stat().st_size == size for f, size in sizes.items()].count(True) == 1
    feature_extractors.extractor_for(digits.split("valid"), SHAPE, 10, copied)
    assert len(trained) == 2, "another set has another extractor"


def test_matched_sets_have_equal_class_shares_and_no_repetition(sets):
    assert len(sets[0].x) == 267
    for batch in sets:
        assert torch.equal(batch.condition, sets[0].condition)
        assert len(batch.x.flatten(1).unique(dim=0)) == len(batch.x)


def test_matched_sets_are_cut_in_proportion(digits):
    few = class_balanced_subsets([digits.split("train"), digits], 100)
    assert len(few[0].x) == len(few[1].x) <= 110
    assert few[0].condition.bincount().tolist() == few[1].condition.bincount().tolist()
    whole = class_balanced_subsets([Unlabeled(digits)], 5000)[0]
    assert whole.condition is None and torch.equal(whole.x, digits.batch(torch.arange(1797)).x)


def worsened(real):
    """The same images, spoilt in one way each."""
    labels = real.condition
    groups = {int(label): real.x[labels == label] for label in labels.unique()}
    noise = torch.randn(real.x.shape, generator=keyed_rng("noise"))
    means = torch.stack([groups[int(label)].mean(0) for label in labels])
    return {
        "noisy": real.x + 0.5 * noise,
        "blurred": F.avg_pool2d(real.x, 5, 1, 2),
        "half way to the mean": (real.x + means) / 2,
        "one image per class": torch.stack([groups[int(label)][0] for label in labels]),
    }


@pytest.mark.parametrize("labeled", [True, False])
def test_distances_detect_noise_blur_and_collapse(digits, classifier, sets, cache, labeled):
    def seen(x):
        return Batch(x, sets[0].condition if labeled else None)

    extractor = classifier
    if not labeled:
        train = Unlabeled(digits.split("train"))
        extractor = feature_extractors.extractor_for(train, SHAPE, 0, cache)
    valid, test, known = (batch.x for batch in sets)
    judge = classifier if labeled else None
    reference = image_metrics.make_reference(extractor, seen(valid), known, judge)
    rows = {
        name: image_metrics.image_metrics(reference, seen(x), keyed_rng(0))
        for name, x in {"floor": test, **worsened(sets[1])}.items()
    }
    floor = rows.pop("floor")
    for name, row in rows.items():
        assert row["frechet_distance"] > 2 * floor["frechet_distance"], name
        assert row["kernel_distance"] > floor["kernel_distance"] + 0.03, name
        assert row.keys() == floor.keys() and ("class_accuracy" in row) == labeled
    assert rows["one image per class"]["recall"] == 0
    assert rows["one image per class"]["coverage"] < 0.3 < 0.9 < floor["coverage"]
    assert (
        rows["half way to the mean"]["intra_class_std_ratio"] < 0.9 * floor["intra_class_std_ratio"]
    )
    assert rows["noisy"]["nn_distance_ratio"] > 1.5 * floor["nn_distance_ratio"]
    assert rows["noisy"]["nn_distance_auc"] > 0.95 and 0.4 < floor["nn_distance_auc"] < 0.6
    assert (
        rows["one image per class"]["near_duplicate_fraction"] == 1
        and floor["near_duplicate_fraction"] < 0.06
    )
    assert floor["memorized_fraction"] < 0.06 and floor["kernel_distance_std"] > 0


def test_copies_of_training_images_are_detected(classifier, sets):
    valid, test, known = sets
    half = torch.arange(len(test.x))[:, None, None, None] % 2 == 0
    mixed = torch.where(half, known.x, test.x)
    reference = image_metrics.make_reference(classifier, valid, known.x)
    found = image_metrics.memorization_metrics(reference, mixed)
    assert found["memorized_fraction"] == pytest.approx(0.5, abs=0.03)
    assert found["nn_distance_auc"] == pytest.approx(0.25, abs=0.05)
    copies = image_metrics.memorization_metrics(reference, known.x)
    assert (
        copies["memorized_fraction"] == 1
        and copies["nn_distance_auc"] < 0.01
        and copies["nn_distance_ratio"] == 0
    )


def test_wrong_classes_are_detected_although_the_images_are_real(classifier, sets):
    valid, test, known = sets
    swapped = Batch(test.x, test.condition.roll(40))
    reference = image_metrics.make_reference(classifier, valid, known.x, classifier)
    row, right = (
        image_metrics.image_metrics(reference, fake, keyed_rng(0)) for fake in (swapped, test)
    )
    assert row["class_accuracy"] < 0.5
    assert (
        row["frechet_distance"] == pytest.approx(right["frechet_distance"])
        and row["frechet_distance"] < 1
    )
    assert row["intra_class_frechet_distance"] > 2 * right["intra_class_frechet_distance"]


def test_within_class_sd_by_hand():
    x = torch.tensor([0.0, 2.0, 5.0, 5.0, 9.0]).view(5, 1, 1, 1).expand(5, 1, 1, 2)
    labels = torch.tensor([0, 0, 1, 1, 2])  # class 2 is seen once and says nothing
    assert image_metrics.within_class_sd(Batch(x, labels)) == pytest.approx(math.sqrt(2) / 2)
    alone = torch.arange(5)
    assert math.isnan(image_metrics.within_class_sd(Batch(x, alone)))
    spread = np.std([0, 2, 5, 5, 9], ddof=1)
    assert image_metrics.within_class_sd(Batch(x)) == pytest.approx(spread)


def flat(*levels):
    """Images (N, 1, 2, 2) of these levels."""
    return torch.tensor(levels).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def test_nearest_distances_by_hand():
    train = flat(0.0, 4.0)
    assert image_metrics.nearest_distances(flat(0.0, 3.0, -2.0), train).tolist() == [0, 2, 4]
    assert image_metrics.nearest_distances(train, train).tolist() == [0, 0]
    stack = flat(0.0, 3.0, -2.0).reshape(1, 3, 2, 2)  # channel by channel, if memory is gray
    assert image_metrics.nearest_distances(stack, train).tolist() == [0, 2, 4]


@pytest.mark.parametrize("chunk", [2, 256])
def test_a_image_is_not_its_own_neighbour(monkeypatch, chunk):
    monkeypatch.setattr(image_metrics, "CHUNK", chunk)
    found = image_metrics.distances_within(flat(0.0, 1.0, 5.0, 5.0, -9.0))
    assert found.tolist() == [2, 2, 0, 0, 18]


def test_auc_equals_the_count_of_pairs_and_that_of_sklearn():
    values, others = torch.tensor([1.0, 2.0, 2.0, 5.0]), torch.tensor([2.0, 3.0, 0.0])
    wins = sum((v > o) + 0.5 * (v == o) for v in values for o in others)
    assert image_metrics.auc(values, others) == pytest.approx(float(wins) / 12)
    answers = [1] * 4 + [0] * 3
    expected = roc_auc_score(answers, torch.cat([values, others]).numpy())
    assert image_metrics.auc(values, others) == pytest.approx(expected)


def test_the_frechet_distance_of_a_class_is_that_of_its_own_images():
    real, fake = (torch.randn(30, 3, generator=keyed_rng(k)) for k in (0, 1))
    labels = torch.arange(30) % 3
    labels[0] = 7  # seen once: left out
    found = image_metrics.intra_class_frechet(real, fake, labels, labels)
    assert list(found) == [0, 1, 2]
    assert found[1] == pytest.approx(frechet_distance(real[1::3], fake[1::3]))


def test_the_baseline_has_the_mean_and_covariance_of_every_class():
    labels = torch.arange(40) % 2
    x = torch.randn(40, 1, 2, 2, generator=keyed_rng("x")) * (1 + labels[:, None, None, None])
    requested = torch.arange(40_000) % 2
    drawn = image_metrics.gaussian_baseline(
        Batch(x, labels), requested, len(requested), keyed_rng(0)
    )
    assert torch.equal(drawn.condition, requested)
    for label in (0, 1):
        real, fake = (
            batch.x[batch.condition == label].flatten(1) for batch in (Batch(x, labels), drawn)
        )
        torch.testing.assert_close(fake.mean(0), real.mean(0), atol=0.05, rtol=0)
        torch.testing.assert_close(fake.T.cov(), real.T.cov(), atol=0.15, rtol=0.03)
    alone = image_metrics.gaussian_baseline(Batch(x), None, 3, keyed_rng(0))
    assert alone.x.shape == (3, 1, 2, 2) and alone.condition is None


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 5, 33), (3, 64, 48), (1, 2, 2)])
def test_the_extractor_takes_images_of_any_size(shape):
    extractor = feature_extractors.Extractor(*shape, num_classes=4)
    x = torch.zeros(2, *shape)
    assert extractor(x).shape == (2, 4)
    assert extractor.features(x).shape == (2, feature_extractors.FEATURES)
