"""Sampling with the discriminator: candidates of a generator, kept by their density ratio.

The refined distribution is p_r(x) = p_g(x) exp(T(x)) / Z, where T is `scale` times the logit of a
refiner. Candidates are accepted as in rejection sampling, up to a number of them; where none is,
one of them is resampled with weights exp(T).
Source: Azadi et al. 2019 (discriminator rejection sampling); Rubin 1987 (importance resampling).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from multigan.core.protocols import Condition, Generator, Latent, Refiner
from multigan.core.serialization import component
from multigan.core.trees import tree_map

MAX_CANDIDATES = 16  # candidates of a sample
LOG_2 = math.log(2)  # the log loss of a refiner that knows nothing


@component
class DiscriminatorRefiner(nn.Module):
    """A discriminator as a refiner: the logit of a sample is the mean of its logits.

    Logits of weight 0 are left out.
    """

    learning_rate = 2e-4

    def __init__(self, discriminator: Any) -> None:
        super().__init__()
        self.discriminator = discriminator

    def observe(self, x: Tensor, condition: Condition = None) -> tuple[Tensor, Condition]:
        """Samples (B, ...) and their condition, as they are."""
        return x, condition

    def forward(self, observed: tuple[Tensor, Condition], generator: Generator) -> Tensor:
        """Logits (B,)."""
        found = self.discriminator(*observed)
        logits, weights = found if isinstance(found, tuple) else (found, torch.ones_like(found))
        total: Tensor = (logits * weights).flatten(1).sum(1) if logits.ndim > 1 else logits
        return total / weights.flatten(1).sum(1).clamp_min(1e-8) if logits.ndim > 1 else total


@dataclass(frozen=True)
class RefinementCard:
    """The description of a fitted refiner, next to its weights.

    scale: the factor of its logit
    log_bound: the largest scaled logit of generated samples, by which candidates are accepted
    log_loss: of the scaled logit less log Z on validation samples, in nats; LOG_2 without knowledge
    effective_sample_size: of the weights exp(T) of generated samples, as a fraction of their count
    epochs: passes over the training samples, of `epoch_samples` real and as many generated ones
    seed: of its training
    generator: the SHA-256 of the weight file of the generator
    """

    scale: float
    log_bound: float
    log_loss: float
    effective_sample_size: float
    epochs: int
    epoch_samples: int
    seed: int
    generator: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @staticmethod
    def from_json(values: Any) -> RefinementCard:
        """The inverse of `to_json`. Raises ValueError for anything else."""
        types = {"float": int | float, "int": int, "str": str}
        known = {item.name: types[str(item.type)] for item in fields(RefinementCard)}
        if not isinstance(values, dict) or values.keys() != known.keys():
            raise ValueError(f"the card of a refiner must have {', '.join(known)}")
        for name, value in values.items():
            is_finite = not isinstance(value, float) or math.isfinite(value)
            if not isinstance(value, known[name]) or isinstance(value, bool) or not is_finite:
                raise ValueError(f"the card of a refiner has a wrong {name}: {value!r}")
        return RefinementCard(**values)


class RefinedLatent(NamedTuple):
    """Latents of the candidates of each sample, and the quantiles that choose among them."""

    candidates: Latent  # leaves (B, candidates, ...)
    uniform: Tensor  # (B, candidates, 2) in [0, 1)


class RefinedGenerator(nn.Module):
    """A generator whose samples are chosen by a refiner, each among at most `candidates`.

    All randomness is in the latents, so a sample depends on its own latents alone. `count` and
    `num_kept` are the numbers of candidates and of samples so far.

    Raises ValueError unless `candidates` is positive.
    """

    def __init__(
        self,
        generator: Any,
        refiner: Refiner,
        card: RefinementCard,
        candidates: int = MAX_CANDIDATES,
    ) -> None:
        super().__init__()
        if candidates < 1:
            raise ValueError(f"candidates must be 1 or more for a sample; got {candidates}")
        self.generator, self.refiner, self.card = generator, refiner, card
        self.candidates = candidates
        self.count = self.num_kept = 0

    @property
    def candidates_per_sample(self) -> float:
        """The mean number of candidates of a sample so far."""
        return self.count / max(1, self.num_kept)

    def sample_latent(self, n: int, rng: torch.Generator) -> RefinedLatent:
        """Sample the latents of all candidates of `n` samples on the CPU."""
        latents = self.generator.sample_latent(n * self.candidates, rng)
        candidates = tree_map(lambda leaf: leaf.unflatten(0, (n, self.candidates)), latents)
        return RefinedLatent(candidates, torch.rand(n, self.candidates, 2, generator=rng))

    def forward(self, latent: RefinedLatent, condition: Condition = None) -> Tensor:
        """Latents and conditions -> samples (B, ...), hard."""
        return self._choose(self.generator, latent, condition)

    def generate(
        self, latent: RefinedLatent, condition: Condition = None, **controls: Any
    ) -> Tensor:
        """As `forward`, of a generator with compact samples."""
        return self._choose(partial(self.generator.generate, **controls), latent, condition)

    @torch.no_grad()
    def _choose(
        self, make: Callable[..., Tensor], latent: RefinedLatent, condition: Condition
    ) -> Tensor:
        """Draw candidates until one is accepted; meanwhile one of them is kept in proportion.

        The kept one is that of a weighted reservoir: after k candidates it is candidate i with
        probability exp(T_i) / sum exp(T).
        """
        n = len(latent.uniform)
        rows = torch.arange(n, device=latent.uniform.device)
        total = latent.uniform.new_full((n,), -math.inf)
        kept: Tensor | None = None
        for k in range(self.candidates):
            own = tree_map(lambda leaf, k=k, rows=rows: leaf[rows, k], latent.candidates)
            given = tree_map(lambda leaf, rows=rows: leaf[rows], condition)
            x = make(own, given)
            log_ratio = self._log_ratio(x, given).to(total)
            total[rows] = torch.logaddexp(total[rows], log_ratio)
            accept, replace = latent.uniform[rows, k].log().unbind(1)
            is_accepted = accept < log_ratio - self.card.log_bound
            is_kept = is_accepted | (replace < log_ratio - total[rows])
            kept = x.clone() if kept is None else kept
            kept[rows[is_kept]] = x[is_kept]
            self.count += len(rows)
            rows = rows[~is_accepted]
            if not len(rows):
                break
        assert kept is not None
        self.num_kept += n
        return kept

    def _log_ratio(self, x: Tensor, condition: Condition) -> Tensor:
        """T (B,)."""
        observed = self.refiner.observe(x, condition)
        return self.card.scale * self.refiner(observed, self.generator)
