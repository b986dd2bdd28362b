"""Presets: published sizes and schedules, which stages work in bf16, options of the pair."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from multigan.core.recipe_file import build_recipe, read_recipe, resolve_hyperparameters
from multigan.engine.objective import Objective
from multigan.engine.schedules import value_at, with_burn_in
from multigan.engine.trainer import AdversarialTrainer
from multigan.image.augmentation.pipelines import ScheduledAugment
from multigan.image.domain import ImageDomain
from multigan.image.models import layers
from multigan.image.models.dcgan import DCGANDiscriminator
from multigan.image.models.layers import CastDtype, ResidualBlock, minibatch_stddev
from multigan.image.models.presets import PRESETS, build_pair, get_preset
from multigan.image.models.r3gan import R3GANDiscriminator, R3GANGenerator
from tests.run_helpers import tiny_recipe

# Totals that the paper publishes, of G and D: (classes, channels, millions)
PUBLISHED = {"cifar-10": (10, 20.78, 21.28), "stacked-mnist": (0, 20.73, 20.68)}
EXACT = {
    "cifar-10": (10, 20_781_952, 21_280_512),
    "stacked-mnist": (0, 20_732_160, 20_683_776),
    "ffhq-64": (0, 22_429_824, 22_381_440),
    "ffhq-256": (0, 23_057_952, 23_009_568),
    "imagenet-64": (1000, 103_570_432, 107_205_120),
    "mini-32": (0, 258_000, 249_936),
}


def domain_of(size, num_classes=0, channels=3):
    return ImageDomain(channels, size, size, tuple(map(str, range(num_classes))))


def sizes(pair):
    return tuple(sum(p.numel() for p in network.parameters()) for network in pair)


@pytest.mark.parametrize("name", EXACT)
def test_a_preset_has_the_published_number_of_parameters(name):
    classes, *wanted = EXACT[name]
    with torch.device("meta"):
        pair = PRESETS[name].build(domain_of(PRESETS[name].resolution, classes))
    assert sizes(pair) == tuple(wanted)
    if name in PUBLISHED:
        assert [round(n / 1e6, 2) for n in sizes(pair)] == list(PUBLISHED[name][1:])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_generates_and_discriminates_images_of_its_size(name):
    preset = PRESETS[name]
    with torch.device("meta"):
        g, d = preset.build(domain_of(preset.resolution, 3))
        labels = torch.zeros(2, dtype=torch.long)
        images = g(torch.zeros(2, 64), labels)
        logits = d(images, labels)
    assert images.shape == (2, 3, preset.resolution, preset.resolution)
    assert logits.shape == (2,) and logits.dtype == images.dtype == torch.float32


@pytest.mark.parametrize("name", ["cifar-10", "stacked-mnist", "ffhq-64", "ffhq-256"])
def test_published_runs_show_the_published_number_of_images(name):
    preset, seen = PRESETS[name], {"cifar-10": 250, "stacked-mnist": 10, "ffhq-64": 100}
    millions = preset.steps * preset.batch_size / 1e6
    assert millions == pytest.approx(seen.get(name, 200), rel=1e-3)
    settled = {"stacked-mnist": 2}.get(name, 20)
    assert preset.burn_in * millions == pytest.approx(settled, rel=1e-3)


def test_five_values_follow_one_cosine_to_the_ends_of_the_preset():
    """Of CIFAR-10's: lr, gamma, beta2, half-life and the chance of augmentation."""
    preset = PRESETS["cifar-10"]
    mini = tiny_recipe("image_large")
    large = replace(
        mini,
        burn_in=preset.burn_in,
        ema_halflife_samples=preset.ema_halflife_samples,
        penalties={"r1": preset.gamma},
        generator_lr=preset.lr_schedule(),
        discriminator_lr=preset.lr_schedule(),
    )
    recipe = with_burn_in(large)
    augment = ScheduledAugment(preset.augment_p, fraction=preset.burn_in)
    ends = {
        "generator_lr": (2e-4, 5e-5),
        "discriminator_lr": (2e-4, 5e-5),
        "beta2": (0.9, 0.99),
        "ema_halflife_samples": (0.0, 5e6),
    }
    for share in (0.0, 0.25, 0.5, 0.8, 1.0, 5.0):
        fallen = (1 - math.cos(math.pi * min(1.0, share))) / 2
        progress = share * preset.burn_in
        for name, (start, end) in ends.items():
            wanted = start + (end - start) * fallen
            assert value_at(getattr(recipe, name), progress) == pytest.approx(wanted), name
        assert value_at(recipe.penalties["r1"], progress) == pytest.approx(0.05 - 0.045 * fallen)
        assert augment.anneal(progress)["augment/p"] == pytest.approx(0.55 * fallen)


