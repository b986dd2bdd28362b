"""How heavy a zero-centred penalty on D's slope should be: read off the scale of the data.

Where data are stretched by s, slopes shrink by s, and the game is the same one if gamma grows by
s^2. So gamma is a pure number times a squared length of the data. That length should not grow by
axes that say nothing new (a cell that is always empty), nor shrink where there are few. So it is
that of one difference between two samples along another:

    L^2 = E (u . v)^2 / E |v|^2,   u = x1 - x2,   v = x3 - x4   of four samples,

which is 2 tr C^2 / tr C for data of covariance C: the mean squared distance between two samples
divided by the number of directions in which they effectively differ, (tr C)^2 / tr C^2.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from multigan.core.protocols import Dataset, Discriminator
from multigan.core.rng import keyed_rng

AUTO = "auto"
GAMMA_PER_SQUARED_LENGTH = (
    0.036  # of the squared length: .3 for the digits of the default image recipe
)
SAMPLES = 1024  # at most, that the length is measured on
MAX_ELEMENTS = 2**26  # of all of them: 256 MB
DIGITS = 2  # of the answer: the length is not known better, and roundings of machines vanish


def resolve_gamma(wish: str, data: Dataset, discriminator: Discriminator | None = None) -> float:
    """The number that `wish` is, or for "auto" the one that the data ask for, to two digits.

    A pure function of the data: nothing depends on a seed. Where `discriminator` takes penalties
    at a reading of the samples, the length is measured there. Raises ValueError for a wish that is
    neither, and for data without a length: fewer than four samples, or all alike.
    """
    if wish != AUTO:
        return _number(wish)
    squared = effective_squared_length(_entries(_draw(data), discriminator))
    gamma = GAMMA_PER_SQUARED_LENGTH * squared
    return round(gamma, DIGITS - 1 - math.floor(math.log10(gamma)))


def effective_squared_length(x: Tensor) -> float:
    """E (u . v)^2 / E |v|^2 over all differences u, v of two pairs of four samples of `x` (n, ...).

    Both means are unbiased. Raises ValueError for fewer than four samples, or if all are alike.
    Source of the first, without going through all fours: Himeno and Yamada 2014.
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
            f"gamma auto needs four samples or more that differ, of {n} it made {squared:.3g}; "
            "give gamma a number"
        )
    return squared


def _number(wish: str) -> float:
    try:
        number = float(wish)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"gamma is {wish!r}; wanted a number, 0 or more, or {AUTO}")
    return number


def _draw(data: Dataset) -> Tensor:
    """Up to SAMPLES samples from all over the set: (n, ...)."""
    order = torch.randperm(len(data), generator=keyed_rng(AUTO, "order"))
    if data.is_stochastic:
        one_by_one = (data.batch(order[k : k + 1], keyed_rng(AUTO, k)).x for k in range(len(order)))
        first = next(one_by_one)
        more = itertools.islice(one_by_one, _count(first) - 1)
        return torch.cat([first, *more])
    return data.batch(order[: _count(data.batch(order[:1]).x)]).x


def _count(sample: Tensor) -> int:
    """How many samples of this size are looked at."""
    return max(4, min(SAMPLES, MAX_ELEMENTS // sample.numel()))


@torch.no_grad()
def _entries(x: Tensor, discriminator: Any) -> Tensor:
    """Where D's slope is measured: at a reading of x without parameters, else at x.

    A linear embedding reports the slope at x (see contract.Discriminator).
    """
    if not hasattr(discriminator, "embed"):
        return x
    read = discriminator.embed(x)
    is_linear = torch.allclose(discriminator.embed(3 * x), 3 * read)
    return x if is_linear else read
