import torch

from multigan.text.models.reinforce import discounted_returns, token_advantages


def test_costs_to_go_are_discounted_sums_of_what_follows():
    costs = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.0, 8.0]])
    expected = torch.tensor([[1 + 1 + 1, 2 + 2, 4.0], [2.0, 4.0, 8.0]])
    torch.testing.assert_close(discounted_returns(costs, 0.5), expected)
    assert torch.equal(discounted_returns(costs, 0.0), costs)


def test_an_advantage_is_what_a_line_paid_more_than_the_others():
    costs = torch.tensor([[1.0, 5.0], [2.0, 7.0], [6.0, 9.0]])
    free = torch.tensor([[True, True], [True, False], [True, False]])
    found = token_advantages(costs, free, 0.0)
    expected = torch.tensor([[1 - 4.0, 5.0], [2 - 3.5, 0.0], [6 - 1.5, 0.0]])
    torch.testing.assert_close(found, expected)
