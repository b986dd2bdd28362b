"""The size of evaluations: less inside `small_evaluations`, for self-tests and tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

NUM_SAMPLES, NUM_ITERATIONS = 64, 2


class _Limits(NamedTuple):
    samples: int
    iterations: int


_limits: ContextVar[_Limits | None] = ContextVar("limits", default=None)


@contextmanager
def small_evaluations(
    samples: int = NUM_SAMPLES, iterations: int = NUM_ITERATIONS
) -> Iterator[None]:
    """Limit each number of samples and of iterations of an evaluation inside a block.

    What it stores in a cache is of no use outside of the block.
    """
    token = _limits.set(_Limits(samples, iterations))
    try:
        yield
    finally:
        _limits.reset(token)


def evaluation_size(count: int) -> int:
    """Return how many samples an evaluation takes where it usually takes `count`."""
    limits = _limits.get()
    return count if limits is None else min(count, limits.samples)


def evaluation_iterations(count: int) -> int:
    """Return how many steps of a helper model, resamples or repetitions replace `count`."""
    limits = _limits.get()
    return count if limits is None else min(count, limits.iterations)
