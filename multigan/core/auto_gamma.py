"""Automatic gamma: the weight of a zero-centered gradient penalty from the scale of the data.

Data stretched by s have input gradients shrunk by s, and the objective is unchanged if gamma grows
by s^2. So gamma is a pure number times a squared length of the data. The length should not grow by
constant axes, nor shrink where there are few. It is that of one difference along another:

    L^2 = E (u . v)^2 / E |v|^2,   u = x1 - x2,   v = x3 - x4   of four samples,

which is 2 tr C^2 / tr C for data of covariance C: the mean squared distance between two samples
divided by the effective number of directions in which they differ, (tr C)^2 / tr C^2.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from multigan.core.protocols import Dataset, Discriminator, SupportsEmbeddingPenalty
from multigan.core.rng import keyed_rng

AUTO = "auto"
GAMMA_PER_SQUARED_LENGTH = (
    0.036  # of the squared length: .3 for the digits of the default image recipe
)
SAMPLES = 1024  # at most, to measure the length
MAX_ELEMENTS = 2**26  # of all samples: 256 MB
DIGITS = 2  # of the result: hides rounding differences between machines


def resolve_gamma(gamma: str, data: Dataset, discriminator: Discriminator | None = None) -> float:
    """Return `gamma` as a number; "auto" is computed from the data, to two digits.

    The result is a pure function of the data, without a seed. Where `discriminator` takes penalties
    at a transcription of the samples, the length is measured there.

    Raises ValueError for any other string, and for data without a length: fewer than four samples,
    or all equal.
    """
    if gamma != AUTO:
        return _number(gamma)
    squared = effective_squared_length(_penalty_inputs(_sample(data), discriminator))
    number = GAMMA_PER_SQUARED_LENGTH * squared
    return round(number, DIGITS - 1 - math.floor(math.log10(number)))


def effective_squared_length(x: Tensor) -> float:
    """Compute E (u . v)^2 / E |v|^2 over differences u, v of pairs of four samples of `x` (n, ...).

    Both means are unbiased. Raises ValueError for fewer than four samples, or if all are equal.
    Source of the closed form of the first mean: Himeno and Yamada 2014.
    """
    n = len(x)
    rows = x.flatten(1)
    rows = rows - rows.mean(0)
    products = (rows @ rows.T).double()  # (n, n)
    norms = products.diagonal()  # |x - mean|^2
    spread = norms.sum() / (n - 1)  # tr C
    squares = products.square().sum() / (n - 1) ** 2  # tr S^2 of the sample covariance S
    fourth = norms.square().sum() / (n - 1)
    shared = (n - 1) * (n - 2) * squares + spread**2 - n * fourth
    shared = (n - 1) / (n * (n - 2) * (n - 3)) * shared if n > 3 else torch.nan * shared  # tr C^2
    squared = float(2 * shared / spread)
    if not 0 < squared < math.inf:
        raise ValueError(
            f"data for gamma auto must have four or more different samples; got {n} with a squared "
            f"length of {squared:.3g}: give gamma a number"
        )
    return squared


def _number(gamma: str) -> float:
    try:
        number = float(gamma)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"gamma must be a number, 0 or more, or {AUTO}; got {gamma!r}")
    return number


def _sample(data: Dataset) -> Tensor:
    """Return up to SAMPLES samples from the whole dataset: (n, ...)."""
    order = torch.randperm(len(data), generator=keyed_rng(AUTO, "order"))
    if data.is_stochastic:
        one_by_one = (data.batch(order[k : k + 1], keyed_rng(AUTO, k)).x for k in range(len(order)))
        first = next(one_by_one)
        more = itertools.islice(one_by_one, _count(first) - 1)
        return torch.cat([first, *more])
    return data.batch(order[: _count(data.batch(order[:1]).x)]).x


def _count(sample: Tensor) -> int:
    """Return the number of samples of this size to use."""
    return max(4, min(SAMPLES, MAX_ELEMENTS // sample.numel()))


@torch.no_grad()
def _penalty_inputs(x: Tensor, discriminator: Discriminator | None) -> Tensor:
    """Return the points of the penalties: x, or its embedding where that is not linear.

    With a linear embedding the penalty is of the gradient at x (see SupportsEmbeddingPenalty).
    """
    if not isinstance(discriminator, SupportsEmbeddingPenalty):
        return x
    embedded = discriminator.embed(x)
    is_linear = torch.allclose(discriminator.embed(3 * x), 3 * embedded)
    return x if is_linear else embedded
