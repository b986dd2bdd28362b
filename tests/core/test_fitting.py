"""The helper loop minimises, depends on its generator alone and leaves the global ones alone."""

import pytest
import torch
from torch import nn

from multigan.core.fitting import build_with_seed, fit, seeded_global_rng
from multigan.core.rng import keyed_rng

TARGET = torch.tensor([[1.0, -2.0, 3.0]])


def points(rng):
    return torch.randn(16, 3, generator=rng)


def squared_error(model, x):
    return (model(x) - x @ TARGET.T).square().mean()


def dropout_network():
    return nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def fitted(seed):
    rng = keyed_rng(seed)
    model = build_with_seed(dropout_network, rng)
    return fit(model, squared_error, points, 5, 1e-2, rng).state_dict()


def test_fit_finds_the_weights_of_a_linear_map():
    model = nn.Linear(3, 1)
    assert fit(model, squared_error, points, 500, 0.05, keyed_rng(0)) is model
    torch.testing.assert_close(model.weight, TARGET, atol=1e-3, rtol=0)
    torch.testing.assert_close(model.bias, torch.zeros(1), atol=1e-3, rtol=0)


def test_equal_generators_give_equal_weights_whatever_the_global_one_does():
    torch.manual_seed(1)
    first = fitted(0)
    torch.manual_seed(2)
    again, other = fitted(0), fitted(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_the_global_generator_is_left_as_it_was():
    before = torch.get_rng_state()
    fitted(0)
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(KeyError), seeded_global_rng(keyed_rng(0), torch.device("cpu")):
        torch.rand(1)
        raise KeyError
    assert torch.equal(before, torch.get_rng_state())


def test_fit_ends_in_eval_mode_and_works_without_gradients_around_it():
    model = dropout_network().eval()
    before = model[0].weight.clone()
    with torch.no_grad():
        fit(model, squared_error, points, 1, 1e-2, keyed_rng(0))
    assert not any(part.training for part in model.modules())
    assert not torch.equal(before, model[0].weight)


def test_dropout_is_active_while_fitting():
    seen = []

    def spying_loss(model, x):
        seen.append(model.training)
        return squared_error(model, x)

    fit(dropout_network().eval(), spying_loss, points, 2, 1e-2, keyed_rng(0))
    assert seen == [True, True]


def test_a_loss_that_explodes_is_an_error():
    def bad_loss(model, x):
        return squared_error(model, x) * float("nan")

    with pytest.raises(
        RuntimeError, match=r"fitting Linear: .* must be finite; got nan after 2 steps"
    ):
        fit(nn.Linear(3, 1), bad_loss, points, 2, 1e-2, keyed_rng(0))
