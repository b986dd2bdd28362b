"""Augmentations apply their operation to each image independently, and are twice differentiable."""

import json
import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from multigan.core.protocols import Batch
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.engine.trainer import AdversarialTrainer
from multigan.image.augmentation.color import COLOR_OPS, color_augment
from multigan.image.augmentation.geometric import (
    GEOMETRIC_OPS,
    bilinear_gather,
    cutout,
    geometric_augment,
    translate,
)
from multigan.image.augmentation.pipelines import (
    STRENGTHS,
    DiffAugment,
    ScheduledAugment,
    build_augment,
)
from tests.run_helpers import tiny_recipe

LABELS = torch.arange(6)


def images(n=6, channels=3, height=8, width=8, dtype=torch.float32):
    return torch.randn(n, channels, height, width, generator=keyed_rng("x"), dtype=dtype)


def full(**options):
    """The pipeline with every coin falling."""
    pipeline = ScheduledAugment(1.0, start=1.0, strengths=dict.fromkeys(STRENGTHS, 1.0))
    pipeline.anneal(options.get("progress", 0.5))
    return pipeline


@pytest.mark.parametrize("augment", [DiffAugment(), full()], ids=["diffaugment", "scheduled"])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_augmentation_keeps_shape_and_labels_and_follows_its_rng(augment, channels):
    x = images(channels=channels, height=6, width=9)
    once, again, other = (augment(x, LABELS, keyed_rng(k)) for k in (1, 1, 2))
    assert once[0].shape == x.shape and once[0].dtype == x.dtype and once[1] is LABELS
    assert torch.equal(once[0], again[0]) and not torch.equal(once[0], other[0])


@pytest.mark.parametrize("augment", [DiffAugment(), full()], ids=["diffaugment", "scheduled"])
def test_every_image_is_augmented_independently(augment):
    x = images(1).expand(6, -1, -1, -1)
    y = augment(x, LABELS, keyed_rng(0))[0]
    for k in range(6):
        for other in range(k):
            assert not torch.allclose(y[k], y[other])


@pytest.mark.parametrize("augment", [DiffAugment(), full()], ids=["diffaugment", "scheduled"])
def test_derivatives_of_both_orders_are_those_of_finite_differences(augment):
    x = images(2, height=5, width=4, dtype=torch.float64).requires_grad_()

    def through(x):  # the square gives the second derivative something to find
        return augment(x, LABELS[:2], keyed_rng(3))[0].square()

    assert gradcheck(through, (x,))
    assert gradgradcheck(through, (x,))


def test_at_chance_zero_nothing_is_done_and_the_chance_follows_a_cosine():
    pipeline = ScheduledAugment(0.4, start=0.0, fraction=0.5)
    x = images()
    assert pipeline(x, LABELS, keyed_rng(0))[0] is x
    chances = [pipeline.anneal(t)["augment/p"] for t in (0, 0.125, 0.25, 0.5, 1)]
    expected = [0, 0.2 * (1 - math.sqrt(0.5)), 0.2, 0.4, 0.4]
    assert chances == pytest.approx(expected) and pipeline.p == pytest.approx(0.4)


@pytest.mark.parametrize("name", STRENGTHS)
def test_each_coin_falls_as_often_as_it_says(name):
    pipeline = ScheduledAugment(0.5, start=0.5, strengths={name: 0.5})
    x = images(1, height=16, width=16).expand(2000, -1, -1, -1)
    changed = (pipeline(x, None, keyed_rng(name))[0] != x).flatten(1).any(1).float().mean()
    nothing = {"xflip": 1 / 2, "rotate90": 1 / 4, "lumaflip": 1 / 2, "xint": (1 / 4) ** 2}
    expected = 0.25 * (1 - nothing.get(name, 0))
    assert float(changed) == pytest.approx(expected, abs=0.035)


