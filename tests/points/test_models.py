import pytest
import torch

from multigan.core.protocols import Discriminator, Generator
from multigan.core.rng import keyed_rng
from multigan.core.serialization import from_config, to_config
from multigan.points.models import MLPDiscriminator, MLPGenerator


def test_the_generator_keeps_the_contract():
    generator = MLPGenerator(latent_size=3, width=8, depth=2)
    assert isinstance(generator, Generator)
    latent = generator.sample_latent(5, keyed_rng(0))
    assert latent.shape == (5, 3) and generator(latent).shape == (5, 2)
    assert torch.equal(latent, generator.sample_latent(5, keyed_rng(0)))


@pytest.mark.parametrize("fourier_octaves", [0, 3])
def test_the_discriminator_keeps_the_contract(fourier_octaves):
    discriminator = MLPDiscriminator(width=8, depth=2, fourier_octaves=fourier_octaves)
    assert isinstance(discriminator, Discriminator) and not discriminator.uses_batch_statistics
    x = torch.rand(5, 2)
    assert discriminator(x).shape == (5,) and discriminator.features(x).shape == (5, 8)


def test_a_point_is_scored_alone_and_by_where_it_is_along_both_axes():
    discriminator = MLPDiscriminator(width=16)
    x = torch.tensor([[0.1, 0.2], [0.2, 0.1], [0.1, 0.3]])
    logits = discriminator(x)
    assert len(logits.unique()) == 3
    torch.testing.assert_close(logits[:1], discriminator(x[:1]))


def test_waves_have_the_periods_that_the_docstring_says():
    discriminator = MLPDiscriminator(fourier_octaves=3)
    assert (2 * torch.pi / discriminator.frequencies).tolist() == pytest.approx([4, 2, 1])


def test_the_discriminator_is_twice_differentiable():
    discriminator = MLPDiscriminator(width=8)
    x = torch.rand(4, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    weights = [p for name, p in discriminator.named_parameters() if name.endswith("weight")]
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in weights)


def test_interpolation_meets_its_ends_and_stays_gaussian():
    generator = MLPGenerator()
    a, b = (generator.sample_latent(20_000, keyed_rng(key)) for key in "ab")
    torch.testing.assert_close(generator.interpolate(a, b, 0.0), a)
    torch.testing.assert_close(generator.interpolate(a, b, 1.0), b)
    assert generator.interpolate(a, b, 0.5).std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("network", [MLPGenerator(3, 8, 2), MLPDiscriminator(8, 1, 0)])
def test_networks_are_rebuilt_from_json(network):
    twin = from_config(to_config(network))
    assert type(twin) is type(network)
    twin.load_state_dict(network.state_dict())


def test_sizes_that_no_network_has_are_refused():
    with pytest.raises(ValueError, match=r"must be 1 or more; got .*0"):
        MLPGenerator(width=0)
    with pytest.raises(ValueError, match=r"must be 1 or more; got .*0"):
        MLPDiscriminator(depth=0)
    with pytest.raises(ValueError, match="fourier_octaves must be 0 or more; got -1"):
        MLPDiscriminator(fourier_octaves=-1)
