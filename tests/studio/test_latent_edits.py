"""Latent edits: none gives the samples of the command, all of the path those of the other seed."""

import numpy as np
import pytest
import torch
from PIL import Image

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_map
from multigan.studio.latent_edits import (
    EditSettings,
    LatentEdit,
    sample_with_edits,
    supports_interpolation,
)
from tests.run_helpers import DOMAINS, tiny_recipe


def sampler_of(name):
    recipe = tiny_recipe(name)
    return Sampler(recipe.data.domain, recipe.generator.eval().requires_grad_(False))


def assert_alike(some, others):
    """Equal; numbers but for rounding, which depends on how many samples are computed at once."""
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        if isinstance(one, Image.Image):
            one, other = (np.asarray(image, float) / 255 for image in (one, other))
        is_number = isinstance(one, tuple | np.ndarray)
        assert np.allclose(one, other, atol=0.005) if is_number else one == other


@pytest.mark.parametrize("name", DOMAINS)
def test_samples_without_edits_are_those_of_the_command(name):
    sampler = sampler_of(name)
    assert_alike(sample_with_edits(sampler, 3, 5, EditSettings()), sampler.sample(3, seed=5))


def test_more_samples_than_a_batch_are_those_of_the_command():
    sampler = sampler_of("points")
    assert_alike(sample_with_edits(sampler, 70, 5, EditSettings()), sampler.sample(70, seed=5))
    moved = sample_with_edits(sampler, 70, 5, EditSettings(other_seed=6, fraction=1.0))
    assert_alike(moved, sampler.sample(70, seed=6))


def test_the_path_ends_at_the_latents_of_the_other_seed():
    sampler = sampler_of("points")
    there = sample_with_edits(sampler, 3, 0, EditSettings(other_seed=9, fraction=1.0))
    assert_alike(there, sampler.sample(3, seed=9))
    half = sample_with_edits(sampler, 3, 0, EditSettings(other_seed=9, fraction=0.5))
    assert half not in (there, sampler.sample(3, seed=0))


def test_the_path_to_another_seed_holds_where_latents_are_sampled_several_times():
    sampler = sampler_of("music")
    there = sample_with_edits(sampler, 2, 0, EditSettings(other_seed=9, fraction=1.0), bars=6)
    assert_alike(there, sampler.sample(2, seed=9, bars=6))


def test_a_direction_moves_every_sample_and_back():
    generator = tiny_recipe("points").generator
    rng = lambda: keyed_rng("latents")  # noqa: E731
    start = LatentEdit(generator, EditSettings()).sample_latent(4, rng())
    ways = [
        LatentEdit(generator, EditSettings(positions=p)).sample_latent(4, rng())
        for p in ((1,), (-1,), (0, 1))
    ]
    assert all(not torch.allclose(way, start) for way in ways)
    assert not torch.allclose(ways[0], ways[1]) and not torch.allclose(ways[0], ways[2])
    still = LatentEdit(generator, EditSettings(positions=(0.0, 0.0))).sample_latent(4, rng())
    assert torch.equal(still, start)
    for way in ways:  # half of the way to one end: the rest is the start's
        rest = way - generator.interpolate(start, torch.zeros_like(start), 0.5)
        assert torch.allclose(rest, rest[:1].expand_as(rest), atol=1e-6)


def test_edited_latents_keep_their_shapes_in_every_domain():
    for name in DOMAINS:
        generator = tiny_recipe(name).generator
        if supports_interpolation(generator):
            moved = LatentEdit(generator, EditSettings(3, 0.4, (0.5, -0.5))).sample_latent(
                2, keyed_rng(0)
            )
            plain = generator.sample_latent(2, keyed_rng(0))
            same = tree_map(lambda a, b: torch.tensor(a.shape == b.shape), moved, plain)
            tree_map(lambda leaf: leaf.item() or pytest.fail("another shape"), same)


def test_latents_that_cannot_be_interpolated_are_not_edited():
    generator = tiny_recipe("text").generator
    assert not supports_interpolation(generator)
    with pytest.raises(ValueError, match=r"the latents of \w+ cannot be interpolated"):
        LatentEdit(generator, EditSettings(fraction=0.1))
    assert LatentEdit(generator, EditSettings()).generate == generator.generate
