"""The diagnoses of a training that is run without a run directory."""

from __future__ import annotations

from multigan.core.recipe import Recipe
from multigan.engine.monitoring import TrainingMonitor
from multigan.engine.neighbors import neighbor_metrics
from multigan.engine.trainer import AdversarialTrainer
from multigan.training.metric_logging import MetricAverager

LOG_INTERVAL, CHECKPOINTS = 10, 10  # steps between log lines; checkpoints of a whole run


def diagnoses(recipe: Recipe, steps: int, horizon: int) -> dict[str, str]:
    """All diagnoses of the first `steps` adversarial steps, by name."""
    trainer, meter = AdversarialTrainer(recipe, schedule_steps=horizon), MetricAverager()
    monitor, found = TrainingMonitor(trainer.recipe, horizon), {}
    held_out = recipe.data.split("valid")
    for step in trainer.steps():
        if trainer.number == 0:
            continue  # pretraining
        meter.add(step.values)
        if trainer.number % LOG_INTERVAL == 0:
            values = {key: value.item() for key, value in trainer.diversity_metrics().items()}
            found |= monitor.read(trainer.number, meter.read() | values)
        if trainer.number % (horizon // CHECKPOINTS) == 0:
            networks = (trainer.ema.module, trainer.discriminator)
            neighbors = neighbor_metrics(*networks, recipe.data, held_out, 0, trainer.number)
            found |= monitor.read_checkpoint(trainer.number, neighbors, None)
        if trainer.number == steps:
            break
    return found