@pytest.mark.parametrize("name", PRESETS)
def test_the_learning_rate_falls_to_a_quarter_but_that_of_stacks_which_stays(name):
    preset = PRESETS[name]
    left = {"stacked-mnist": 1.0}.get(name, 0.25)
    for progress in (preset.burn_in, 1.0):
        assert value_at(preset.lr_schedule(), progress) == pytest.approx(left * 2e-4)
    assert value_at(preset.lr_schedule(), 0.0) == 2e-4


def test_stacked_mnist_at_the_size_of_a_gpu_is_the_published_configuration():
    """R3GAN's: 32 pixels by a frame of 2, 10 million stacks of a constant rate, 2 to settle."""
    recipe = build_recipe(
        file := read_recipe("benchmarks/stacked_mnist"),
        resolve_hyperparameters(file, {"size": "gpu", "data": "digits"}, tiny=False),
        seed=0,
    )
    pair = (recipe.generator, recipe.discriminator)
    assert sizes(pair) == EXACT["stacked-mnist"][1:]
    stacks = recipe.data.batch(torch.arange(2)).x
    assert stacks.shape == (2, 3, 32, 32) and recipe.data.domain.class_names == ()
    inside = stacks[:, :, 2:-2, 2:-2]
    frame = (stacks.double().sum() - inside.double().sum()) / (2 * 3 * (32**2 - 28**2))
    assert float(frame) == pytest.approx(-1) and float(inside.max()) > 0.5
    with torch.no_grad():
        assert pair[1](stacks).shape == (2,)
    settled = with_burn_in(recipe)
    shown = recipe.steps * recipe.batch_size / 1e6
    assert shown == pytest.approx(10, rel=1e-3) and recipe.batch_size == 512
    assert recipe.burn_in * shown == pytest.approx(2, rel=1e-3)
    for progress, gamma, halflife in ((0.0, 1.0, 0.0), (0.2, 0.1, 5e5), (1.0, 0.1, 5e5)):
        assert value_at(settled.generator_lr, progress) == 2e-4
        assert value_at(settled.discriminator_lr, progress) == 2e-4
        assert value_at(settled.penalties["r2"], progress) == pytest.approx(gamma)
        assert value_at(settled.ema_halflife_samples, progress) == pytest.approx(halflife)


def test_stacked_mnist_without_penalty_has_none():
    file = read_recipe("benchmarks/stacked_mnist")
    hyperparameters = resolve_hyperparameters(file, {"gamma": 0.0, "data": "digits"}, tiny=True)
    assert build_recipe(file, hyperparameters, seed=0).penalties == {"r1": 0, "r2": 0}


def types_seen(network, kinds):
    """The type of what each layer of these kinds is given, with its height: {(height, dtype)}."""
    seen = []
    for layer in network.modules():
        if isinstance(layer, kinds):
            layer.register_forward_pre_hook(
                lambda module, inputs: seen.append((inputs[0].shape[2], inputs[0].dtype))
            )
    return seen


def test_the_largest_stages_work_in_bf16_and_the_smallest_and_the_ends_in_float32():
    sizes = (32, 3, (16, 16, 16, 16), 1)
    with torch.device("meta"):
        g = R3GANGenerator(*sizes, bf16_stages=3)
        d = R3GANDiscriminator(*sizes, bf16_stages=3)
        seen = [types_seen(network, ResidualBlock) for network in (g, d)]
        images = g(torch.zeros(2, 64))
        logits = d(images)
    half = {(side, torch.bfloat16) for side in (8, 16, 32)} | {(4, torch.float32)}
    assert [set(found) for found in seen] == [half, half]
    assert images.dtype == logits.dtype == torch.float32
    assert {p.dtype for n in (g, d) for p in n.parameters()} == {torch.float32}


def test_on_a_cpu_every_stage_stays_in_float32():
    g = R3GANGenerator(16, 1, (8, 8, 8), 1, bf16_stages=2)
    seen = types_seen(g, ResidualBlock)
    g(torch.zeros(2, 64))
    assert {dtype for _, dtype in seen} == {torch.float32}


