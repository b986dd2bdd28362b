"""Samples at a checkpoint are compared with training and held-out items by nearest neighbors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.engine import neighbors
from multigan.engine.monitoring import TrainingMonitor
from multigan.engine.neighbors import _distance_metrics, _train_share, neighbor_metrics
from tests.toy_domain import ToyData, ToyDiscriminator, ToyGenerator, toy_recipe

CLASSES, SIZE = 4, 12  # of the data; numbers of a sample


def clusters(n: int, seed: str, classes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Samples (n, SIZE) of CLASSES Gaussians, each wide in one direction, and their labels."""
    rng = keyed_rng("neighbors test", seed)
    labels = torch.arange(n) % CLASSES if classes is None else classes
    centers = 4 * torch.randn(CLASSES, SIZE, generator=keyed_rng("centers"))
    wide = torch.randn(CLASSES, SIZE, generator=keyed_rng("directions"))
    along = torch.randn(n, 1, generator=rng) * wide[labels]
    return centers[labels] + along + 0.1 * torch.randn(n, SIZE, generator=rng), labels


class Items:
    """A dataset of given samples and labels."""

    in_memory, is_stochastic, fingerprint = True, False, "items"

    def __init__(self, x: Tensor, labels: Tensor | None = None) -> None:
        self.x, self.labels = x, labels

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Tensor, rng: torch.Generator | None = None) -> Batch:
        return Batch(self.x[indices], None if self.labels is None else self.labels[indices])


