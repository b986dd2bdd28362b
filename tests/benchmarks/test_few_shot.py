"""Few-shot splits are disjoint, and the accuracy gain of synthetic images is measured."""

import json
import math

import pytest
import torch
from scipy.ndimage import map_coordinates

from multigan.benchmarks import classification_accuracy
from multigan.benchmarks.few_shot import FewShotImages
from multigan.core.protocols import Batch, EvaluationSkipped, Sampler
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.image.datasets import sources
from multigan.image.spec import quantize
from tests.image.image_factory import folder_of


@pytest.fixture(autouse=True)
def _quick(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(classification_accuracy, "STEPS", 30)
    monkeypatch.setattr(classification_accuracy, "REPEATS", 1)
    sources.read_images.cache_clear()


@pytest.fixture
def narrow(monkeypatch):
    """A classifier of fewer channels."""
    monkeypatch.setattr(classification_accuracy, "WIDTHS", (16, 32, 32, 32))


def stripes(n: int, seed: int, noise: float = 0.3) -> Batch:
    """Images (n, 1, 8, 8) with rows or columns of ink, by their label."""
    labels = torch.arange(n) % 2
    rows = torch.ones(8, 8)
    rows[::2] = -1
    x = torch.stack([rows if label else rows.T for label in labels])[:, None]
    return Batch(x + noise * torch.randn(x.shape, generator=keyed_rng(seed)), labels)


def test_exactly_per_class_images_are_for_training_and_all_others_held_out():
    few = FewShotImages("digits", 8, per_class=3, seed=1)
    known, others = few.everything(), few.split("test").everything()
    assert known.condition.bincount().tolist() == [3] * 10 and len(others.x) == 1797 - 30
    there = {image.numpy().tobytes() for image in others.x}
    assert not there & {image.numpy().tobytes() for image in known.x}
    assert torch.equal(few.split("valid").everything().x, known.x)
    assert torch.equal(FewShotImages("digits", 8, 3, 1).everything().x, known.x)
    assert not torch.equal(FewShotImages("digits", 8, 3, 2).everything().x, known.x)
    prints = {
        few.fingerprint,
        few.split("test").fingerprint,
        FewShotImages("digits", 8, 3).fingerprint,
    }
    assert len(prints) == 3
    again = from_config(json.loads(json.dumps(to_config(few.split("test")))))
    assert again.fingerprint == few.split("test").fingerprint and again.domain == few.domain


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (
            {"per_class": 0},
            "must be 1 to 177, for class 0 has 178 images and some are held out; got 0",
        ),
        (
            {"per_class": 174},
            "must be 1 to 173, for class 8 has 174 images and some are held out; got 174",
        ),
        (
            {"per_class": 2, "synthetic_fraction": 1.0},
            "synthetic_fraction between 0 and 1; got 200 and 1.0",
        ),
        (
            {"per_class": 2, "synthetic_per_class": 0},
            "synthetic_per_class must be 1 or more .*got 0 and",
        ),
        ({"per_class": 2, "split": "all"}, "split must be train, valid or test; got 'all'"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(options, answer):
    with pytest.raises(ValueError, match=answer):
        FewShotImages("digits", 8, **options)


def test_images_without_classes_are_refused(tmp_path):
    root = folder_of(tmp_path / "no_augmentation", 12, classes=())
    with pytest.raises(ValueError, match="images must have classes"):
        FewShotImages(str(root), 8, 2)


def test_a_classifier_learns_separable_classes_and_nothing_else():
    known, held_out = stripes(20, 0), stripes(200, 1)
    judged = {"held_out": held_out, "num_classes": 2, "augment": False, "seed": 0}
    assert classification_accuracy.accuracy([(known, 1.0)], **judged) == 1
    wrong = known._replace(condition=1 - known.condition)
    assert classification_accuracy.accuracy([(wrong, 1.0)], **judged) == 0
    blank = known._replace(x=torch.zeros_like(known.x))
    assert classification_accuracy.accuracy([(blank, 1.0)], **judged) == pytest.approx(
        0.5, abs=1e-6
    )
    hard = {**judged, "held_out": stripes(200, 1, noise=3.0)}
    values = [
        classification_accuracy.accuracy([(known, 0.5), (wrong, 0.5)], **hard) for _ in range(2)
    ]
    assert values[0] == values[1]


def test_every_set_has_its_share_of_a_batch():
    ones, twos = (Batch(torch.full((5, 1, 4, 4), float(k)), torch.full((5,), k)) for k in (1, 2))
    batch = classification_accuracy._batch([(ones, 0.75), (twos, 0.25)], False, keyed_rng(0))
    assert batch.condition.bincount().tolist() == [0, 48, 16]
    assert torch.equal(batch.x[:, 0, 0, 0], batch.condition.float())


def test_a_batch_pairs_images_with_their_labels_and_reaches_all_of_them(monkeypatch):
    labels = torch.arange(10)
    images = Batch(labels.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).float(), labels)
    batches = [
        classification_accuracy._batch([(images, 1.0)], False, rng) for rng in [keyed_rng(0)] * 2
    ]
    for batch in batches:
        assert len(batch.x) == classification_accuracy.BATCH
        assert torch.equal(batch.x[:, 0, 0, 0], batch.condition.float())
    assert not torch.equal(batches[0].condition, batches[1].condition)
    assert torch.cat([batch.condition for batch in batches]).unique().tolist() == labels.tolist()
    monkeypatch.setattr(classification_accuracy, "random_affine", lambda x, rng: x + 100)
    moved = classification_accuracy._batch([(images, 1.0)], True, keyed_rng(0))
    assert torch.equal(moved.x, batches[0].x + 100)
    assert torch.equal(moved.condition, batches[0].condition)


def test_augmentation_applies_to_its_column_only_and_never_to_the_test_images(monkeypatch):
    monkeypatch.setattr(
        classification_accuracy, "random_affine", lambda x, rng: torch.zeros_like(x)
    )
    known, held_out = stripes(20, 0), stripes(200, 1)
    rows = classification_accuracy.synthetic_data_gain(
        known, {"made": stripes(20, 2)}, held_out, num_classes=2, synthetic_fraction=0.5, seed=0
    )
    nothing = pytest.approx(0.5, abs=1e-6)  # learned from blank images
    assert rows["real"] == {"no_augmentation": 1, "augmentation": nothing}
    assert rows["made"] | {"gain_augmentation": 0} == {
        "no_augmentation": 1,
        "augmentation": nothing,
        "synthetic_only": 1,
        "gain_no_augmentation": 0,
        "gain_augmentation": 0,
    }


def test_gains_are_differences_to_real_images_alone(narrow):
    known, held_out = stripes(4, 0, noise=2.0), stripes(300, 1, noise=2.0)
    made = {
        "more": stripes(400, 2, noise=2.0),
        "wrong": known._replace(condition=1 - known.condition),
    }
    rows = classification_accuracy.synthetic_data_gain(
        known, made, held_out, num_classes=2, synthetic_fraction=0.5, seed=0
    )
    assert list(rows) == ["real", "more", "wrong"] and list(rows["real"]) == [
        "no_augmentation",
        "augmentation",
    ]
    for row in (rows["more"], rows["wrong"]):
        assert (
            row["gain_no_augmentation"] == row["no_augmentation"] - rows["real"]["no_augmentation"]
        )
        assert row["gain_augmentation"] == row["augmentation"] - rows["real"]["augmentation"]
    assert rows["more"]["gain_no_augmentation"] > 0.05 > rows["wrong"]["gain_no_augmentation"]
    assert rows["wrong"]["synthetic_only"] < 0.5 < rows["more"]["synthetic_only"]


def test_usual_augmentation_turns_and_shifts_within_its_limits(monkeypatch):
    image = torch.rand(1, 1, 16, 16, generator=keyed_rng(0))
    monkeypatch.setattr(classification_accuracy, "MAX_ROTATION", 0.0)
    monkeypatch.setattr(classification_accuracy, "SHIFT", 0.0)
    torch.testing.assert_close(classification_accuracy.random_affine(image, keyed_rng(1)), image)
    monkeypatch.setattr(classification_accuracy, "SHIFT", 1 / 8)
    turn, down, across = (2 * torch.rand(3, 1, generator=keyed_rng(1)) - 1).flatten().tolist()
    places = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    shifted = [places[0] + 2 * down, places[1] + 2 * across]
    wanted = map_coordinates(image[0, 0].numpy(), shifted, order=1, mode="nearest")
    found = classification_accuracy.random_affine(image, keyed_rng(1))[0, 0]
    torch.testing.assert_close(found, torch.from_numpy(wanted), atol=1e-5, rtol=0)
    monkeypatch.setattr(classification_accuracy, "SHIFT", 0.0)
    monkeypatch.setattr(classification_accuracy, "MAX_ROTATION", math.pi / 2 / turn)
    found = classification_accuracy.random_affine(image, keyed_rng(1))[0, 0]
    quarter = [torch.rot90(image[0, 0], k) for k in (1, -1)]
    assert min(float((found - q).abs().max()) for q in quarter) < 1e-4


class Stripes(torch.nn.Module):
    """A generator that has learned ten classes: a bright row or column for each, and noise."""

    def __init__(self):
        super().__init__()
        self.level = torch.nn.Parameter(torch.ones(()))

    def sample_latent(self, n, rng):
        return torch.randn(n, 64, generator=rng)

    def forward(self, latent, condition=None):
        x = 0.1 * latent.unflatten(1, (1, 8, 8)) - self.level
        x[torch.arange(len(x)), 0, condition % 8] += 1 + condition[:, None] // 8
        return x


def test_the_domain_evaluates_on_the_held_out_split_only(narrow):
    few = FewShotImages("digits", 8, per_class=2, synthetic_per_class=4)
    sampler = Sampler(few.domain, Stripes())
    with pytest.raises(EvaluationSkipped, match="only the split test can evaluate"):
        few.domain.evaluate(sampler, few.split("valid"), keyed_rng(0), None)
    table = few.domain.evaluate(sampler, few.split("test"), keyed_rng(0), None)
    assert list(table.rows) == ["real", "Gaussian per class", "generator"]
    assert set(table.model) == {
        "no_augmentation",
        "augmentation",
        "synthetic_only",
        "gain_no_augmentation",
        "gain_augmentation",
    }
    assert (
        "1,777 held-out real images" in table.notes[0]
        and "trained on 2 real ones" in table.notes[0]
    )
    assert "with 4 synthetic images per class in 50% of every batch" in table.notes[1]
    assert table.rows["real"]["no_augmentation"] > 0.2 > table.model["synthetic_only"]


def test_truncation_applies_to_the_synthetic_images(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        classification_accuracy,
        "synthetic_data_gain",
        lambda known, made, *rest: seen.update(made) or {"real": {}},
    )
    spread = {}
    for limit in (None, 0.01):
        few = FewShotImages("digits", 8, per_class=2, synthetic_per_class=20, truncation=limit)
        few.domain.evaluate(Sampler(few.domain, Stripes()), few.split("test"), keyed_rng(0), None)
        spread[limit] = seen["generator"].x[:20].std(0).mean()
        assert seen["generator"].condition.bincount().tolist() == [20] * 10
    assert spread[0.01] < 0.3 * spread[None]


def test_a_generator_of_values_that_are_not_finite_is_not_evaluated():
    few = FewShotImages("digits", 8, per_class=2, synthetic_per_class=4)
    diverged = Stripes()
    torch.nn.init.constant_(diverged.level, math.nan)
    with pytest.raises(ValueError, match="must be finite; got NaN or infinity: training diverged"):
        few.split("test").evaluate_generator(diverged, keyed_rng(0))


def test_synthetic_images_are_quantized_before_evaluation(monkeypatch):
    seen = {}
    monkeypatch.setattr(
        classification_accuracy,
        "synthetic_data_gain",
        lambda known, made, *rest: seen.update(made) or {"r": {}},
    )
    FewShotImages("digits", 8, 2, synthetic_per_class=3, split="test").evaluate_generator(
        Stripes(), keyed_rng(0)
    )
    for batch in seen.values():
        assert torch.equal(batch.x, quantize(batch).x)
