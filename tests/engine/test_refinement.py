"""Refinement on a generator whose density ratio to the data is known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from multigan.arrays.datasets.arrays import ArrayDataset
from multigan.core.protocols import Batch, Refiner
from multigan.core.refinement import (
    LOG_2,
    MAX_CANDIDATES,
    DiscriminatorRefiner,
    RefinedGenerator,
    RefinementCard,
)
from multigan.core.rng import keyed_rng
from multigan.engine.refinement import (
    MAX_SCALE,
    UNTRAINED_SCALE,
    Epoch,
    RefinementSettings,
    best_scale,
    calibrated_log_loss,
    effective_sample_size,
    fit_refiner,
    gain_of,
    largest_scale,
    log_mean_exp,
    measure_gain,
)

SHIFT = 1.0  # of the data, N(SHIFT, 1), from the generator, N(0, 1)
KL = SHIFT**2 / 2  # of the data from the generator
CARD = RefinementCard(1.0, 2.0, LOG_2, 1.0, 0, 100, 0)


class Normal(nn.Module):
    """A generator of N(0, 1), or of N(condition, 1)."""

    def __init__(self):
        super().__init__()
        self.zero = nn.Parameter(torch.zeros(()))

    def sample_latent(self, n, rng):
        return torch.randn(n, 1, generator=rng)

    def forward(self, latent, condition=None):
        return latent + self.zero + (0 if condition is None else condition[:, None])


class TrueLogit(nn.Module):
    """The discriminator that knows the ratio: x SHIFT - SHIFT^2 / 2."""

    uses_batch_statistics = False

    def forward(self, x, condition=None):
        return (x * SHIFT - SHIFT**2 / 2).squeeze(1)


class LinearLogit(nn.Module):
    """A discriminator that can learn the ratio."""

    uses_batch_statistics = False

    def __init__(self, dropout=0.0):
        super().__init__()
        self.last, self.dropout = nn.Linear(1, 1), nn.Dropout(dropout)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x, condition=None):
        return self.last(self.dropout(x)).squeeze(1)


def normal_data(count=4000):
    return ArrayDataset(torch.randn(count, 1, generator=keyed_rng("data")) + SHIFT).split("train")


def refined_mean(candidates, log_bound=2.0, count=4000):
    generator = RefinedGenerator(
        Normal(), DiscriminatorRefiner(TrueLogit()), replace(CARD, log_bound=log_bound), candidates
    )
    x = generator(generator.sample_latent(count, keyed_rng("refined")))
    return float(x.mean()), float(x.std()), generator.candidates_per_sample


@pytest.mark.parametrize("log_bound", [2.5, 1e9], ids=["rejection", "resampling only"])
def test_refined_samples_follow_the_data(log_bound):
    mean, std, cost = refined_mean(64, log_bound)
    assert mean == pytest.approx(SHIFT, abs=0.08)  # 5 standard errors: .016 each
    assert std == pytest.approx(1, abs=0.06)
    assert cost == (64 if log_bound == 1e9 else pytest.approx(math.exp(2.5), rel=0.06))


def test_more_candidates_come_nearer_to_the_data():
    means = [refined_mean(candidates, 1e9)[0] for candidates in (1, 2, 8)]
    assert means[0] == pytest.approx(0, abs=0.08) and means[0] < means[1] < means[2] < SHIFT + 0.08


def test_a_sample_depends_on_its_own_latents_alone():
    generator = RefinedGenerator(Normal(), DiscriminatorRefiner(TrueLogit()), CARD, 4)
    latent = generator.sample_latent(32, keyed_rng("rows"))
    condition = torch.linspace(-1, 1, 32)
    whole = generator(latent, condition)
    part = type(latent)(latent.candidates[5:9], latent.uniform[5:9])
    assert torch.equal(generator(part, condition[5:9]), whole[5:9])


def test_a_fitted_refiner_finds_the_ratio_and_its_gain_is_the_divergence():
    epochs: list[Epoch] = []
    refiner, generator = DiscriminatorRefiner(LinearLogit()), Normal()
    settings = RefinementSettings(3, 2000, learning_rate=0.02, validation_samples=2000)
    data = normal_data()
    card = fit_refiner(refiner, generator, data, settings=settings, on_epoch=epochs.append)
    assert isinstance(refiner, Refiner)
    assert card.scale * float(refiner.discriminator.last.weight) == pytest.approx(SHIFT, abs=0.1)
    assert epochs[0].log_loss == pytest.approx(LOG_2, abs=0.05)
    best = min(epoch.log_loss for epoch in epochs)
    assert card.log_loss == pytest.approx(best, abs=0.02) and card.log_loss < 0.6  # .58 at best
    gain = measure_gain(refiner, card, generator, data.split("test"), num_fake=4000)
    assert gain.interval[0] < KL < gain.interval[1]
    assert gain.nats == pytest.approx(KL, abs=0.12) and 0 < gain.log_z_bias < 0.01
    assert gain.effective_sample_size == pytest.approx(math.exp(-(SHIFT**2)), abs=0.1)


def test_fitting_is_a_function_of_its_seed_and_leaves_the_global_stream_alone():
    settings = RefinementSettings(epochs=1, epoch_samples=256, validation_samples=128)

    def fit(seed):
        refiner = DiscriminatorRefiner(LinearLogit(dropout=0.5))
        generator, data, before = Normal(), normal_data(400), torch.get_rng_state()
        card = fit_refiner(refiner, generator, data, seed=seed, settings=settings)
        assert torch.equal(torch.get_rng_state(), before)
        return [card.scale, *[float(p.sum()) for p in refiner.parameters()]]

    assert fit(0) == fit(0) != fit(1)


def test_a_discriminator_that_only_gets_worse_is_kept_as_it_came():
    data = normal_data(400)
    settings = RefinementSettings(epochs=9, learning_rate=1e6, validation_samples=256, patience=2)
    refiner, seen = DiscriminatorRefiner(LinearLogit()), []
    card = fit_refiner(refiner, Normal(), data, settings=settings, on_epoch=seen.append)
    assert card.epochs == 0 and len(seen) == 3  # before the first, and the patience
    assert float(refiner.discriminator.last.weight) == 0


def test_without_epochs_only_the_scale_is_fitted():
    refiner = DiscriminatorRefiner(LinearLogit())
    with torch.no_grad():
        refiner.discriminator.last.weight.fill_(2 * SHIFT)
        refiner.discriminator.last.bias.fill_(3.0)
    before = {name: tensor.clone() for name, tensor in refiner.state_dict().items()}
    settings, data = RefinementSettings(epochs=0, validation_samples=4000), normal_data()
    card = fit_refiner(refiner, Normal(), data, settings=settings)
    assert all(torch.equal(tensor, before[name]) for name, tensor in refiner.state_dict().items())
    assert card.epochs == 0 and card.scale == pytest.approx(0.5, abs=0.1)
    assert card.log_loss < 0.6  # .58 at best: an offset of the logit does not count


def test_a_logit_that_was_not_trained_is_not_enlarged():
    refiner = DiscriminatorRefiner(LinearLogit())
    torch.nn.init.constant_(refiner.discriminator.last.weight, SHIFT / 4)
    settings, data = RefinementSettings(epochs=0, validation_samples=1000), normal_data()
    card = fit_refiner(refiner, Normal(), data, settings=settings)
    assert card.scale == pytest.approx(UNTRAINED_SCALE)


def test_the_log_loss_is_that_of_the_ratio_whose_mean_is_1():
    real, fake = torch.tensor([0.0]).double(), torch.tensor([0.0, math.log(3)]).double()
    # Z = 2: the ratios are 1/2 for real, and 1/2 and 3/2 for generated samples.
    expected = (math.log(3) + (math.log(1.5) + math.log(2.5)) / 2) / 2
    assert calibrated_log_loss(real, fake) == pytest.approx(expected)
    assert calibrated_log_loss(real + 5, fake + 5) == pytest.approx(expected)


def test_logits_with_weights_are_averaged_over_the_live_ones():
    class Positions(nn.Module):
        uses_batch_statistics = False

        def forward(self, x, condition=None):
            return x, (x != 0).float()

    refiner = DiscriminatorRefiner(Positions())
    x = torch.tensor([[1.0, 3.0, 0.0], [2.0, 0.0, 0.0]])
    assert refiner(refiner.observe(x), Normal()).tolist() == pytest.approx([2.0, 2.0])


def test_the_scale_is_that_of_the_largest_gain_and_0_where_nothing_is_gained():
    rng = keyed_rng("scale")
    fake, real = (torch.randn(20_000, generator=rng, dtype=torch.float64) for _ in range(2))
    real += SHIFT
    assert best_scale(2 * real, 2 * fake) == pytest.approx(SHIFT / 2, abs=0.03)
    assert best_scale(-real, -fake) == 0


def test_the_scale_leaves_an_effective_sample_among_the_candidates():
    """Real and generated samples are apart, so the gain grows with the scale without end."""
    fake = torch.randn(4000, generator=keyed_rng("apart"), dtype=torch.float64)
    scale = best_scale(fake + 100, fake)
    assert scale == pytest.approx(math.log(MAX_CANDIDATES) ** 0.5, abs=0.1)  # exp(-scale^2) = 1/16
    assert effective_sample_size(scale * fake) == pytest.approx(1 / MAX_CANDIDATES, rel=1e-3)
    assert largest_scale(fake / 100, MAX_SCALE) == pytest.approx(MAX_SCALE)


def test_gain_and_effective_sample_size_equal_hand_numbers():
    real, fake = torch.tensor([0.5, 1.5]).double(), torch.tensor([0.0, math.log(3)]).double()
    assert log_mean_exp(fake) == pytest.approx(math.log(2))
    assert effective_sample_size(fake) == pytest.approx(16 / (2 * 10))  # (1 + 3)^2 / (2 (1 + 9))
    gain = gain_of(real, fake, keyed_rng("hand"))
    assert gain.nats == pytest.approx(1 - math.log(2))
    assert gain.log_z_bias == pytest.approx(2 / (2 * 2 * 4))  # variance 2, mean 2, two samples
    assert gain.interval[0] < gain.nats < gain.interval[1]


def test_fakes_are_made_under_the_conditions_of_the_real_samples():
    class Conditional(ArrayDataset):
        def batch(self, indices, rng=None):
            found = super().batch(indices, rng)
            return Batch(found.x, found.x[:, 0])

    seen = []

    class Spy(DiscriminatorRefiner):
        def observe(self, x, condition=None):
            seen.append((x, condition))
            return super().observe(x, condition)

    data = Conditional(torch.randn(400, 1, generator=keyed_rng("data"))).split("train")
    settings = RefinementSettings(epochs=1, epoch_samples=64, validation_samples=64)
    fit_refiner(Spy(LinearLogit()), Normal(), data, settings=settings)
    (real, condition), (fake, of_fake) = seen[-1], seen[-2]
    assert torch.equal(condition, of_fake) and not torch.equal(real, fake)


@pytest.mark.parametrize(
    "arguments", [{"epochs": -1}, {"patience": -1}, {"learning_rate": float("nan")}]
)
def test_settings_that_are_not_positive_are_refused(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))} must be a positive number"):
        RefinementSettings(**arguments)


def test_the_number_of_candidates_must_be_positive():
    with pytest.raises(ValueError, match="candidates must be 1 or more"):
        RefinedGenerator(Normal(), DiscriminatorRefiner(TrueLogit()), CARD, 0)


@pytest.mark.parametrize(
    "change",
    [{"scale": float("nan")}, {"epochs": "1"}, {"seed": True}, {"other": 1}],
    ids=["NaN", "text", "a truth value", "unknown"],
)
def test_a_damaged_card_is_refused(change):
    with pytest.raises(ValueError, match="card of a refiner"):
        RefinementCard.from_json(CARD.to_json() | change)
    assert RefinementCard.from_json(CARD.to_json()) == CARD
