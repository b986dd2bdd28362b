"""The posterior of the latent of a line: its encoder, its divergence from the prior, its samples.

B lines, T positions, E entries of a token's vector, Z entries of the latent, K importance samples.
Source: Kingma and Welling 2014 (the variational autoencoder); Bowman et al. 2016 (for lines).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from multigan.core.modules import in_float32
from multigan.core.rng import keyed_rng

KERNEL = 3  # tokens that one feature of the encoder reads
MIN_LOG_VARIANCE, MAX_LOG_VARIANCE = -12.0, 4.0
NOISE_ROWS = 64  # rows of fixed noise, over which lines are spread


class Posterior(NamedTuple):
    """A diagonal Gaussian for each line."""

    mean: Tensor  # (B, Z)
    log_variance: Tensor  # (B, Z)

    def sample(self, noise: Tensor) -> Tensor:
        """Samples (..., B, Z) from standard normal noise (..., B, Z), differentiable."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """The divergence (B, Z) from the prior N(0, 1), KL(q || p), in nats."""
        squared = self.mean.square() + self.log_variance.exp()
        return 0.5 * (squared - 1 - self.log_variance)

    def log_ratio(self, z: Tensor) -> Tensor:
        """Logarithm (..., B) of the density of z (..., B, Z) over that of the prior."""
        inside = (z - self.mean).square() / self.log_variance.exp()
        return 0.5 * (z.square() - inside - self.log_variance).sum(-1)


class LineEncoder(nn.Module):
    """Vectors of the tokens of a line -> the posterior of its latent.

    The features are those of a convolution: their mean and maximum over the line.
    """

    def __init__(self, inputs: int, width: int, latent_dim: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(inputs, width, KERNEL, padding=KERNEL // 2)
        self.to_posterior = nn.Linear(2 * width, 2 * latent_dim)

    def forward(self, x: Tensor, is_token: Tensor) -> Posterior:
        """Vectors (B, T, E), of which `is_token` (B, T) are read -> the posterior (B, Z)."""
        there = is_token[..., None]
        h = relu(self.convolution((x * there).transpose(1, 2))).transpose(1, 2) * there
        mean = h.sum(1) / there.sum(1).clamp_min(1)
        found = in_float32(self.to_posterior, torch.cat([mean, h.amax(1)], dim=-1))
        mean, log_variance = found.chunk(2, dim=-1)
        return Posterior(mean, log_variance.clamp(MIN_LOG_VARIANCE, MAX_LOG_VARIANCE))


def importance_samples(posterior: Posterior, tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Samples z (K, B, Z) for the lines (B, T), and the logarithms (K, B) of their weights.

    One half is from the posterior, the other from the prior; the weight is the density of the prior
    over that of the mixture, so it is below 2. The noise is fixed: it depends on the tokens alone.
    The mean of weight times p(line | z) is an unbiased estimate of p(line).
    Source: Owen and Zhou 2000 (defensive mixtures); Burda et al. 2016 (the bound).
    """
    shape = (NOISE_ROWS, count, posterior.mean.shape[1])
    noise = torch.randn(shape, generator=keyed_rng("importance noise"), device="cpu")
    odd = torch.arange(1, 2 * tokens.shape[1], 2, device=tokens.device)
    rows = (tokens * odd).sum(1) % NOISE_ROWS
    own = noise.to(posterior.mean)[rows].transpose(0, 1)
    z = torch.cat([posterior.sample(own[: count // 2]), own[count // 2 :]])
    return z, math.log(2) - softplus(posterior.log_ratio(z))


def token_shares(log_weights: Tensor, log_p: Tensor, free: Tensor) -> Tensor:
    """Log-probabilities (B, T) of tokens, given those before, whose sum is the bound of the line.

    log_weights (K, B) are those of the latents, log_p (K, B, T) the log-probabilities of the tokens
    given a latent, 0 unless `free` (B, T). Each is the logarithm of a ratio of estimates: of the
    line up to a token, and up to the token before.
    """
    totals = torch.logsumexp(log_weights[..., None] + log_p.cumsum(-1), 0)
    totals = totals - math.log(len(log_weights))
    totals = torch.where(free.cumsum(1) > 0, totals, totals.new_zeros(()))
    before = torch.cat([torch.zeros_like(totals[:, :1]), totals[:, :-1]], dim=1)
    return torch.where(free, totals - before, totals.new_zeros(()))
