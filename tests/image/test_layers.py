"""Layers of the image networks: the residual block and the filters."""

from __future__ import annotations

import math

import pytest
import torch

from multigan.image.models.layers import (
    Downsample,
    ResidualBlock,
    Upsample,
    binomial_filter,
    channels_last,
)


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_one_block_of_768_channels_has_2583552_parameters():
    with torch.device("meta"):
        block = ResidualBlock(768, group_size=16, blocks_in_network=8)
    assert sum(parameter.numel() for parameter in block.parameters()) == 2_583_552


def test_a_block_starts_as_the_identity():
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(ResidualBlock(16, group_size=8, blocks_in_network=4)(x), x)


def test_a_block_matches_the_formula_written_out_channel_by_channel():
    block = ResidualBlock(2, group_size=2, blocks_in_network=1).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(1, 2, 1, 1, dtype=torch.float64)  # at 1x1 a padded 3x3 is its center
    w1, b1 = block.expand.weight[:, :, 0, 0], block.expand.bias
    w2, b2 = block.spatial.weight[:, :, 1, 1], block.spatial.bias
    h = w1 @ x[0, :, 0, 0] + b1
    h = torch.where(h > 0, h, 0.2 * h)
    h = torch.cat([w2[:2] @ h[:2], w2[2:] @ h[2:]]) + b2
    h = torch.where(h > 0, h, 0.2 * h)
    wanted = x[0, :, 0, 0] + block.project.weight[:, :, 0, 0] @ h
    torch.testing.assert_close(block(x)[0, :, 0, 0], wanted)


def test_block_weights_start_at_the_published_scale():
    block = ResidualBlock(256, group_size=16, blocks_in_network=8)
    gain = 0.82457  # sqrt(2 / 1.04) * 8^(-1/4)
    assert block.expand.weight.std().item() == pytest.approx(gain / math.sqrt(256), rel=0.02)
    assert block.spatial.weight.std().item() == pytest.approx(gain / math.sqrt(9 * 16), rel=0.02)
    assert not block.project.weight.any()
    assert not block.expand.bias.any() and not block.spatial.bias.any()


def test_the_low_pass_is_the_binomial_filter():
    wanted = torch.tensor([1.0, 3.0, 3.0, 1.0])
    assert torch.equal(64 * binomial_filter(), wanted[:, None] * wanted)


@pytest.mark.parametrize("layer", [Downsample(3), Upsample(3)], ids=["down", "up"])
def test_filters_keep_a_constant_away_from_the_border(layer):
    y = layer(torch.full((1, 3, 8, 8), 0.7))
    torch.testing.assert_close(y[..., 1:-1, 1:-1], torch.full_like(y[..., 1:-1, 1:-1], 0.7))
    assert (y[..., 0, :] < 0.7).all()


def test_down_is_up_transposed_up_to_the_gain():
    x, y = torch.randn(2, 3, 8, 8).double(), torch.randn(2, 3, 4, 4).double()
    down, up = Downsample(3).double(), Upsample(3).double()
    torch.testing.assert_close((4 * down(x) * y).sum(), (x * up(y)).sum())


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (1, 3, 4, 1)])
def test_channels_come_last_in_memory_also_where_an_axis_has_size_1(shape):
    x = torch.arange(float(math.prod(shape))).reshape(shape)
    c, h, w = shape[1:]
    found = channels_last(x)
    assert torch.equal(found, x) and found.stride() == (h * w * c, 1, w * c, c)
    assert channels_last(x.transpose(2, 3)).stride() == (h * w * c, 1, h * c, c)
    assert torch.equal(channels_last(found), x)


def test_other_devices_keep_their_memory_order():
    x = torch.empty(2, 3, 4, 5, device="meta")
    assert channels_last(x) is x
