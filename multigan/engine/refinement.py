"""Fitting of a refiner to a trained generator, and the measurement of what it gains.

The refiner learns to tell real samples from generated ones by the logistic loss, with new samples
of the generator in every epoch. It is stopped by its loss on validation samples, and its logit is
scaled by one number that maximizes the gain there. The gain of the refined distribution over the
generator, in nats a sample, is E_real[T] - log Z with Z = E_generated[exp T]: a lower bound of the
divergence between them.
Source: Azadi et al. 2019; Donsker and Varadhan 1983; Deng et al. 2020 (residual energy models).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from multigan.core.compact_samples import SupportsCompactSamples
from multigan.core.fitting import seeded_global_rng
from multigan.core.modules import eval_mode
from multigan.core.protocols import Batch, Condition, Dataset, Generator, Refiner
from multigan.core.refinement import MAX_CANDIDATES, RefinementCard
from multigan.core.rng import keyed_rng
from multigan.core.trees import tree_cat, tree_map
from multigan.engine.batches import BatchStream, compacted

DEFAULT_EPOCHS = 12
MAX_SCALE = 10.0  # of the logit
UNTRAINED_SCALE = 1.0  # at most, of a discriminator as it is: its logit should be the log-ratio
SCALE_STEPS = 60  # of the search for it
NUM_BOOTSTRAP = 1000
INTERVAL = (0.025, 0.975)  # quantiles


@dataclass(frozen=True)
class RefinementSettings:
    """Settings of `fit_refiner`. Raises ValueError for numbers not positive; `epochs` may be 0.

    epochs: at most; 0: only the scale is fitted; None: DEFAULT_EPOCHS, in `refine` the domain's
    epoch_samples: real samples of an epoch, and as many generated ones; at most all
    batch_size: real samples of an update
    patience: epochs without a better validation loss before it stops
    validation_samples: generated samples, and at most as many real ones
    learning_rate: of AdamW; None is that of the refiner
    """

    epochs: int | None = None
    epoch_samples: int = 10_000
    batch_size: int = 64
    patience: int = 3
    validation_samples: int = 2000
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is None or (name == "epochs" and value == 0):
                continue
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be a positive number; got {value}")


class Epoch(NamedTuple):
    """Validation loss after an epoch; epoch 0 is before the first."""

    number: int
    log_loss: float


class FakeSamples:
    """Generated samples as a refiner reads them: functions of (seed, purpose, batch)."""

    def __init__(self, generator: Generator, refiner: Refiner, device: torch.device) -> None:
        self.generator, self.refiner, self.device = generator, refiner, device
        self._make: Callable[..., Tensor] = generator
        if isinstance(generator, SupportsCompactSamples):
            self._make = generator.generate

    @torch.no_grad()
    def observe(self, n: int, condition: Condition, *key: int | str) -> Any:
        """Observe `n` generated samples under a condition on the device."""
        latent = self.generator.sample_latent(n, keyed_rng(*key))
        with eval_mode(self.generator):
            x = self._make(tree_map(lambda leaf: leaf.to(self.device), latent), condition)
        return self.refiner.observe(x, condition)


def fit_refiner(
    refiner: Any,
    generator: Any,
    data: Dataset,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    settings: RefinementSettings | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> RefinementCard:
    """Train a refiner in place on the training split `data`, and calibrate it on "valid".

    It ends with the weights of the best validation loss, which may be those it came with. Raises
    ValueError for an empty validation split.
    """
    settings, device, data = settings or RefinementSettings(), torch.device(device), compacted(data)
    refiner.to(device), generator.to(device)
    fakes = FakeSamples(generator, refiner, device)
    held_out = compacted(data.split("valid"))
    observed = list(_observe_both(refiner, fakes, held_out, settings, seed, "valid"))
    validation = [part for real, _ in observed for part in real], [fake for _, fake in observed]
    best = Epoch(0, log_loss(refiner, generator, *validation))
    weights = copy.deepcopy(refiner.state_dict())
    on_epoch(best)
    lr = settings.learning_rate or refiner.learning_rate
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=lr, betas=(0.9, 0.99))
    number = 0
    for number, batches in enumerate(_epochs(refiner, fakes, data, settings, seed), 1):
        with seeded_global_rng(keyed_rng(seed, "refiner dropout", number), device):
            refiner.train()
            for both in batches:
                optimizer.zero_grad(set_to_none=True)
                _log_loss(refiner(both, generator)).backward()
                torch.nn.utils.clip_grad_norm_(refiner.parameters(), 5.0)
                optimizer.step()
        epoch = Epoch(number, log_loss(refiner, generator, *validation))
        on_epoch(epoch)
        if epoch.log_loss < best.log_loss:
            best, weights = epoch, copy.deepcopy(refiner.state_dict())
        if number - best.number >= settings.patience:
            break
    refiner.load_state_dict(weights)
    refiner.eval().requires_grad_(False)
    return _calibrate(refiner, generator, validation, best, settings, seed)


def _epochs(
    refiner: Refiner, fakes: FakeSamples, data: Dataset, settings: RefinementSettings, seed: int
) -> Iterator[Iterator[Any]]:
    """Observations of as many real as generated samples, for the updates of each epoch."""
    size = min(settings.batch_size, len(data))
    updates = max(1, min(settings.epoch_samples, len(data)) // size)
    own_seed = keyed_rng(seed, "refiner").initial_seed()
    stream = BatchStream(data, seed=own_seed, batch_size=size, device=fakes.device)
    reals = stream.batches()

    def batches(epoch: int) -> Iterator[Any]:
        for k in range(updates):
            real = next(reals)
            number = (epoch - 1) * updates + k
            fake = fakes.observe(size, real.condition, seed, "refiner latent", number)
            both = tree_cat([refiner.observe(real.x, real.condition), fake])
            yield both

    epochs = DEFAULT_EPOCHS if settings.epochs is None else settings.epochs
    for epoch in range(1, epochs + 1):
        yield batches(epoch)


def _log_loss(logits: Tensor) -> Tensor:
    """The logistic loss of logits whose first half is of real samples."""
    real, fake = logits.chunk(2)
    return (softplus(-real).mean() + softplus(fake).mean()) / 2


def _observe_both(
    refiner: Refiner,
    fakes: FakeSamples,
    data: Dataset,
    settings: RefinementSettings,
    seed: int,
    purpose: str,
) -> Iterator[tuple[list[Any], Any]]:
    """Observe held-out samples, and generated ones under their conditions, batch by batch.

    The first of a pair is empty when all real samples have come. Raises ValueError for a split
    without samples.
    """
    if len(data) == 0:
        raise ValueError("refinement must have held-out samples; got an empty split")
    count = settings.validation_samples
    for number, start in enumerate(range(0, count, settings.batch_size)):
        indices = torch.arange(start, min(start + settings.batch_size, count))
        batch = _batch(data, indices % len(data), seed, fakes.device)
        fresh = int((indices < len(data)).sum())
        part = tree_map(lambda leaf, fresh=fresh: leaf[:fresh], batch)
        real = [refiner.observe(part.x, part.condition)] if fresh else []
        key = (seed, "refiner", purpose, number)
        yield real, fakes.observe(len(indices), batch.condition, *key)


def _batch(data: Dataset, indices: Tensor, seed: int, device: torch.device) -> Batch:
    """Held-out samples on the device; a stochastic dataset is asked for one at a time."""
    if not data.is_stochastic:
        batch = data.batch(indices)
    else:
        rngs = (keyed_rng(seed, "held out", int(k)) for k in indices)
        parts = [data.batch(k[None], rng) for k, rng in zip(indices, rngs, strict=True)]
        batch = tree_cat(parts)
    found: Batch = tree_map(lambda leaf: leaf.to(device), batch)
    return found


@torch.no_grad()
def score(refiner: Refiner, generator: Generator, batches: list[Any]) -> Tensor:
    """Logits (N,) float64 of what was read of samples, in eval mode, on the CPU."""
    with eval_mode(refiner, generator):
        logits = [refiner(observed, generator).double().cpu() for observed in batches]
        return torch.cat(logits) if logits else torch.zeros(0, dtype=torch.float64)


def log_loss(refiner: Refiner, generator: Generator, real: list[Any], fake: list[Any]) -> float:
    """The logistic loss in nats, real and generated samples in equal parts."""
    real_logits, fake_logits = (score(refiner, generator, side) for side in (real, fake))
    return float(softplus(-real_logits).mean() + softplus(fake_logits).mean()) / 2


def _calibrate(
    refiner: Refiner,
    generator: Generator,
    validation: tuple[list[Any], list[Any]],
    best: Epoch,
    settings: RefinementSettings,
    seed: int,
) -> RefinementCard:
    """The scale of the largest gain, and the weights of generated samples at that scale."""
    real, fake = (score(refiner, generator, side) for side in validation)
    scale = best_scale(real, fake, MAX_SCALE if best.number else UNTRAINED_SCALE)
    return RefinementCard(
        scale=scale,
        log_bound=float((scale * fake).max()),
        log_loss=calibrated_log_loss(scale * real, scale * fake),
        effective_sample_size=effective_sample_size(scale * fake),
        epochs=best.number,
        epoch_samples=settings.epoch_samples,
        seed=seed,
    )


def log_mean_exp(values: Tensor) -> float:
    """The logarithm of the mean of exp(values)."""
    return float(values.logsumexp(0)) - math.log(len(values))


def calibrated_log_loss(real: Tensor, fake: Tensor) -> float:
    """The logistic loss of log-ratios less log Z, by which the ratio has the mean 1."""
    log_z = log_mean_exp(fake)
    return float(softplus(log_z - real).mean() + softplus(fake - log_z).mean()) / 2


def best_scale(real: Tensor, fake: Tensor, limit: float = MAX_SCALE) -> float:
    """The scale of the largest gain from 0 to `largest_scale`, by golden section: it is concave."""

    def gain(scale: float) -> float:
        return scale * float(real.mean()) - log_mean_exp(scale * fake)

    low, high, ratio = 0.0, largest_scale(fake, limit), (math.sqrt(5) - 1) / 2
    for _ in range(SCALE_STEPS):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if gain(a) >= gain(b) else (a, high)
    found = (low + high) / 2
    return found if gain(found) > 0 else 0.0


def largest_scale(fake: Tensor, limit: float) -> float:
    """The largest scale, at most `limit`, at which MAX_CANDIDATES hold one effective sample.

    With fewer, a sample would be the candidate of the largest logit, whatever the scale is. The
    effective sample size falls with the scale.
    """
    low, high = 0.0, limit
    for _ in range(SCALE_STEPS):
        scale = (low + high) / 2
        is_followed = effective_sample_size(scale * fake) * MAX_CANDIDATES >= 1
        low, high = (scale, high) if is_followed else (low, scale)
    return (low + high) / 2


def effective_sample_size(log_weights: Tensor) -> float:
    """(sum w)^2 / (N sum w^2): 1 for equal weights."""
    spread = 2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)
    return float(spread.exp()) / len(log_weights)


@dataclass(frozen=True)
class Gain:
    """The gain of a refined distribution over its generator on a held-out split.

    nats: E_real[T] - log Z, a sample
    interval: of 95 %, by a bootstrap over real and generated samples
    log_z: the logarithm of the mean weight of the generated samples
    log_z_bias: what that lacks of the true one, about
    effective_sample_size: of the weights, as a fraction
    log_loss: of the log-ratios less log Z
    num_real, num_fake: sample counts
    """

    nats: float
    interval: tuple[float, float]
    log_z: float
    log_z_bias: float
    effective_sample_size: float
    log_loss: float
    num_real: int
    num_fake: int


def measure_gain(
    refiner: Refiner,
    card: RefinementCard,
    generator: Generator,
    data: Dataset,
    *,
    seed: int = 0,
    num_fake: int = 10_000,
    device: str | torch.device = "cpu",
) -> Gain:
    """Measure the gain on a held-out split that the refiner has not seen.

    Raises ValueError for an empty split.
    """
    fakes = FakeSamples(generator, refiner, torch.device(device))
    settings = RefinementSettings(validation_samples=num_fake)
    observed = _observe_both(refiner, fakes, compacted(data), settings, seed, "gain")
    scored = [[score(refiner, generator, side) for side in (r, [f])] for r, f in observed]
    real, fake = (torch.cat(side) for side in zip(*scored, strict=True))
    return gain_of(card.scale * real, card.scale * fake, keyed_rng(seed, "bootstrap"))


def gain_of(real: Tensor, fake: Tensor, rng: torch.Generator) -> Gain:
    """The gain of log-ratios (N,) of real and (M,) of generated samples."""
    weights = (fake - fake.max()).exp()
    bias = float(weights.var()) / (2 * len(fake) * float(weights.mean()) ** 2)
    gains = torch.zeros(NUM_BOOTSTRAP, dtype=torch.float64)
    for k in range(NUM_BOOTSTRAP):
        chosen = torch.randint(len(real), (len(real),), generator=rng)
        made = torch.randint(len(fake), (len(fake),), generator=rng)
        gains[k] = real[chosen].mean() - (weights[made].mean().log() + fake.max())
    low, high = gains.quantile(torch.tensor(INTERVAL, dtype=torch.float64)).tolist()
    log_z = log_mean_exp(fake)
    size = effective_sample_size(fake)
    nats = float(real.mean()) - log_z
    loss = calibrated_log_loss(real, fake)
    return Gain(nats, (low, high), log_z, bias, size, loss, len(real), len(fake))
