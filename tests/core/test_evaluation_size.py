"""Evaluations inside a block that limits them."""

from multigan.core.evaluation_size import evaluate_at_most, evaluation_size


def test_an_evaluation_is_smaller_inside_the_block_only():
    with evaluate_at_most(10):
        assert (evaluation_size(1000), evaluation_size(3)) == (10, 3)
        with evaluate_at_most(2):
            assert evaluation_size(1000) == 2
        assert evaluation_size(1000) == 10
    assert evaluation_size(1000) == 1000
