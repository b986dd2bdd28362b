"""The lines at the start of a training: data, networks, run, and the numbers that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from multigan.core.adapters import unwrapped
from multigan.core.protocols import HasClassNames
from multigan.core.wrapping import labeled
from multigan.engine.trainer import AdversarialTrainer
from multigan.runs.schedules import group_of, in_order, movement


def describe_training(
    trainer: AdversarialTrainer, path: Path, config: Mapping[str, Any], first_step: int
) -> str:
    """Return data, networks, run and numbers of a training, in lines of at most 80 characters."""
    data = trainer.recipe.data
    names: tuple[str, ...] = ()
    if isinstance(data.domain, HasClassNames):
        names = data.domain.class_names
    classes = f", {len(names)} classes" if names else ""
    source = config.get("hyperparameters", {}).get("data", type(data).__name__)
    sizes = [
        f"{type(unwrapped(network)).__name__} {sum(p.numel() for p in network.parameters()):,}"
        for network in (trainer.generator, trainer.discriminator)
    ]
    n = torch.get_num_threads()
    threads = f", {n} thread{'s' * (n > 1)}" if trainer.device.type == "cpu" else ""
    done = f" from step {first_step:,}" if first_step else ""
    lines = {
        "data": f"{source}: {len(data):,} training samples{classes}",
        "networks": f"{' and '.join(sizes)} parameters, on {trainer.device}{threads}",
        "run": f"{path}: {trainer.total_steps:,} steps of {trainer.recipe.batch_size}{done}",
        "numbers": describe_schedules(config),
    }
    return "\n".join(labeled(name, text) for name, text in lines.items() if text)


def describe_schedules(config: Mapping[str, Any]) -> str:
    """Return the numbers that a run uses, as "gamma 0.3 -> 0.03, adam/beta1 0, ...".

    `config` is that of the run; numbers of one group that are equal are named together.
    """
    ends = config.get("schedules", {})
    groups: dict[str, dict[str, str]] = {}
    for name in in_order(ends):
        groups.setdefault(group_of(name), {})[name] = movement(*ends[name])
    parts = []
    for group, texts in groups.items():
        if len(texts) > 1 and len(set(texts.values())) == 1:
            parts.append(f"{group} {next(iter(texts.values()))}")
        else:
            parts += [f"{name} {text}" for name, text in texts.items()]
    recipe = config["recipe"]
    burn_in = recipe.get("burn_in", 0)
    burned = [f"burn-in over the first {burn_in:.3g} of the run"] if burn_in else []
    rates = [recipe.get(f"{name}_lr") for name in ("generator", "discriminator", "likelihood")]
    warmup = max((r["schedule"].get("warmup", 0) for r in rates if isinstance(r, dict)), default=0)
    warmed = [f"learning rates rise over the first {warmup:.3g} of the run"] if warmup else []
    penalties = recipe.get("penalties", {}).values()
    automatic = any(isinstance(gamma, dict) and "auto_gamma" in gamma for gamma in penalties)
    moved = ["gamma auto: it follows the loss of the discriminator"] if automatic else []
    return ", ".join([*parts, *burned, *warmed, *moved])
