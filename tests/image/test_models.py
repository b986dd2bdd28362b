"""The image networks: sizes, starting point, labels and second derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import softplus

from multigan.core.interpolation import slerp
from multigan.core.serialization import to_config
from multigan.image.models.dcgan import DCGANDiscriminator, DCGANGenerator
from multigan.image.models.layers import channels_last
from multigan.image.models.r3gan import R3GANDiscriminator, R3GANGenerator

CLASSES = 5
PAIRS = {
    "r3": (
        lambda num_classes: R3GANGenerator(
            16, 3, (16, 8, 8), 1, group_size=8, num_classes=num_classes
        ),
        lambda num_classes: R3GANDiscriminator(
            16, 3, (16, 8, 8), 1, group_size=8, num_classes=num_classes
        ),
    ),
    "dcgan": (
        lambda num_classes: DCGANGenerator(16, 3, (16, 8), num_classes=num_classes),
        lambda num_classes: DCGANDiscriminator(16, 3, (16, 8), num_classes=num_classes),
    ),
}
# name: resolution, channels, widths, classes, group size, parameters of G and D (published totals)
PAPER = {
    "cifar": (32, 3, (768,) * 4, 10, 16, 20_781_952, 21_280_512),
    "stacked_mnist": (32, 3, (768,) * 4, None, 16, 20_732_160, 20_683_776),
    "ffhq_64": (64, 3, (768,) * 4 + (384,), None, 16, 22_429_824, 22_381_440),
    "ffhq_256": (256, 3, (768,) * 4 + (384, 192, 96), None, 16, 23_057_952, 23_009_568),
    "imagenet_64": (64, 3, (1536,) * 5, 1000, 32, 103_570_432, 107_205_120),
    "mini_32": (32, 3, (128, 96, 64, 48), None, 16, 258_000, 249_936),
}


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def pair(kind: str, num_classes: int | None = CLASSES) -> tuple[nn.Module, nn.Module]:
    make_generator, make_discriminator = PAIRS[kind]
    return make_generator(num_classes), make_discriminator(num_classes)


def labels_for(n: int) -> torch.Tensor:
    return torch.arange(n) % CLASSES


def fill_zeros(module: nn.Module) -> None:
    """Move a network away from its start, where the residual branches are closed."""
    for parameter in module.parameters():
        with torch.no_grad():
            parameter.add_(0.1 * torch.randn_like(parameter))


@pytest.mark.parametrize("name", PAPER)
def test_r3_networks_have_the_published_number_of_parameters(name):
    resolution, channels, widths, classes, group_size, of_g, of_d = PAPER[name]
    blocks = 1 if name == "mini_32" else 2
    with torch.device("meta"):
        g = R3GANGenerator(resolution, channels, widths, blocks, group_size, 64, classes)
        d = R3GANDiscriminator(resolution, channels, widths, blocks, group_size, classes)
    assert (parameters(g), parameters(d)) == (of_g, of_d)


def test_dcgan_of_the_paper_grows_four_stages_to_64_pixels():
    with torch.device("meta"):
        g = DCGANGenerator(64, 3, (1024, 512, 256, 128), latent_dim=100)
        d = DCGANDiscriminator(64, 3, (1024, 512, 256, 128))
    kernels = 16 * (100 * 1024 + 1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    norms = 2 * (1024 + 512 + 256 + 128)
    assert parameters(g) == kernels + norms + 3  # batch norm replaces all biases but the last
    kernels = 16 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024 + 1024)
    assert parameters(d) == kernels + (128 + 256 + 512 + 1024)


def test_other_r3_weights_start_with_gain_one_and_the_basis_with_unit_normals():
    g = R3GANGenerator(8, 3, (256, 128), 1, latent_dim=64, num_classes=100)
    d = R3GANDiscriminator(8, 3, (256, 128), 1, num_classes=100)
    stds = {
        1.0: g.basis,
        1 / math.sqrt(128): g.scale.weight,  # z and the label's embedding
        1 / math.sqrt(100): g.label.weight,  # fan-in of a one-hot: the classes
        1 / math.sqrt(3): d.body[0].weight,
        1 / 4: d.global_conv.weight,
        1 / 16: d.head.weight,
        1 / math.sqrt(256 * 100): d.label.weight,
    }
    for wanted, weight in stds.items():
        assert weight.std().item() == pytest.approx(wanted, rel=0.1)


def test_dcgan_weights_start_at_two_hundredths():
    for network in pair("dcgan"):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("num_classes", [None, CLASSES])
def test_shapes_go_through(kind, num_classes):
    g, d = pair(kind, num_classes)
    labels = None if num_classes is None else labels_for(6)
    z = g.sample_latent(6, torch.Generator().manual_seed(1))
    images = g(z, labels)
    assert images.shape == (6, 3, 16, 16)
    assert d(images, labels).shape == (6,)
    assert d.features(images, labels).shape[0] == 6
    assert d.features(images, labels).dim() == 2


@pytest.mark.parametrize("kind", PAIRS)
def test_latents_come_from_the_given_rng_only(kind):
    g, _ = pair(kind)
    first, second = (g.sample_latent(3, torch.Generator().manual_seed(4)) for _ in range(2))
    assert first.shape == (3, g.latent_dim) and torch.equal(first, second)


def test_dcgan_images_stay_in_range():
    g, _ = pair("dcgan")
    fill_zeros(g)
    z = 100 * g.sample_latent(4, torch.Generator().manual_seed(0))
    assert g(z, labels_for(4)).abs().max() <= 1


@pytest.mark.parametrize("kind", PAIRS)
def test_labels_change_images_and_logits(kind):
    g, d = pair(kind)
    fill_zeros(d)
    z = g.sample_latent(1, torch.Generator().manual_seed(0)).expand(CLASSES, -1)
    images = g.eval()(z, torch.arange(CLASSES))
    assert all((images[0] - other).abs().max() > 1e-3 for other in images[1:])
    logits = d(images[:1].expand(CLASSES, -1, -1, -1), torch.arange(CLASSES))
    assert len(set(logits.tolist())) == CLASSES


@pytest.mark.parametrize("kind", PAIRS)
def test_every_parameter_moves_within_three_steps(kind):
    networks = pair(kind)
    g, d = networks
    before = [[p.clone() for p in network.parameters()] for network in networks]
    optimizers = [torch.optim.Adam(n.parameters(), 1e-3) for n in networks]
    rng, labels = torch.Generator().manual_seed(0), labels_for(10)
    for _ in range(3):
        for optimizer, sign in zip(optimizers, (-1, 1), strict=True):
            real = torch.rand(10, 3, 16, 16, generator=rng) * 2 - 1
            fake = g(g.sample_latent(10, rng), labels)
            optimizer.zero_grad()
            softplus(sign * (d(fake, labels) - d(real, labels))).mean().backward()
            optimizer.step()
    for network, old in zip(networks, before, strict=True):
        for (name, new), start in zip(network.named_parameters(), old, strict=True):
            assert not torch.equal(new, start), name


@pytest.mark.parametrize("kind", PAIRS)
def test_one_forward_on_two_batches_equals_two_forwards(kind):
    _, d = pair(kind)
    fill_zeros(d)
    assert not d.uses_batch_statistics
    x, y, labels = torch.randn(3, 3, 16, 16), torch.randn(3, 3, 16, 16), labels_for(3)
    together = d(torch.cat([x, y]), torch.cat([labels, labels]))
    torch.testing.assert_close(together, torch.cat([d(x, labels), d(y, labels)]))


def test_batch_norm_couples_the_batch_and_says_so():
    d = DCGANDiscriminator(16, 3, (16, 8), norm="batch")
    assert d.uses_batch_statistics
    x = torch.randn(4, 3, 16, 16)
    assert not torch.allclose(d(x)[:2], d(x[:2]))


def test_spectral_norm_bounds_every_singular_value_by_one():
    d = DCGANDiscriminator(16, 3, (16, 8), norm="spectral", num_classes=CLASSES)
    assert not d.uses_batch_statistics
    for _ in range(50):
        d(torch.randn(2, 3, 16, 16), labels_for(2))
    layers = [d.body[0], d.body[2], d.head, d.label]
    largest = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert largest == pytest.approx([1.0] * 4, abs=1e-3)


@pytest.mark.parametrize("kind", ["r3", "dcgan"])
def test_discriminators_are_twice_differentiable(kind):
    if kind == "r3":
        d = R3GANDiscriminator(8, 1, (2, 2), 1, group_size=2, num_classes=2)
    else:
        d = DCGANDiscriminator(8, 1, (2,), num_classes=2)
    fill_zeros(d.double())
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1])
    assert gradcheck(lambda x: d(x, labels), x)
    assert gradgradcheck(lambda x: d(x, labels), x)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_gradient_penalty_reaches_the_weights(kind):
    _, d = pair(kind)
    fill_zeros(d)
    x = torch.randn(4, 3, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(d(x, labels_for(4)).sum(), x, create_graph=True)
    slope.square().sum().backward()
    weights = {n: p for n, p in d.named_parameters() if not n.endswith("bias")}
    assert all(p.grad is not None and p.grad.any() for p in weights.values())


def test_slerp_follows_the_arc_and_keeps_gaussian_lengths():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    torch.testing.assert_close(slerp(a, b, 0.5), 3 * torch.tensor([[1.0, 1.0]]) / math.sqrt(2))
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    torch.testing.assert_close(slerp(a, -a, 0.25), 0.5 * a)  # no one arc: the line
    torch.testing.assert_close(slerp(a, a, 0.3), a)


@pytest.mark.parametrize("kind", PAIRS)
def test_a_condition_that_does_not_fit_is_refused(kind):
    inputs = (torch.zeros(2, 64), torch.zeros(2, 3, 16, 16))
    for network, first in zip(pair(kind), inputs, strict=True):
        for wrong in (None, torch.zeros(2), torch.zeros(3, dtype=torch.int64), (1, 2)):
            with pytest.raises(ValueError, match=r"condition must be .*int64"):
                network(first, wrong)
    for network, first in zip(pair(kind, None), inputs, strict=True):
        with pytest.raises(ValueError, match="None for a network without classes"):
            network(first, labels_for(2))


@pytest.mark.parametrize("kind", PAIRS)
def test_images_of_another_size_are_refused(kind):
    _, d = pair(kind)
    with pytest.raises(ValueError, match=r"must have shape \(B, 3, 16, 16\)"):
        d(torch.zeros(2, 3, 16, 8), labels_for(2))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: R3GANGenerator(8, 1, (8, 8), latent_dim=0), "latent_dim must be 1 or more; got 0"),
        (lambda: R3GANGenerator(12, 1, (8,)), "must be 2 numbers of 1 or more for resolution 12"),
        (
            lambda: R3GANDiscriminator(2, 1, (8,)),
            "resolution must be 4 pixels or more a side; got 2",
        ),
        (lambda: R3GANGenerator(0, 1, (8,)), "resolution must be 4 pixels or more a side; got 0"),
        (lambda: DCGANGenerator(4, 1, ()), "resolution must be 8 pixels or more a side; got 4"),
        (lambda: R3GANGenerator(16, 1, (8, 8)), "must be 3 numbers of 1 or more for resolution 16"),
        (
            lambda: DCGANDiscriminator(16, 1, (8, 8, 8)),
            "must be 2 numbers of 1 or more for resolution 16",
        ),
        (lambda: R3GANDiscriminator(8, 1, (8, 0)), "of 1 or more"),
        (
            lambda: R3GANGenerator(8, 1, (8, 4)),
            "group_size must divide 2 x width = 8; got 16",
        ),
        (lambda: DCGANGenerator(8, 1, (8,), norm="layer"), "must be 'batch' or 'none'"),
        (lambda: DCGANDiscriminator(8, 1, (8,), norm="layer"), "must be 'none', 'spectral' or"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_one_line(build, message):
    with pytest.raises(ValueError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_networks_remember_their_arguments():
    g, d = pair("r3")
    assert to_config(g)["component"] == "image/R3GANGenerator"
    assert to_config(g)["arguments"]["widths"] == [16, 8, 8]
    assert to_config(d)["arguments"]["num_classes"] == CLASSES


def gray_or_color(kind: str, channels: int) -> tuple[nn.Module, nn.Module]:
    if kind == "dcgan":
        return DCGANGenerator(16, channels, (16, 8)), DCGANDiscriminator(16, channels, (16, 8))
    widths = (16, 8, 8)
    return (
        R3GANGenerator(16, channels, widths, 1, group_size=8),
        R3GANDiscriminator(16, channels, widths, 1, group_size=8),
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", PAIRS)
def test_channels_lie_last_through_all_convolutions_on_a_cpu(kind, channels):
    networks = gray_or_color(kind, channels)
    found = []
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
    images = networks[0](networks[0].sample_latent(2, torch.Generator()))
    networks[1](images)
    assert len(found) > 4
    assert all(x.stride() == channels_last(x).stride() for x in found)
    weights = [p for network in networks for p in network.parameters()]
    assert all(p.is_contiguous() for p in weights)  # as in a weight file


@pytest.mark.parametrize("kind", PAIRS)
def test_the_order_of_memory_changes_no_value(kind, monkeypatch):
    _, d = gray_or_color(kind, 3)
    fill_zeros(d.double())

    def slopes() -> torch.Tensor:
        d.zero_grad()
        x = torch.randn(2, 3, 16, 16, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
        slope.square().sum().backward()
        return torch.cat([p.grad.flatten() for p in d.parameters() if p.grad is not None])

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        last = slopes()
        for module in ("dcgan", "r3gan"):
            monkeypatch.setattr(f"multigan.image.models.{module}.channels_last", lambda x: x)
        torch.manual_seed(1)
        first = slopes()
    assert (first - last).abs().max() < 1e-9 * first.abs().max()
