"""Adversarial losses of the discriminator and the generator, one value per logit.

r are real logits, f fake logits (B, L), L of each sample, paired by index; higher means more real.
sp is softplus. The objective reduces them.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

CHANCE_SHAPE = (4, 1)  # (B, L) of logits that are all equal


class AdversarialLoss(NamedTuple):
    """The losses of both networks: functions (real logits, fake logits) -> values to minimize.

    Logits are (B, L), L of each sample, always; values are (B, L) or a single number.
    subtracts_opposite_mean: the objective first subtracts the mean of the other side's logits.
    decision_boundary: the logit at which the discriminator is undecided; None where the loss
    depends on differences of logits alone or does not fix one.
    """

    discriminator: Callable[[Tensor, Tensor], Tensor]
    generator: Callable[[Any, Tensor], Tensor]
    generator_sees_real: bool = False  # else its first argument is None
    subtracts_opposite_mean: bool = False
    decision_boundary: float | None = None


def cross_entropy_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(-r) + sp(f). Source: Goodfellow et al. 2014, eq. (1), on logits."""
    return softplus(-real) + softplus(fake)


def nonsaturating_generator(real: None, fake: Tensor) -> Tensor:
    """sp(-f). Source: Goodfellow et al. 2014, section 3."""
    return softplus(-fake)


def minimax_generator(real: None, fake: Tensor) -> Tensor:
    """-sp(f), which saturates. Source: Goodfellow et al. 2014, eq. (1)."""
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
    """f - r; needs a gradient penalty. Source: Arjovsky et al. 2017, eq. (3)."""
    return fake - real


def critic_generator(real: None, fake: Tensor) -> Tensor:
    """-f, for the hinge and the Wasserstein loss."""
    return -fake


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(f - r), per pair. Source: Jolicoeur-Martineau 2019 (RpGAN); Huang et al. 2024, eq. (2)."""
    return softplus(fake - real)


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(r - f): with the roles swapped, which does not saturate."""
    return softplus(real - fake)


def swapped_cross_entropy_generator(real: Tensor, fake: Tensor) -> Tensor:
    """sp(-f) + sp(r): the discriminator's cross-entropy with the roles swapped."""
    return cross_entropy_discriminator(fake, real)


LOSSES: dict[str, AdversarialLoss] = {
    "nonsaturating": AdversarialLoss(
        cross_entropy_discriminator, nonsaturating_generator, decision_boundary=0.0
    ),
    "minimax": AdversarialLoss(
        cross_entropy_discriminator, minimax_generator, decision_boundary=0.0
    ),
    "hinge": AdversarialLoss(hinge_discriminator, critic_generator, decision_boundary=0.0),
    "least_squares": AdversarialLoss(
        least_squares_discriminator, least_squares_generator, decision_boundary=0.5
    ),
    "wasserstein": AdversarialLoss(wasserstein_discriminator, critic_generator),
    "relativistic": AdversarialLoss(
        relativistic_discriminator, relativistic_generator, generator_sees_real=True
    ),
    # RaGAN (Jolicoeur-Martineau 2019, section 4): cross-entropy minus the other's mean.
    "relativistic_average": AdversarialLoss(
        cross_entropy_discriminator,
        swapped_cross_entropy_generator,
        generator_sees_real=True,
        subtracts_opposite_mean=True,
    ),
}


def get_loss(loss: Any) -> AdversarialLoss:
    """Return the loss called `loss`, or the one of a function or an AdversarialLoss.

    A function of real and fake logits (B, L) returns the losses of D and G, each of every logit or
    a single number. Raises ValueError for an unknown name.
    """
    if isinstance(loss, AdversarialLoss):
        return loss
    if callable(loss):
        sides = [_one_side(loss, side) for side in (0, 1)]
        return AdversarialLoss(sides[0], sides[1], generator_sees_real=True)
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(
            f"loss must be one of {', '.join(LOSSES)}, a function of the logits of reals and fakes "
            f"or an AdversarialLoss; got {loss!r}"
        )
    return LOSSES[loss]


def _one_side(loss: Callable[..., Any], side: int) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of D (0) or G (1), from a function that returns both."""

    def one(real: Tensor, fake: Tensor) -> Tensor:
        found = loss(real, fake)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise ValueError(
                "loss must return two values, the losses of the discriminator and the generator; "
                f"got a {type(found).__name__}"
            )
        value: Tensor = found[side]
        return value

    return one


def of_every_logit(value: Tensor, logits: Tensor) -> Tensor:
    """Return a loss as one value of each of the logits (B, L); its mean where it is of others."""
    return value if value.shape == logits.shape else value.mean().expand_as(logits)


def check_loss(loss: Any) -> None:
    """Try a loss of the caller on logits (B, L) = (4, 1), which it need not accept.

    Raises ValueError, in one line, for a function that cannot take two arguments, and for one that
    returns no tensors with a gradient.
    """
    found = get_loss(loss)
    if found in LOSSES.values():
        return
    own = (loss.discriminator, loss.generator) if isinstance(loss, AdversarialLoss) else (loss,)
    for function in own:
        _check_arguments(function)
    for name, side in (("discriminator", found.discriminator), ("generator", found.generator)):
        leaf = torch.linspace(-1, 1, 4)[:, None].requires_grad_()
        sees_real = name == "discriminator" or found.generator_sees_real
        try:
            with torch.enable_grad():
                real, fake = leaf + 1, leaf * 1  # made by operations, as logits are
                value: Any = side(real, fake) if sees_real else side(None, fake)  # type: ignore[arg-type]
        except Exception as error:  # a function of the caller raises arbitrary exceptions
            if type(error) is ValueError and str(error).startswith("loss must"):
                raise
            continue  # it may be right for another B or L
        if not isinstance(value, Tensor) or not value.requires_grad:
            kind = (
                "tensor without a gradient" if isinstance(value, Tensor) else type(value).__name__
            )
            raise ValueError(
                f"loss must return tensors that depend on the logits; got a {kind} as that of the "
                f"{name}"
            )


def _check_arguments(function: Callable[..., Any]) -> None:
    """Raise ValueError, in one line, for a function that cannot take reals and fakes."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions of C have none
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ValueError(
            f"loss must be a function of the logits of reals and fakes, (B, L) each; got: {error}"
        ) from error


def loss_at_chance(loss: Any) -> float:
    """Compute the discriminator's loss where it cannot tell real from fake: equal logits.

    They are at the decision boundary where there is one. A loss without a lower bound has 0, and
    so has one that equal logits leave undefined or that takes none of this shape.
    """
    found = get_loss(loss)
    logits = torch.full(CHANCE_SHAPE, found.decision_boundary or 0.0)
    try:
        value = float(found.discriminator(logits.clone(), logits.clone()).mean())
    except Exception:  # a function of the caller raises arbitrary exceptions
        return 0.0
    return value if math.isfinite(value) else 0.0