def test_bf16_stages_change_results_by_their_rounding_and_can_be_differentiated_twice(monkeypatch):
    sizes = (8, 1, (16, 16), 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        d = R3GANDiscriminator(*sizes, bf16_stages=1)
        for p in d.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
        x = torch.randn(4, 1, 8, 8).requires_grad_()

    def penalty():
        d.zero_grad()
        (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
        slope.square().sum().backward()
        return slope.detach(), {
            name: p.grad for name, p in d.named_parameters() if p.grad is not None
        }

    wide, wide_grads = penalty()
    monkeypatch.setattr(layers, "FLOAT32_ONLY", ())
    half, half_grads = penalty()
    assert half.dtype == torch.float32 and not torch.equal(half, wide)
    torch.testing.assert_close(half, wide, rtol=0.1, atol=0.05 * float(wide.abs().max()))
    assert half_grads.keys() == wide_grads.keys()
    for name, gradient in half_grads.items():
        assert gradient.dtype == torch.float32 and torch.isfinite(gradient).all(), name


def test_casts_are_no_parameters_so_weights_fit_whatever_the_precision():
    plain, half = R3GANGenerator(8, 1, (8, 8), 1), R3GANGenerator(8, 1, (8, 8), 1, bf16_stages=1)
    assert sum(isinstance(layer, CastDtype) for layer in half.body) == 2
    assert [p.shape for p in plain.parameters()] == [p.shape for p in half.parameters()]


def test_the_spread_of_a_group_is_that_of_its_samples():
    h = torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    seen = minibatch_stddev(h, 4)
    assert seen.shape == (8, 4, 2, 2) and torch.equal(seen[:, :3], h)
    first, second = h[::2], h[1::2]
    wanted = [group.std(0, unbiased=False).mean() for group in (first, second)]
    for k in range(8):
        torch.testing.assert_close(seen[k, 3], wanted[k % 2].expand(2, 2), rtol=1e-4, atol=1e-6)
    alike = minibatch_stddev(h[:1].expand(4, -1, -1, -1), 4)[:, 3]
    assert alike.abs().max() < 1e-3  # a collapsed generator gives itself away
    assert minibatch_stddev(h[:7], 4).shape == (7, 4, 2, 2)  # 7 has no divisor up to 4 but 1


@pytest.mark.parametrize("kind", ["r3gan", "dcgan"])
def test_minibatch_stddev_uses_batch_statistics_and_excludes_penalties(kind):
    _, d = build_pair(kind, domain_of(8, channels=1), 8, mbstd_group_size=4)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert d.uses_batch_statistics and not torch.allclose(d(x)[:2], d(x[:2]))
    assert d.features(x).shape[0] == 4
    Objective(d, "relativistic", {})
    with pytest.raises(ValueError, match="uses batch statistics"):
        Objective(d, "relativistic", {"r1": 1.0})


def test_the_options_of_the_image_recipe_reach_its_networks():
    plain = tiny_recipe("image")
    assert isinstance(plain.discriminator, DCGANDiscriminator) and not has_spectral(plain)
    assert has_spectral(tiny_recipe("image", norm="spectral"))
    r3 = tiny_recipe("image", network="r3gan", resolution=8)
    assert isinstance(r3.generator, R3GANGenerator) and isinstance(
        r3.discriminator, R3GANDiscriminator
    )
    for hyperparameters in ({"norm": "batch"}, {"mbstd_group_size": 4}):
        with pytest.raises(ValueError, match="uses batch statistics"):
            AdversarialTrainer(tiny_recipe("image", **hyperparameters))
        trainer = AdversarialTrainer(tiny_recipe("image", gamma="0", steps=1, **hyperparameters))
        assert len(list(trainer.steps())) == 1


def has_spectral(recipe):
    return isinstance(recipe.discriminator, nn.Module) and any(
        "parametrizations" in name for name, _ in recipe.discriminator.named_parameters()
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: get_preset("ffhq"), "preset must be one of mini-8, .*; got 'ffhq'"),
        (
            lambda: PRESETS["mini-8"].build(domain_of(16)),
            "must have 8 pixels a side for this preset; got 16",
        ),
        (
            lambda: build_pair("biggan", domain_of(8), 8),
            "network must be one of dcgan, r3gan; got 'biggan'",
        ),
        (
            lambda: build_pair("r3gan", domain_of(8), 8, norm="spectral"),
            "norm must be none for r3gan",
        ),
        (lambda: R3GANGenerator(8, 1, (8, 8), 1, bf16_stages=2), "must be 0 to 1 of 2"),
        (lambda: R3GANDiscriminator(8, 1, (8, 8), 1, bf16_stages=-1), "got -1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)
