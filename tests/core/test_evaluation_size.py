"""Evaluations inside a block that limits them."""

from multigan.core.evaluation_size import (
    evaluation_iterations,
    evaluation_size,
    small_evaluations,
)


def test_an_evaluation_is_smaller_inside_the_block_only():
    with small_evaluations(10, 3):
        assert (evaluation_size(1000), evaluation_size(3)) == (10, 3)
        assert (evaluation_iterations(1000), evaluation_iterations(2)) == (3, 2)
        with small_evaluations(2, 1):
            assert (evaluation_size(1000), evaluation_iterations(1000)) == (2, 1)
        assert (evaluation_size(1000), evaluation_iterations(1000)) == (10, 3)
    assert (evaluation_size(1000), evaluation_iterations(1000)) == (1000, 1000)