def test_flips_quarter_turns_and_whole_shifts_are_exact():
    x = images(64, height=7, width=7)
    for name in ("xflip", "rotate90"):
        y = geometric_augment(x, {name: 1.0}, keyed_rng(name))
        turned = [x.flip(3), x] if name == "xflip" else [x.rot90(k, (2, 3)) for k in range(4)]
        matches = torch.stack([(y == t).flatten(1).all(1) for t in turned])
        assert matches.any(0).all() and matches.any(1).all(), name
    y = geometric_augment(x.expand(64, 3, 7, 7), {"xint": 1.0}, keyed_rng("xint"))
    for before, after in zip(x, y, strict=True):
        inside = [
            (down, across)
            for down in (-1, 0, 1)
            for across in (-1, 0, 1)
            if torch.equal(after[:, 1:-1, 1:-1], before.roll((down, across), (1, 2))[:, 1:-1, 1:-1])
        ]
        assert len(inside) == 1


def test_reading_between_pixels_is_bilinear_and_mirrors_the_border():
    x = torch.arange(4.0).reshape(1, 1, 1, 4)  # 0 1 2 3
    across = torch.tensor([[[0.25, 1.5, -1.0, 4.0, 3.5]]])
    read = bilinear_gather(x, torch.zeros_like(across), across)
    assert read.flatten().tolist() == [0.25, 1.5, 1.0, 2.0, 2.5]


def test_a_rotation_turns_a_ramp():
    """A linear image stays linear under any affine map: slopes rotate, lengths stay."""
    down, across = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    x = (2 * across + down).expand(8, 1, 33, 33)
    y = geometric_augment(x, {"rotate": 1.0}, keyed_rng("ramp"))[:, 0, 12:21, 12:21]
    steep_down, steep_across = y.diff(dim=1)[:, :, :-1], y.diff(dim=2)[:, :-1]
    lengths = (steep_down.square() + steep_across.square()).sqrt()
    torch.testing.assert_close(lengths, torch.full_like(lengths, math.sqrt(5)), rtol=1e-3, atol=0)
    assert steep_down.flatten(1).std(1).max() < 1e-3 < steep_down.mean((1, 2)).std()


def test_colours_do_what_their_names_say():
    x = images(8)
    gray, chroma = x.mean(1, keepdim=True), x - x.mean(1, keepdim=True)

    def after(name):
        y = color_augment(x, {name: 1.0}, keyed_rng(name))
        return y.mean(1, keepdim=True), y - y.mean(1, keepdim=True)

    new_grey, new_chroma = after("brightness")
    shift = (new_grey - gray).flatten(1)
    assert torch.allclose(new_chroma, chroma, atol=1e-5) and shift.std(1).max() < 1e-5
    assert shift.mean(1).std() > 0.05
    new_grey, new_chroma = after("contrast")
    factor = (new_grey / gray).flatten(1).median(1).values[:, None, None, None]
    torch.testing.assert_close(new_chroma, factor * chroma, atol=1e-4, rtol=1e-4)
    new_grey, new_chroma = after("lumaflip")
    assert torch.allclose(new_chroma, chroma, atol=1e-5)
    assert {round(float(r)) for r in (new_grey / gray).flatten(1).median(1).values} == {-1, 1}
    for name in ("hue", "saturation"):
        new_grey, new_chroma = after(name)
        assert torch.allclose(new_grey, gray, atol=1e-5) and not torch.allclose(new_chroma, chroma)
    torch.testing.assert_close(after("hue")[1].norm(dim=1), chroma.norm(dim=1))


def test_grey_images_know_no_hue_and_their_brightness_is_that_of_colour():
    gray = images(channels=1)
    for name in COLOR_OPS:
        alone = color_augment(gray, {name: 1.0}, keyed_rng(name))
        as_colour = color_augment(gray.expand(-1, 3, -1, -1), {name: 1.0}, keyed_rng(name))
        torch.testing.assert_close(alone, as_colour.mean(1, keepdim=True), atol=1e-5, rtol=1e-5)
        if name in ("hue", "saturation"):
            torch.testing.assert_close(alone, gray, atol=1e-5, rtol=1e-5)


