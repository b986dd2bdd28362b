"""Binarization of logits to cells of exactly 0 and 1, with surrogate gradients.

The output distribution of a voice is categorical at each step ("monophonic") or Bernoulli in each
cell ("drums"). A binarizer rounds it. The forward value is binary during training
too, except under "threshold" and "bernoulli", which are there for comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from multigan.music.representations.tensors import num_channels
from multigan.music.representations.voices import Voice

SMALLEST_UNIFORM = 1e-20  # keeps the logarithm of a uniform number finite
STRAIGHT_THROUGH_TEMPERATURE = (
    2.0  # temperature of the straight-through gradient: sure choices still have one
)


class OutputDistribution(NamedTuple):
    """A distribution of logits (..., C): probabilities, mode, and the noise that samples it."""

    probabilities: Callable[[Tensor], Tensor]  # probabilities (..., C)
    decide: Callable[[Tensor], Tensor]  # the mode (..., C), 0 or 1
    noise: Callable[[Tensor], Tensor]  # uniform numbers -> noise with which `decide` samples


class Binarizer(NamedTuple):
    """A rule that rounds logits to cells.

    `make` (distribution, logits, noise, training) -> cells; `scale` of the noise, None if free.
    """

    make: Callable[[OutputDistribution, Tensor, Tensor, bool], Tensor]
    scale: float | None


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """Return the values of `hard`, exactly, with the gradient of `soft`, both (..., C).

    Source: Bengio et al. 2013, arXiv:1308.3432, section 4; the brackets keep it exact: adding
    before subtracting would be off by a rounding error.
    """
    return hard.detach() + (soft - soft.detach())


def gumbel(uniform: Tensor) -> Tensor:
    """Return standard Gumbel noise: the argmax of logits + noise samples their softmax."""
    return -(-uniform.clamp(min=SMALLEST_UNIFORM).log()).log()


def logistic(uniform: Tensor) -> Tensor:
    """Return standard logistic noise: P(logits + noise > 0) is sigmoid(logits)."""
    return torch.special.logit(uniform, eps=1e-7)


def sample_noise(n: int, steps: int, voices: Sequence[Voice], rng: torch.Generator) -> Tensor:
    """Sample noise (n, steps, C) of scale 1 for all voices."""
    blocks = [
        DISTRIBUTIONS[voice.kind].noise(torch.rand(n, steps, num_channels(voice), generator=rng))
        for voice in voices
    ]
    return torch.cat(blocks, dim=-1)


def get_binarizer(name: str) -> Binarizer:
    """Return the binarizer called `name`; raise ValueError listing the names for any other."""
    if name not in BINARIZERS:
        raise ValueError(f"binarization must be one of {', '.join(BINARIZERS)}; got {name!r}")
    return BINARIZERS[name]


def forbid_initial_holds(voice: Voice, logits: Tensor) -> Tensor:
    """Mask logits (B, T, channels) so that nothing is held into the first step."""
    holds = {"monophonic": 1, "drums": 0}[voice.kind]
    strike, hold = logits.split([logits.shape[-1] - holds, holds], dim=-1)
    hold = F.pad(hold[:, 1:], (0, 0, 1, 0), value=-math.inf)
    return torch.cat([strike, hold], dim=-1)


def binarize_logits(
    binarizer: Binarizer, voice: Voice, logits: Tensor, noise: Tensor, training: bool
) -> Tensor:
    """Round the logits of a voice (B, T, channels) to cells, with noise of the same shape.

    `forbid_initial_holds` keeps holds out of the first step.
    """
    return binarizer.make(DISTRIBUTIONS[voice.kind], logits, noise, training)


def _one_hot(logits: Tensor) -> Tensor:
    return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)


def _positive(logits: Tensor) -> Tensor:
    return (logits > 0).to(logits.dtype)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def _noisy(
    distribution: OutputDistribution, logits: Tensor, noise: Tensor, training: bool
) -> Tensor:
    """Straight-through gradient of tempered probabilities after the noise."""
    noisy = logits + noise
    return straight_through(
        distribution.decide(noisy), distribution.probabilities(noisy / STRAIGHT_THROUGH_TEMPERATURE)
    )


def _neuron(
    distribution: OutputDistribution, logits: Tensor, noise: Tensor, training: bool
) -> Tensor:
    """Binary neuron: the gradient of the probabilities without the noise."""
    return straight_through(distribution.decide(logits + noise), distribution.probabilities(logits))


def _soft(
    distribution: OutputDistribution, logits: Tensor, noise: Tensor, training: bool
) -> Tensor:
    """Probabilities in training, hard cells in evaluation."""
    return distribution.probabilities(logits) if training else distribution.decide(logits + noise)


_cells = OutputDistribution(torch.sigmoid, _positive, logistic)
DISTRIBUTIONS = {
    "monophonic": OutputDistribution(_softmax, _one_hot, gumbel),
    "drums": _cells,
}

# Sources: Jang et al. 2017, arXiv:1611.01144, section 2.2 (the first); Dong and Yang 2018,
# arXiv:1804.09399, section 3: stochastic and deterministic binary neurons; hard threshold and
# Bernoulli sampling of a real-valued output, which the discriminator can tell from binary data.
BINARIZERS = {
    "straight_through": Binarizer(_noisy, scale=None),
    "stochastic": Binarizer(_neuron, scale=1.0),
    "deterministic": Binarizer(_neuron, scale=0.0),
    "threshold": Binarizer(_soft, scale=0.0),
    "bernoulli": Binarizer(_soft, scale=1.0),
}