class FunctionGenerator(nn.Module):
    """Samples of a function of the labels and a random stream."""

    def __init__(self, function: Callable[[Tensor, torch.Generator], Tensor]) -> None:
        super().__init__()
        self.function = function

    def sample_latent(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randint(2**31, (n,), generator=rng)

    def forward(self, latent: Tensor, condition: Any = None) -> Tensor:
        labels = torch.zeros_like(latent) if condition is None else condition
        return self.function(labels, torch.Generator().manual_seed(int(latent[0])))


class LabelDiscriminator(nn.Module):
    """Minus the distance to the center of the label."""

    uses_batch_statistics = False

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        x_train, labels = clusters(400, "train")
        means = torch.stack([x_train[labels == k].mean(0) for k in range(CLASSES)])
        return -(x - means[condition]).norm(dim=1)


class FirstValue(nn.Module):
    """The first value of a sample."""

    uses_batch_statistics = False

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return x[:, 0]


TRAIN, HELD_OUT = clusters(400, "train"), clusters(200, "valid")


def as_data(labels: Tensor, rng: torch.Generator) -> Tensor:
    return clusters(len(labels), f"fake {rng.initial_seed()}", labels)[0]


def copies(labels: Tensor, rng: torch.Generator) -> Tensor:
    return TRAIN[0][4 * torch.randint(100, (len(labels),), generator=rng) + labels]


def one_of_each_class(labels: Tensor, rng: torch.Generator) -> Tensor:
    return TRAIN[0][labels] + 1e-3 * torch.randn(len(labels), SIZE, generator=rng)


def without_two_classes(labels: Tensor, rng: torch.Generator) -> Tensor:
    return as_data(labels % 2, rng)


def measured(function: Callable[..., Tensor], train: Any = TRAIN, **options: Any) -> dict:
    held_out = options.get("held_out", HELD_OUT)
    discriminator = options.get("discriminator", LabelDiscriminator())
    networks = (FunctionGenerator(function), discriminator)
    return neighbor_metrics(*networks, Items(*train), Items(*held_out), seed=0, step=1)


def diagnoses_of(values: dict[str, float]) -> set[str]:
    """The diagnoses of two checkpoints with these values."""
    monitor = TrainingMonitor(toy_recipe(steps=1000))
    monitor.read_checkpoint(900, values, None)
    return set(monitor.read_checkpoint(1000, values, None))


def test_samples_of_the_data_distribution_have_no_diagnosis():
    values = measured(as_data)
    assert diagnoses_of(values) == set()
    assert values["two_sample_accuracy"] == pytest.approx(0.5, abs=0.1)
    for name in ("distance_ratio", "diversity", "spread", "diversity_within_condition"):
        assert values[name] == pytest.approx(1.0, abs=0.15), name
    assert values["missing_fraction"] < 0.1 and values["copies"] < 0.06
    assert values["condition_fake"] > 0.95 and values["condition_auc"] > 0.95


def test_copies_of_training_items_are_named():
    values = measured(copies)
    assert values["copies"] > 0.95 and values["distance_ratio"] < 0.1
    assert diagnoses_of(values) == {"memorization"}


def test_a_tiny_set_that_was_memorized_is_named():
    train, held_out = clusters(16, "tiny train"), clusters(8, "tiny valid")

    def copied(labels: Tensor, rng: torch.Generator) -> Tensor:
        return train[0][4 * torch.randint(4, (len(labels),), generator=rng) + labels]

    assert "memorization" in diagnoses_of(measured(copied, train, held_out=held_out))


def test_copies_are_nearer_than_all_distances_of_data_but_two():
    on_a_line = lambda *places: torch.tensor(places, dtype=torch.float32)[:, None]  # noqa: E731
    fake, known = on_a_line(2.5, 3.5), on_a_line(0, 1000, 2000, 3000)
    values = _distance_metrics([fake, on_a_line(*range(1, 65)), known])  # the third: 3
    assert float(values["copies"]) == 0.5 and values["copies_by_chance"] == 3 / 65
    fake, known = on_a_line(9, 48), on_a_line(0, 10, 30, 60)  # distances of 10, 10, 20 and 30
    values = _distance_metrics([fake, on_a_line(1, 90), known])  # and 1 and 30: the third is 10
    assert float(values["copies"]) == 0.5 and values["copies_by_chance"] == 3 / 7


def plane(n: int, seed: str) -> tuple[Tensor, None]:
    """A Gaussian in two dimensions."""
    return torch.randn(n, 2, generator=keyed_rng("plane", seed)), None


def near(items: Tensor, noise: float) -> Callable[[Tensor, torch.Generator], Tensor]:
    """Samples around the items."""

    def function(labels: Tensor, rng: torch.Generator) -> Tensor:
        chosen = items[torch.randint(len(items), (len(labels),), generator=rng)]
        return chosen + noise * torch.randn(chosen.shape, generator=rng)

    return function


@pytest.mark.parametrize("seed", range(5))
def test_a_tiny_set_in_the_plane_that_was_memorized_is_named(seed):
    train, held_out = plane(16, f"train {seed}"), plane(16, f"valid {seed}")
    values = measured(near(train[0], 0.05), train, held_out=held_out)
    assert values["train_share"] > 0.9 and "memorization" in diagnoses_of(values)
    for known, items in ((train, held_out), (plane(2000, "train"), plane(200, "valid"))):
        fresh = lambda labels, rng: plane(len(labels), f"{rng.initial_seed()}")[0]  # noqa: E731
        values = measured(fresh, known, held_out=items)
        assert values["train_share"] == pytest.approx(values["train_chance"], abs=0.35)
        assert "memorization" not in diagnoses_of(values)


def test_modes_that_are_too_narrow_are_not_memorized():
    def modes(n: int, seed: str, width: float = 0.1) -> tuple[Tensor, None]:
        number = torch.randint(25, (n,), generator=keyed_rng("modes in the plane", seed))
        means = torch.stack([number % 5, number // 5], 1).float()
        return means + width * plane(n, f"modes {seed}")[0], None

    train, held_out = modes(2000, "train"), modes(256, "valid")
    narrow = lambda labels, rng: modes(len(labels), f"{rng.initial_seed()}", 0.04)[0]  # noqa: E731
    values = measured(narrow, train, held_out=held_out)
    assert values["distance_ratio"] < 0.9
    assert values["train_share"] == pytest.approx(values["train_chance"], abs=0.04)
    assert "memorization" not in diagnoses_of(values)


def test_the_share_of_training_items_has_the_variance_of_random_choices():
    masses = torch.tensor([0.4, 0.3, 0.2, 0.1, 0.0])
    rows = masses.mul(10).long().tolist()
    nearest = torch.tensor([item for item, count in enumerate(rows) for _ in range(count)])
    distances = 1.0 - torch.nn.functional.one_hot(nearest, 5).float()
    values = _train_share(distances, held_out=2)
    shares = torch.tensor([float(masses[list(c)].sum()) for c in combinations(range(5), 3)])
    assert float(values["train_share"]) == pytest.approx(0.3) and values["train_chance"] == 0.6
    error = float(shares.double().std(correction=0))
    assert float(values["train_z"]) == pytest.approx((0.3 - 0.6) / error, rel=1e-5)


def test_wide_items_have_the_figures_that_they_have_in_all_their_dimensions(monkeypatch):
    wide = torch.linalg.qr(torch.randn(900, SIZE, generator=keyed_rng("wide"))).Q.T
    train, held_out = ((x @ wide, labels) for x, labels in (clusters(80, "a"), clusters(40, "b")))
    fake = lambda labels, rng: as_data(labels, rng) @ wide  # noqa: E731
    options = {"held_out": held_out, "discriminator": FirstValue()}
    rotated = measured(fake, train, **options)
    monkeypatch.setattr(neighbors, "MAX_ROTATED", 0)
    whole = measured(fake, train, **options)
    assert rotated.keys() == whole.keys()
    for name, value in whole.items():
        assert rotated[name] == pytest.approx(value, abs=0.06), name  # one item of 40 is .025


@pytest.mark.parametrize("copies", [1, 60], ids=["narrow", "wide"])
def test_samples_whose_squares_overflow_have_diverged(copies):
    train, held_out = ((x.repeat(1, copies), c) for x, c in (clusters(80, "a"), clusters(40, "b")))
    huge = lambda labels, rng: 1e25 * as_data(labels, rng).repeat(1, copies)  # noqa: E731
    values = measured(huge, train, held_out=held_out, discriminator=FirstValue())
    assert diagnoses_of(values) == {"divergence"}


def test_few_held_out_items_miss_no_mode_by_chance():
    train, held_out = clusters(40, "few train"), clusters(4, "few valid")
    values = measured(as_data, train, held_out=held_out)
    assert values["missing_fraction"] <= 0.25
    assert not {"missing modes", "mislabeled data"} & diagnoses_of(values)


def test_one_sample_for_each_class_is_named():
    values = measured(one_of_each_class)
    assert values["diversity"] > 0.5 and values["diversity_within_condition"] < 0.05
    assert "collapse within conditions" in diagnoses_of(values)


def test_missing_classes_are_named():
    train, held_out = (TRAIN[0], None), (HELD_OUT[0], None)  # without labels
    half = lambda labels, rng: as_data(torch.arange(len(labels)) % 2, rng)  # noqa: E731
    values = measured(half, train, held_out=held_out)
    assert values["missing_fraction"] == pytest.approx(0.5, abs=0.05)
    assert not any(name.startswith("condition") for name in values)
    assert "missing modes" in diagnoses_of(values)


def test_samples_of_another_class_than_requested_are_named():
    shuffled = lambda labels, rng: as_data(labels.roll(1), rng)  # noqa: E731
    assert "ignored condition" in diagnoses_of(measured(shuffled))


def test_shuffled_labels_are_named():
    order = torch.randperm(400, generator=keyed_rng("shuffle"))
    held_out_order = torch.randperm(200, generator=keyed_rng("shuffle held out"))
    train = (TRAIN[0], TRAIN[1][order])
    held_out = (HELD_OUT[0], HELD_OUT[1][held_out_order])
    values = measured(as_data, train, held_out=held_out)
    assert values["condition_real"] == pytest.approx(values["condition_chance"], abs=0.08)
    assert "mislabeled data" in diagnoses_of(values)


def test_one_sample_again_and_again_is_a_collapse():
    same = lambda labels, rng: TRAIN[0][:1].expand(len(labels), -1)  # noqa: E731
    assert {"mode collapse", "missing modes"} <= diagnoses_of(measured(same))


def test_noise_is_underfitting_and_no_collapse():
    def of_few_directions(n: int, seed: str) -> Tensor:
        rng = keyed_rng("few directions", seed)
        return torch.randn(n, 2, generator=rng) @ torch.eye(2, 120)

    def noise(labels: Tensor, rng: torch.Generator) -> Tensor:  # as far apart as the data
        return (2 / 120) ** 0.5 * torch.randn(len(labels), 120, generator=rng)

    sets = [(of_few_directions(n, seed), None) for n, seed in ((400, "train"), (200, "valid"))]
    values = measured(noise, sets[0], held_out=sets[1])
    assert values["spread"] == pytest.approx(1.0, abs=0.3) and values["diversity"] < 0.5
    assert diagnoses_of(values) == {"underfitting"}


def test_one_mode_of_ten_is_a_mode_collapse_and_no_underfitting():
    means = 8.0 * torch.eye(10, 64)  # ten clusters that vary in 64 directions

    def all_modes(n: int, seed: str) -> Tensor:
        return means[torch.arange(n) % 10] + torch.randn(n, 64, generator=keyed_rng("modes", seed))

    def one_mode(labels: Tensor, rng: torch.Generator) -> Tensor:
        return means[0] + torch.randn(len(labels), 64, generator=rng)

    sets = [(all_modes(n, seed), None) for n, seed in ((600, "train"), (200, "valid"))]
    values = measured(one_mode, sets[0], held_out=sets[1])
    assert values["spread"] > 0.5  # it varies as its mode does
    assert diagnoses_of(values) == {"mode collapse", "missing modes"}


def test_too_few_items_and_values_that_are_not_finite_are_not_measured():
    assert measured(as_data, held_out=clusters(3, "few")) == {}
    assert measured(lambda labels, rng: torch.full((len(labels), SIZE), torch.nan)) == {}


@pytest.mark.parametrize("options", [{"in_memory": False}, {"draws": True}, {"labelled": True}])
def test_every_kind_of_dataset_is_measured_without_a_trace(options):
    data = ToyData(40, **options)
    networks = [cls(labelled=data.labelled).train() for cls in (ToyGenerator, ToyDiscriminator)]
    before = [t.clone() for network in networks for t in network.state_dict().values()]
    state = torch.get_rng_state()
    values = [neighbor_metrics(*networks, data, data, seed=3, step=7) for _ in range(2)]
    assert values[0] == values[1] and "missing_fraction" in values[0]
    assert torch.equal(state, torch.get_rng_state())
    after = [t for network in networks for t in network.state_dict().values()]
    assert all(map(torch.equal, before, after))
    assert all(module.training for network in networks for module in network.modules())