def test_a_cutout_takes_half_of_each_side_at_most_and_a_shift_brings_zeros_in():
    x = torch.ones(500, 1, 8, 8)
    gone = 1 - cutout(x, torch.full((500,), 0.5), keyed_rng(0)).mean((1, 2, 3))
    assert gone.max() == 0.25 and 0.1 < gone.mean() < 0.2  # inside: (4 / 8)^2
    y = translate(x, 1 / 8, keyed_rng(0))
    left = y.mean((1, 2, 3)) * 64
    assert {int(n) for n in left.round()} == {64, 56, 49}
    ramp = torch.arange(64.0).reshape(1, 1, 8, 8).expand(50, -1, -1, -1) + 1
    for shifted in translate(ramp, 1 / 8, keyed_rng(1))[:, 0]:
        steps = shifted[3] - ramp[0, 0, 3]
        assert len(set(steps[1:-1].tolist())) == 1


def test_diff_augment_stays_within_its_stated_bounds():
    x = torch.rand(300, 1, 1, 1, generator=keyed_rng(0)).expand(-1, 3, 4, 4)  # flat and gray
    shift = (DiffAugment(["color"])(x, None, keyed_rng(1))[0] - x)[:, 0, 0, 0]
    assert -0.5 <= shift.min() < -0.4 and 0.4 < shift.max() <= 0.5 + 1e-6


def test_augmentations_survive_json_and_unknown_names_are_refused():
    for augment in (DiffAugment(["color"]), ScheduledAugment(0.2, strengths={"xflip": 1.0})):
        text = json.dumps(to_config(augment))
        assert json.dumps(to_config(from_config(json.loads(text)))) == text
    with pytest.raises(ValueError, match=r"policy must be among color, .*; got \['hue'\]"):
        DiffAugment(["hue"])
    with pytest.raises(
        ValueError, match=r"strengths must be of xflip, rotate90, .*; got \['blur'\]"
    ):
        ScheduledAugment(strengths={"blur": 1.0})
    with pytest.raises(ValueError, match="end must be in 0 to 1; got 2"):
        ScheduledAugment(2)
    known = "none, diffaugment, scheduled, ada"
    with pytest.raises(ValueError, match=f"augment must be one of {known}; got 'adaptive'"):
        build_augment("adaptive", 0.3)
    assert build_augment("none", 0.3) is None
    assert set(GEOMETRIC_OPS) | set(COLOR_OPS) | {"cutout"} == set(STRENGTHS)


@pytest.mark.parametrize("name", ["diffaugment", "scheduled"])
def test_a_run_goes_through_it_and_is_restored_with_its_chance(name):
    """Four steps are two steps, a restart, and two more: the chance is a function of the step."""
    whole = AdversarialTrainer(tiny_recipe("image", augment=name, steps=4))
    values = [step.values for step in whole.steps()]
    if name == "scheduled":
        assert [v["augment/p"] for v in values] == pytest.approx([0, 0.075, 0.225, 0.3])
    first = AdversarialTrainer(tiny_recipe("image", augment=name, steps=4))
    steps = first.steps()
    next(steps), next(steps)
    again = AdversarialTrainer(tiny_recipe("image", augment=name, steps=4))
    for role, network in again.networks().items():
        network.load_state_dict(first.networks()[role].state_dict())
    again.restore(first.state())
    list(again.steps())
    for role, network in whole.networks().items():
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, again.networks()[role].state_dict()[key]), (role, key)


def test_the_penalty_is_taken_before_the_augmentation(monkeypatch):
    """D sees c x, so the slope at x is c times that at what D sees."""
    from multigan.engine.objective import Objective

    class Linear(torch.nn.Module):
        uses_batch_statistics = False

        def forward(self, x, condition=None):
            return x.flatten(1).sum(1)

    gammas = {"r1": 1.0}
    batch = Batch(images(4), None)
    found = [
        Objective(Linear(), "relativistic", gammas, augment).discriminator_loss(
            batch.x, batch.x, None, gammas, keyed_rng(0)
        )["penalty/r1"]
        for augment in (None, lambda x, c, rng: (3 * x, c))
    ]
    assert float(found[1] / found[0]) == pytest.approx(9)
