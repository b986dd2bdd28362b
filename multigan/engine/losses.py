"""The games: what the discriminator and the generator minimise, one value per logit.

r are real logits, f fake logits, paired by index, of one shape; higher means more real. The engine
reduces, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn.functional import relu, softplus


class AdversarialLoss(NamedTuple):
    """A game of two players, each a function (real logits, fake logits) -> values to minimise."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Any, Tensor], Tensor]
    generator_sees_real: bool = False  # else its first argument is None
    relative_to_mean: bool = False  # the engine first subtracts the other side's batch mean
    burn_in: float = 0.0  # default share of the run in which schedules settle
    boundary: float | None = None  # the logit at which D is undecided, where the game fixes one


def cross_entropy_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(-r) + sp(f). Source: Goodfellow et al. 2014, eq. (1), on logits."""
    return softplus(-real) + softplus(fake)


def nonsaturating_generator(real: None, fake: Tensor) -> Tensor:
    """sp(-f). Source: Goodfellow et al. 2014, section 3."""
    return softplus(-fake)


def minimax_generator(real: None, fake: Tensor) -> Tensor:
    """-sp(f), the textbook game, which saturates. Source: Goodfellow et al. 2014, eq. (1)."""
    return -softplus(fake)


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """relu(1 - r) + relu(1 + f). Source: Lim and Ye 2017; Miyato et al. 2018, eq. (16)."""
    return relu(1 - real) + relu(1 + fake)


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """(r - 1)^2 / 2 + f^2 / 2. Source: Mao et al. 2017, eq. (9), a = 0 and b = c = 1."""
    return ((real - 1) ** 2 + fake**2) / 2


def least_squares_generator(real: None, fake: Tensor) -> Tensor:
    """(f - 1)^2 / 2. Source: Mao et al. 2017, eq. (9)."""
    return (fake - 1) ** 2 / 2


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """f - r; needs a bound on D's slope (a penalty). Source: Arjovsky et al. 2017, eq. (3)."""
    return fake - real


def critic_generator(real: None, fake: Tensor) -> Tensor:
    """-f, the generator's side of the hinge and the Wasserstein game."""
    return -fake


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(f - r), per pair. Source: Jolicoeur-Martineau 2019 (RpGAN); Huang et al. 2024, eq. (2)."""
    return softplus(fake - real)


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(r - f): the roles swapped, which does not saturate."""
    return softplus(real - fake)


def swapped_cross_entropy_generator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(-f) + sp(r): the discriminator's cross-entropy with the roles swapped."""
    return cross_entropy_discriminator(fake, real)


LOSSES: dict[str, AdversarialLoss] = {
    "nonsaturating": AdversarialLoss(
        cross_entropy_discriminator, nonsaturating_generator, boundary=0.0
    ),
    "minimax": AdversarialLoss(cross_entropy_discriminator, minimax_generator, boundary=0.0),
    "hinge": AdversarialLoss(hinge_discriminator, critic_generator, boundary=0.0),
    "least_squares": AdversarialLoss(
        least_squares_discriminator, least_squares_generator, boundary=0.5
    ),
    "wasserstein": AdversarialLoss(wasserstein_discriminator, critic_generator),
    "relativistic": AdversarialLoss(
        relativistic_discriminator, relativistic_generator, generator_sees_real=True, burn_in=0.2
    ),
    # RaGAN (Jolicoeur-Martineau 2019, section 4): cross-entropy on logits less the other's mean.
    "relativistic_average": AdversarialLoss(
        cross_entropy_discriminator,
        swapped_cross_entropy_generator,
        generator_sees_real=True,
        relative_to_mean=True,
    ),
}


def get_loss(name: str) -> AdversarialLoss:
    """The loss called `name`; ValueError listing the names for any other."""
    if name not in LOSSES:
        raise ValueError(f"loss {name!r} is unknown; known: {', '.join(LOSSES)}")
    return LOSSES[name]
