"""The use that a generator of lines makes of a latent of the whole line.

A latent that lines do not depend on is a posterior collapse: the posterior is the prior, and all
lines have the same one.
Source: Bowman et al. 2016 (the collapse); Burda et al. 2016, section 5.2 (active entries).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from multigan.core.compact_samples import SupportsCompactBatches
from multigan.core.evaluation_size import evaluation_size
from multigan.core.modules import device_of, eval_mode
from multigan.core.protocols import SAMPLING_BATCH_SIZE, Generator
from multigan.core.trees import tree_map
from multigan.text.models.line_encoder import Posterior
from multigan.text.spec import SupportsLineEncoding

MAX_LINES = 2000  # held-out lines that are encoded
MAX_PAIRS = 256  # samples of which each has two latents
ACTIVE_VARIANCE = 0.01  # over lines, of the posterior mean of an active entry
MIN_KL, MIN_ACTIVE = 0.1, 1  # nats a line, entries; below either one the latent is ignored
COLLAPSED = "the latent is ignored (posterior collapse)"


def latent_use(generator: Generator, data: Any, rng: torch.Generator) -> dict[str, float]:
    """Measure the latent of a generator on the lines of a split; empty without such a latent.

    `latent_kl` is the mean divergence of the posterior from the prior, in nats a line,
    `latent_active` the number of entries whose posterior mean has a variance above ACTIVE_VARIANCE
    over lines, `latent_changed` the fraction of the tokens of samples that differ under another z
    with the same quantiles.
    """
    if not isinstance(generator, SupportsLineEncoding):
        return {}
    with eval_mode(generator), torch.no_grad():
        posterior = _encode(generator, data)
        changed = _changed_fraction(generator, data, rng)
    return {
        "latent_kl": float(posterior.divergence().sum(1).mean()),
        "latent_active": float((posterior.mean.var(0) > ACTIVE_VARIANCE).sum()),
        "latent_changed": changed,
    }


def describe_latent_use(row: Mapping[str, float]) -> tuple[str, ...]:
    """The note of a row with the figures of `latent_use`; () without them."""
    if "latent_kl" not in row:
        return ()
    is_ignored = row["latent_kl"] < MIN_KL or row["latent_active"] < MIN_ACTIVE
    note = (
        f"latent_kl: {row['latent_kl']:.2f} nats a held-out line from its latent, with "
        f"{row['latent_active']:.0f} active entries; latent_changed: {row['latent_changed']:.0%} "
        "of the tokens of samples change with it; nll is an upper bound, as the latent is not known"
    )
    return (f"{COLLAPSED}; {note}" if is_ignored else note,)


def _encode(generator: SupportsLineEncoding, data: Any) -> Posterior:
    """The posterior of evenly spaced lines of a split."""
    lines = data.compact() if isinstance(data, SupportsCompactBatches) else data
    count = min(len(data), evaluation_size(MAX_LINES))
    found = []
    for indices in torch.linspace(0, len(data) - 1, count).long().split(SAMPLING_BATCH_SIZE):
        batch = tree_map(lambda leaf: leaf.to(device_of(generator)), lines.batch(indices))
        tokens = batch.x.argmax(-1) if batch.x.is_floating_point() else batch.x
        found.append(generator.encode_lines(tokens, batch.condition))
    means, log_variances = zip(*found, strict=True)
    return Posterior(torch.cat(means).double().cpu(), torch.cat(log_variances).double().cpu())


def _changed_fraction(generator: Any, data: Any, rng: torch.Generator) -> float:
    """The fraction of positions of samples at which another latent leads to another token.

    The conditions are those of lines of the split. Positions after the end of both lines do not
    count.
    """
    count = min(len(data), evaluation_size(MAX_PAIRS))
    lines = data.compact() if isinstance(data, SupportsCompactBatches) else data
    pad = data.domain.special_ids.pad
    changed = total = 0
    for indices in torch.randint(len(data), (count,), generator=rng).split(SAMPLING_BATCH_SIZE):
        a, b = (generator.sample_latent(len(indices), rng) for _ in range(2))
        pairs = a, generator.interpolate(a, b, 1.0), lines.batch(indices).condition
        one, other, condition = (
            tree_map(lambda leaf: leaf.to(device_of(generator)), tree) for tree in pairs
        )
        first, second = (generator.generate(latent, condition) for latent in (one, other))
        there: Tensor = (first != pad) | (second != pad)
        changed += int((first != second).sum())
        total += int(there.sum())
    return changed / max(1, total)
