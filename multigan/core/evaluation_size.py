"""The size of evaluations: less inside `evaluate_at_most`, for self-tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_most: ContextVar[int | None] = ContextVar("most", default=None)


@contextmanager
def evaluate_at_most(count: int) -> Iterator[None]:
    """Limit each number of samples and of steps of helper models in a block.

    What it stores in a cache is of no use outside of the block.
    """
    token = _most.set(count)
    try:
        yield
    finally:
        _most.reset(token)


def evaluation_size(count: int) -> int:
    """Return how many samples or steps an evaluation takes where it usually takes `count`."""
    most = _most.get()
    return count if most is None else min(count, most)
