import pytest
import torch
from torch import nn

from multigan.engine.averaging import Lookahead
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import toy_recipe


def weight(value):
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def test_both_players_come_back_by_hand():
    one, other = weight(0.0), weight(8.0)
    lookahead = Lookahead([one, other], interval=2, alpha=0.25)
    lookahead.begin()
    seen = []
    for step in range(1, 5):
        with torch.no_grad():
            one.weight += 1
            other.weight -= 2
        lookahead.update(step)
        seen.append((one.weight.item(), other.weight.item()))
    assert seen == [(1, 6), (0.5, 7), (1.5, 5), (1.0, 6)]


def test_a_bilinear_game_that_circles_outwards_comes_to_rest():
    def distance(interval):
        x, y = weight(1.0), weight(1.0)
        lookahead = Lookahead([x, y], interval, alpha=0.5)
        lookahead.begin()
        for step in range(1, 401):  # min over x, max over y of x y: all they do is circle
            with torch.no_grad():
                x.weight, y.weight = (
                    nn.Parameter(x.weight - 0.3 * y.weight),
                    nn.Parameter(y.weight + 0.3 * x.weight),
                )
            lookahead.update(step)
        return torch.hypot(x.weight, y.weight).item()

    assert distance(0) > 1e3 and distance(6) < 1e-3


def test_without_it_nothing_is_kept():
    network = weight(1.0)
    lookahead = Lookahead([network], interval=0, alpha=0.5)
    lookahead.begin()
    lookahead.update(0)
    assert lookahead.state() == [] and network.weight.item() == 1


@pytest.mark.parametrize("stop", [3, 4])
def test_a_restored_game_goes_on_bit_by_bit_between_steps_back_too(stop):
    def trainer():
        return AdversarialTrainer(toy_recipe(steps=9, lookahead_interval=4), seed=1)

    whole, first, second = trainer(), trainer(), trainer()
    list(whole.steps())
    for step in first.steps():
        if step.number == stop:
            break
    for name, network in first.networks().items():
        second.networks()[name].load_state_dict(network.state_dict())
    second.restore(first.state())
    list(second.steps())
    for name, network in whole.networks().items():
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, second.networks()[name].state_dict()[key]), (name, key)


def test_it_changes_the_game():
    plain = AdversarialTrainer(toy_recipe(steps=9), seed=1)
    back = AdversarialTrainer(toy_recipe(steps=9, lookahead_interval=4), seed=1)
    for trainer in (plain, back):
        list(trainer.steps())
    one, other = (next(trainer.generator.parameters()) for trainer in (plain, back))
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lookahead_interval": -1}, "lookahead_interval must be 0 or more"),
        ({"lookahead_alpha": 0.0}, "lookahead_alpha must be"),
    ],
)
def test_numbers_that_no_lookahead_has_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        AdversarialTrainer(toy_recipe(**wrong))
