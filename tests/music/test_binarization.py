import math

import pytest
import torch

from multigan.core.recipe import recipe_to_json
from multigan.core.recipe_file import build_recipe, read_recipe, resolve_hyperparameters
from multigan.core.rng import keyed_rng
from multigan.music.models import binarization
from multigan.music.models.binarization import (
    BINARIZERS,
    DISTRIBUTIONS,
    STRAIGHT_THROUGH_TEMPERATURE,
    binarize_logits,
    forbid_initial_holds,
    get_binarizer,
)
from multigan.music.representations.tensors import num_channels
from multigan.music.representations.voices import Voice

LEAD = Voice("lead", min_pitch=60, num_pitches=5)
DRUMS = Voice("drums", kind="drums")
VOICES = (LEAD, DRUMS)
every_voice = pytest.mark.parametrize("voice", VOICES, ids=lambda voice: voice.kind)


def logits_of(voice, n=6, steps=8, key="logits"):
    return torch.randn(n, steps, num_channels(voice), generator=keyed_rng(key))


def noise_of(voice, n=6, steps=8):
    return binarization.sample_noise(n, steps, (voice,), keyed_rng("noise"))


def only_bits(x):
    return bool(((x == 0) | (x == 1)).all())


@every_voice
@pytest.mark.parametrize("name", BINARIZERS)
def test_cells_are_exactly_zero_or_one_but_for_the_soft_heads_in_training(voice, name):
    for training in (True, False):
        cells = binarize_logits(
            get_binarizer(name), voice, 5 * logits_of(voice), noise_of(voice), training
        )
        soft = training and name in ("threshold", "bernoulli")
        assert only_bits(cells) != soft
        if voice.kind == "monophonic":
            assert torch.allclose(cells.sum(-1), torch.ones(6, 8))
            assert soft or (cells.sum(-1) == 1).all()


def test_straight_through_is_exact_where_adding_first_would_not_be():
    soft = torch.rand(10_000, generator=keyed_rng("soft"))
    hard = (soft > 0.5).float()
    assert torch.equal(binarization.straight_through(hard, soft), hard)
    assert not torch.equal(hard + soft - soft, hard)


@every_voice
@pytest.mark.parametrize("name", BINARIZERS)
def test_the_gradient_is_that_of_the_shares(voice, name):
    logits, noise = logits_of(voice).double().requires_grad_(), noise_of(voice).double()
    binarizer, weight = get_binarizer(name), torch.randn_like(logits)
    (got,) = torch.autograd.grad(
        (binarize_logits(binarizer, voice, logits, noise, training=True) * weight).sum(), logits
    )
    seen = (logits + noise) / STRAIGHT_THROUGH_TEMPERATURE if name == "straight_through" else logits
    share = seen.softmax(-1) if voice.kind == "monophonic" else seen.sigmoid()
    (wanted,) = torch.autograd.grad((share * weight).sum(), logits)
    torch.testing.assert_close(got, wanted)


@every_voice
def test_nothing_is_held_into_the_first_step(voice):
    holds = {"monophonic": slice(6, 7), "drums": slice(9, 9)}[voice.kind]
    logits = torch.zeros(3, 4, num_channels(voice))
    logits[..., holds] = 50.0
    logits.requires_grad_()
    begun = forbid_initial_holds(voice, logits)
    cells = binarize_logits(
        get_binarizer("straight_through"), voice, begun, noise_of(voice, 3, 4), True
    )
    assert not cells[:, 0, holds].any() and cells[:, 1:, holds].all()
    (slope,) = torch.autograd.grad(cells.square().sum(), logits)
    assert slope.isfinite().all() and not slope[:, 0, holds].any()


@every_voice
def test_noise_of_scale_one_draws_the_shares(voice):
    choice, logits = DISTRIBUTIONS[voice.kind], 2 * logits_of(voice, 1, 1)
    noise = choice.noise(torch.rand(20_000, 1, num_channels(voice), generator=keyed_rng("many")))
    drawn = choice.decide(logits + noise).mean((0, 1))
    torch.testing.assert_close(drawn, choice.probabilities(logits)[0, 0], rtol=0, atol=0.015)


@every_voice
def test_only_heads_with_noise_look_at_it(voice):
    logits, noise = logits_of(voice), noise_of(voice)
    for name, binarizer in BINARIZERS.items():
        scale = 1.0 if binarizer.scale is None else binarizer.scale
        drawn = binarize_logits(binarizer, voice, logits, scale * noise, training=False)
        still = binarize_logits(binarizer, voice, logits, 0 * noise, training=False)
        assert torch.equal(drawn, still) == (name in ("deterministic", "threshold"))


def test_noise_is_finite_at_the_ends_of_the_uniform_numbers():
    ends = torch.tensor([0.0, 1e-30, 1 - 2**-24])
    assert (
        binarization.gumbel(ends).isfinite().all() and binarization.logistic(ends).isfinite().all()
    )
    half = torch.tensor([0.5])
    assert binarization.gumbel(half).item() == pytest.approx(-math.log(math.log(2)))
    assert binarization.logistic(half).item() == 0


def test_noise_covers_all_voices_and_comes_from_the_given_rng():
    drawn = [binarization.sample_noise(2, 8, VOICES, keyed_rng("same")) for _ in range(2)]
    assert drawn[0].shape == (2, 8, 16) and torch.equal(*drawn)


def test_an_unknown_head_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"binarization must be one of straight_through, st.*; got 'sigmoid'"
    ):
        get_binarizer("sigmoid")


def test_the_first_row_of_the_benchmark_is_the_default_recipe_bit_by_bit():
    made = []
    for name in ("music", "benchmarks/music_binarization"):
        file = read_recipe(name)
        made.append(
            build_recipe(file, resolve_hyperparameters(file, {"data": "composed"}, tiny=False), 0)
        )
    assert recipe_to_json(made[0]) == recipe_to_json(made[1])
    for network in ("generator", "discriminator"):
        one, other = (getattr(recipe, network).state_dict() for recipe in made)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
