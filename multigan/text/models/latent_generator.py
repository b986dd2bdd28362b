"""A text generator with a latent of the whole line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.interpolation import slerp
from multigan.core.protocols import Batch
from multigan.core.serialization import component
from multigan.text.condition import TextCondition
from multigan.text.models.generator import TextGenerator
from multigan.text.models.line_encoder import (
    LineEncoder,
    Posterior,
    importance_samples,
    token_shares,
)
from multigan.text.models.token_sampling import check_controls
from multigan.text.tokenization.tokenizer import SPECIAL_IDS


class LineLatent(NamedTuple):
    """The latent of a `TextGenerator`, and one vector for the whole line."""

    uniform: Tensor  # (B, T) in [0, 1)
    seed: Tensor  # (B,) int64
    z: Tensor  # (B, Z) standard normal


@component
class LatentTextGenerator(TextGenerator):
    """A `TextGenerator` whose lines also depend on z ~ N(0, I), added to every input.

    Likelihood training maximizes the evidence lower bound, with an encoder q(z | line, class) that
    generation does not need. Without a remedy the decoder learns to ignore z and q to be the prior
    (posterior collapse). Two remedies are built in: `free_bits` for the divergence of each entry of
    z, and `word_dropout` of the decoder's inputs. `multigan evaluate` reports whether z is used.

    In eval() the likelihood is an importance-weighted bound with fixed noise: never above the
    likelihood in expectation, and nearer to it with more `importance_samples`.

    Args:
        latent_dim: Z.
        free_bits: nats of divergence of each entry of z that cost nothing more, here in each line
            (the source takes the mean over a batch).
        word_dropout: share of the decoder's inputs without a token, in likelihood training alone;
            the other tokens are scaled by 1 / (1 - word_dropout).
        importance_samples: K of the bound, even: one half from q, the other from the prior.
        encoder_width: features of the encoder.

    The other arguments are those of `TextGenerator`. Raises ValueError for values out of range.
    Source: Bowman et al. 2016 (lines from a continuous space; word dropout); Kingma et al. 2016,
    section 2.2 and appendix C.8 (free bits); Burda et al. 2016 (importance-weighted bound).
    """

    def __init__(
        self,
        vocabulary_size: int,
        length: int,
        num_classes: int = 0,
        backbone: str = "lstm",
        embedding: int = 64,
        width: int = 256,
        layers: int = 1,
        heads: int = 2,
        memory_slots: int = 1,
        relgan_scaling: bool = False,
        hf_config: Mapping[str, Any] | None = None,
        estimator: str = "straight_through",
        inverse_temperature: float = 4.0,
        schedule: str = "exponential",
        discount: float = 0.25,
        dropout: float = 0.0,
        min_length: int = 1,
        fixed_length: bool = False,
        tie_embeddings: bool = False,
        head_size: int = 0,
        tail_width: int = 32,
        latent_dim: int = 32,
        free_bits: float = 0.25,
        word_dropout: float = 0.25,
        importance_samples: int = 8,
        encoder_width: int = 256,
    ) -> None:
        super().__init__(
            vocabulary_size, length, num_classes, backbone, embedding, width, layers, heads,
            memory_slots, relgan_scaling, hf_config, estimator, inverse_temperature, schedule,
            discount, dropout, min_length, fixed_length, tie_embeddings, head_size, tail_width,
        )  # fmt: skip
        _check_arguments(latent_dim, free_bits, word_dropout, importance_samples)
        self.latent_dim, self.free_bits, self.word_dropout = latent_dim, free_bits, word_dropout
        self.importance_samples = importance_samples
        self.from_latent = nn.Linear(latent_dim, embedding)  # as large as a token's vector
        nn.init.normal_(self.from_latent.weight, std=(latent_dim * embedding) ** -0.5)
        self.encoder = LineEncoder(embedding, encoder_width, latent_dim)

    def sample_latent(self, n: int, rng: torch.Generator) -> LineLatent:  # type: ignore[override]
        """Sample `n` latents on the CPU."""
        own = super().sample_latent(n, rng)
        return LineLatent(*own, torch.randn(n, self.latent_dim, generator=rng))

    def interpolate(self, a: LineLatent, b: LineLatent, t: float) -> LineLatent:
        """The latents at fraction `t` of the arc from the z of `a` to that of `b`; see `slerp`.

        The quantiles and the seed are those of `a` on the whole path: z alone changes.
        """
        z = {0.0: a.z, 1.0: b.z}.get(t)  # both ends are exact
        return a._replace(z=slerp(a.z, b.z, t) if z is None else z)

    def encode_lines(self, tokens: Tensor, condition: TextCondition | None = None) -> Posterior:
        """The posterior (B, Z) of the latent of lines (B, T): q(z | line, class)."""
        x = self.embedding(tokens)
        if self.label is not None:
            x = x + super()._line_vector(condition)[:, None]
        is_token = torch.ones_like(tokens) if self.fixed_length else tokens != SPECIAL_IDS.pad
        posterior: Posterior = self.encoder(x, is_token.bool())
        return posterior

    def log_likelihood(self, batch: Batch) -> Tensor:
        """A lower bound (B,) of the log-probability, in nats, of each line after its prompt.

        In train() it is the evidence lower bound at one sample of the posterior, with free bits,
        dropout and word dropout. In eval() it is the importance-weighted bound: the same value for
        the same line. The lines are one-hot rows, or tokens (B, T) int64.
        """
        tokens = batch.x.argmax(-1) if batch.x.is_floating_point() else batch.x
        if not self.training:
            return self.token_log_likelihood(tokens, batch.condition).sum(1)
        posterior = self.encode_lines(tokens, batch.condition)
        vector = self._vector_of(
            posterior.sample(torch.randn_like(posterior.mean)), batch.condition
        )
        log_p = self._log_probabilities(
            tokens,
            batch.condition,
            vector,
            dropout_rate=self.dropout,
            word_dropout=self.word_dropout,
        )
        return log_p.sum(1) - posterior.divergence().clamp_min(self.free_bits).sum(1)

    def token_log_likelihood(
        self, tokens: Tensor, condition: TextCondition | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Log-probability (B, T), in nats, of each token (B, T); 0 in a prompt, after the end.

        Estimated without knowledge of z, from importance samples; the sum over a line is the
        importance-weighted bound of its log-probability, at any temperature. A single value is an
        estimate and no bound. See `line_encoder.token_shares`.
        """
        check_controls(temperature, 0, 1.0)
        posterior = self.encode_lines(tokens, condition)
        z, log_weights = importance_samples(posterior, tokens, self.importance_samples)
        vectors = (self._vector_of(own, condition) for own in z)
        log_p = [self._log_probabilities(tokens, condition, v, temperature) for v in vectors]
        return token_shares(log_weights, torch.stack(log_p), ~self._is_given(tokens, condition))

    def hidden_states(self, tokens: Tensor, condition: TextCondition | None = None) -> Tensor:
        """The state (B, T, F) of the backbone from which each token (B, T) is predicted.

        It is the state given the mean of the posterior, which has read the whole line. So a state
        is a feature of the line, and its prediction no likelihood.
        """
        vector = self._vector_of(self.encode_lines(tokens, condition).mean, condition)
        states: Tensor = self.backbone.forward_sequence(self._inputs(tokens, vector))
        return states

    def _vector_of(self, z: Tensor, condition: TextCondition | None) -> Tensor:
        """The vector (B, E) that is added to every input, given z (B, Z)."""
        own: Tensor = self.from_latent(z.to(self.from_latent.weight.dtype))
        return own + super()._line_vector(condition)

    def _line_vector(self, condition: TextCondition | None, latent: Any = None) -> Tensor:
        if latent is None:
            raise ValueError("latent must be the one that made the lines; got None")
        return self._vector_of(latent.z, condition)


def _check_arguments(
    latent_dim: int, free_bits: float, word_dropout: float, importance_samples: int
) -> None:
    """Raise ValueError for an argument out of range."""
    if latent_dim < 1:
        raise ValueError(f"latent_dim must be 1 or more; got {latent_dim}")
    if not 0 <= free_bits < float("inf"):
        raise ValueError(f"free_bits must be a finite number, 0 or more; got {free_bits}")
    if not 0 <= word_dropout < 1:
        raise ValueError(f"word_dropout must be from 0 to below 1; got {word_dropout}")
    if importance_samples < 2 or importance_samples % 2:
        raise ValueError(f"importance_samples must be even, 2 or more; got {importance_samples}")
