"""From logits to cells of exactly 0 and 1, in ways that gradients pass.

A choice says what the logits of a voice mean: one class of all at each step ("monophonic"), or
each cell by itself ("polyphonic", "drums"). A head says how a choice is made hard. The forward
value is binary during training too, but for the two heads that are here to be compared with.
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
    """What logits (..., C) mean: two functions of them, and the noise that makes them draws."""

    share: Callable[[Tensor], Tensor]  # probabilities (..., C)
    decide: Callable[[Tensor], Tensor]  # the likeliest cells (..., C), 0 or 1
    noise: Callable[[Tensor], Tensor]  # uniform numbers -> noise with which `decide` draws `share`


class Binarizer(NamedTuple):
    """How choices are made.

    `make` (choice, logits, noise, training) -> cells; `scale` of the noise, None if it is free.
    """

    make: Callable[[OutputDistribution, Tensor, Tensor, bool], Tensor]
    scale: float | None


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """The values of `hard`, bit by bit, with the gradient of `soft`, both (..., C).

    Source: Bengio et al. 2013, arXiv:1308.3432, section 4; the brackets keep it exact: adding
    before subtracting would be off by a rounding error.
    """
    return hard.detach() + (soft - soft.detach())


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise: the largest of logits + noise is a draw from their softmax."""
    return -(-uniform.clamp(min=SMALLEST_UNIFORM).log()).log()


def logistic(uniform: Tensor) -> Tensor:
    """Standard logistic noise: logits + noise exceed 0 with the probability sigmoid(logits)."""
    return torch.special.logit(uniform, eps=1e-7)


def draw_noise(n: int, steps: int, voices: Sequence[Voice], rng: torch.Generator) -> Tensor:
    """Noise (n, steps, C) of scale 1 for the choices of all voices."""
    blocks = [
        CHOICES[voice.kind].noise(torch.rand(n, steps, num_channels(voice), generator=rng))
        for voice in voices
    ]
    return torch.cat(blocks, dim=-1)


def get_binarizer(name: str) -> Binarizer:
    """The head called `name`; ValueError listing the names for any other."""
    if name not in BINARIZERS:
        raise ValueError(f"head {name!r} is unknown; known: {', '.join(BINARIZERS)}")
    return BINARIZERS[name]


def forbid_initial_holds(voice: Voice, logits: Tensor) -> Tensor:
    """Logits (B, T, width) with which nothing is held into the first step."""
    holds = {"monophonic": 1, "polyphonic": voice.num_pitches, "drums": 0}[voice.kind]
    strike, hold = logits.split([logits.shape[-1] - holds, holds], dim=-1)
    hold = F.pad(hold[:, 1:], (0, 0, 1, 0), value=-math.inf)
    return torch.cat([strike, hold], dim=-1)


def binarize_logits(
    binarizer: Binarizer, voice: Voice, logits: Tensor, noise: Tensor, training: bool
) -> Tensor:
    """The cells (B, T, width) of a voice from its logits and noise of the same shape.

    What is held into the first step is the logits' affair: see `start_anew`.
    """
    return binarizer.make(CHOICES[voice.kind], logits, noise, training)


def _one_hot(logits: Tensor) -> Tensor:
    return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)


def _positive(logits: Tensor) -> Tensor:
    return (logits > 0).to(logits.dtype)


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1)


def _noisy(choice: OutputDistribution, logits: Tensor, noise: Tensor, training: bool) -> Tensor:
    """The gradient of softer shares after the noise, of which the hard cells are the likeliest."""
    noisy = logits + noise
    return straight_through(
        choice.decide(noisy), choice.share(noisy / STRAIGHT_THROUGH_TEMPERATURE)
    )


def _neuron(choice: OutputDistribution, logits: Tensor, noise: Tensor, training: bool) -> Tensor:
    """A binary neuron: the gradient of the shares, which the noise does not touch."""
    return straight_through(choice.decide(logits + noise), choice.share(logits))


def _soft(choice: OutputDistribution, logits: Tensor, noise: Tensor, training: bool) -> Tensor:
    """Shares in training, hard cells afterwards."""
    return choice.share(logits) if training else choice.decide(logits + noise)


_cells = OutputDistribution(torch.sigmoid, _positive, logistic)
CHOICES = {
    "monophonic": OutputDistribution(_softmax, _one_hot, gumbel),
    "polyphonic": _cells,
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
