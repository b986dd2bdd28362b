"""Adam in one kernel gives the values of Adam, in whatever order memory holds its tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from multigan.engine.optimization import (
    adam,
    all_reduce_gradients,
    build_optimizer,
    restore_optimizer,
    with_strides_of,
)
from multigan.engine.trainer import AdversarialTrainer
from tests.progress_capture import weights_of
from tests.toy_domain import ToyDiscriminator, toy_recipe

CLOSE = 1e-5  # of float32; a mix-up of elements is off by a learning rate


def network(values: Tensor) -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(values)
    return module


def values(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "contiguous": lambda: values(4, 3, 5, 6),
    "channels last": lambda: values(4, 3, 5, 6).contiguous(memory_format=torch.channels_last),
    "transposed": lambda: values(5, 7).t(),
    "every other column": lambda: values(5, 8)[:, ::2],
    "one row for all": lambda: values(1, 6).expand(4, 6),
    "a number": lambda: values(),
}
FUSED = ("contiguous", "channels last", "transposed", "a number")


def trained(parameter: nn.Parameter, optimizer: torch.optim.Optimizer, first: int, steps: int):
    for step in range(first, first + steps):
        parameter.grad = with_strides_of(parameter, values(*parameter.shape, seed=step))
        optimizer.step()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_adam_is_fused_where_memory_has_no_gaps(layout):
    (group,) = adam(network(LAYOUTS[layout]())).param_groups
    assert bool(group["fused"]) == (layout in FUSED)


@pytest.mark.parametrize("parameter", [values(3).to("meta"), torch.zeros(3, dtype=torch.cfloat)])
def test_adam_is_not_fused_where_torch_has_no_kernel(parameter):
    assert not adam(network(parameter)).param_groups[0]["fused"]


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "one row for all"])
def test_a_restored_adam_steps_like_one_that_was_never_stopped(layout):
    plain = nn.Parameter(LAYOUTS[layout]())
    reference = torch.optim.Adam([plain], lr=0.1, fused=False)
    trained(plain, reference, first=1, steps=4)

    module = network(LAYOUTS[layout]())
    begun = adam(module)
    begun.param_groups[0]["lr"] = 0.1
    trained(module.weight, begun, first=1, steps=2)
    state = copy.deepcopy(begun.state_dict())
    for saved in state["state"].values():
        saved.update({k: v.contiguous() for k, v in saved.items()})  # as a file may hold them
    again = adam(module)
    restore_optimizer(again, state)
    trained(module.weight, again, first=3, steps=2)
    assert (module.weight - plain).abs().max() < CLOSE


@pytest.mark.parametrize("fused", [False, True])
def test_the_kernel_is_the_choice_of_the_process_that_goes_on(fused):
    module = network(values(3, 4))
    begun = torch.optim.Adam(module.parameters(), lr=0.1, fused=not fused)
    trained(module.weight, begun, first=1, steps=2)
    expected = nn.Parameter(module.weight.detach().clone())
    again = torch.optim.Adam(module.parameters(), lr=0.1, fused=fused)
    restore_optimizer(again, copy.deepcopy(begun.state_dict()))
    assert bool(again.param_groups[0]["fused"]) == fused
    trained(module.weight, again, first=3, steps=1)

    same = torch.optim.Adam([expected], lr=0.1, fused=not fused)
    same.load_state_dict(copy.deepcopy(begun.state_dict()))
    trained(expected, same, first=3, steps=1)
    assert (module.weight - expected).abs().max() < CLOSE


class Averages:
    """Two processes with equal gradients, sent one after the other as contiguous values."""

    world_size = 2

    def all_reduce_mean(self, tensors: list[Tensor]) -> list[Tensor]:
        return [tensor.contiguous().clone() for tensor in tensors]


def test_averaged_gradients_have_the_memory_order_of_their_parameter():
    parameter = nn.Parameter(LAYOUTS["channels last"]())
    gradient = values(*parameter.shape, seed=1)
    parameter.grad = with_strides_of(parameter, gradient)
    processes: Any = Averages()
    all_reduce_gradients([parameter], {}, processes)
    assert parameter.grad.stride() == parameter.stride() != gradient.stride()
    assert torch.equal(parameter.grad, gradient)


class ConvolutionalDiscriminator(ToyDiscriminator):
    """A discriminator with a weight that lies channels last."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.filters = nn.Parameter(
            (0.1 * values(2, 3, 2, 2, seed=seed)).contiguous(memory_format=torch.channels_last)
        )

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        mixed = self.filters * self.filters.flatten().view_as(self.filters)
        return super().forward(x, condition) * (1 + mixed.sum())


def test_a_training_with_other_memory_orders_is_continued_bit_by_bit():
    def trainer(seed: int) -> AdversarialTrainer:
        return AdversarialTrainer(
            toy_recipe(discriminator=ConvolutionalDiscriminator(seed), steps=6), seed=5
        )

    first = trainer(0)
    steps = first.steps()
    for _ in range(3):
        next(steps)
    state = copy.deepcopy(first.state())
    for optimizer in state["optimizers"].values():
        for saved in optimizer["state"].values():
            saved.update({k: v.contiguous() for k, v in saved.items()})
    weights = {name: weights_of(network) for name, network in first.networks().items()}
    weights = copy.deepcopy(weights)
    list(steps)

    twin = trainer(1)
    for name, network in twin.networks().items():
        network.load_state_dict({k: v.contiguous() for k, v in weights[name].items()})
    twin.restore(state)
    list(twin.steps())
    for name, network in twin.networks().items():
        expected = weights_of(first.networks()[name])
        assert all(torch.equal(v, expected[k]) for k, v in weights_of(network).items()), name


OTHER = nn.Linear(1, 1)
UNFIT = {
    "of another network": (lambda p: torch.optim.Adam(OTHER.parameters()), "got 2 others"),
    "of another network, too": (lambda p: torch.optim.Adam([*p, OTHER.bias]), "got 1 others"),
    "that needs a closure": (torch.optim.LBFGS, "must step without a closure; got LBFGS"),
    "that raises": (lambda p: p["weight"], "must be a function of the parameters of the gen"),
    "of no parameters": (lambda p: torch.optim.Adam([]), "got an empty parameter list"),
    "that is none": (lambda p: list(p), "must return a torch optimizer .* got a list"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_an_optimizer_that_would_not_train_the_network_is_refused(case):
    factory, message = UNFIT[case]
    with pytest.raises(ValueError, match=message) as caught:
        build_optimizer(factory, "generator", nn.Linear(2, 2))
    assert "\n" not in str(caught.value)


def test_an_optimizer_may_leave_parameters_out():
    found = build_optimizer(lambda p: torch.optim.SGD(p[:1], lr=1.0), "generator", nn.Linear(2, 2))
    assert len(found.param_groups[0]["params"]) == 1
