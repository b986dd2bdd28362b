"""The default recipe of every domain raises no verdict."""

import pytest

from multigan.engine.health import Health
from multigan.engine.trainer import AdversarialTrainer
from multigan.run.meter import Meter
from tests.runs import DOMAINS, tiny_recipe

STEPS, EVERY = 300, 10  # of the game


@pytest.mark.slow
@pytest.mark.parametrize("name", DOMAINS)
def test_a_default_recipe_is_called_healthy(name):
    trainer, meter = AdversarialTrainer(tiny_recipe(name, steps=STEPS)), Meter()
    patient = Health(trainer.recipe)
    for step in trainer.steps():
        meter.add(step.values)
        if step.number % EVERY == 0:
            look = {key: value.item() for key, value in trainer.look().items()}
            assert patient.read(trainer.number, meter.read() | look) == {}
