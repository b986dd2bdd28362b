"""bf16 and compiled networks learn what plain float32 ones do; what may not differ does not."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from multigan.core.modules import in_float32
from multigan.core.recipe import Recipe
from multigan.engine.trainer import AdversarialTrainer
from tests.run_helpers import tiny_recipe
from tests.toy_domain import record_gradients

GAMES = {"no penalty": {}, "r1 and r2": {"r1": 0.3, "r2": 0.3}}
# Of a gradient's norm: 8 bits, through every layer and back; a hard choice of a note may turn over.
# The LSTM of text has no bf16 on CPUs without instructions for it.
OF_BF16 = {"image": 0.1, "points": 0.1, "music": 0.5}
OF_COMPILING = 1e-4
quietly = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's compiler


def recipe_of(domain: str, game: str) -> Recipe:
    """The domain's tiny recipe, without dropout and without a stage before the game."""
    recipe = tiny_recipe(domain, batch_size=8)
    for module in recipe.discriminator.modules():  # type: ignore[attr-defined]
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    changes = {"likelihood_steps": 0, "likelihood_weight": 0.0, "penalties": GAMES[game]}
    return replace(recipe, **changes)


def first_step(recipe: Recipe, **settings: object) -> tuple[dict[str, torch.Tensor], dict]:
    """The gradients of both networks in the first step, each as one vector, and its values."""
    networks = {k: copy.deepcopy(getattr(recipe, k)) for k in ("generator", "discriminator")}
    trainer = AdversarialTrainer(replace(recipe, **networks), seed=1, **settings)  # type: ignore
    recorded = record_gradients(trainer)
    values = next(iter(trainer.steps())).values
    flat = {
        name: torch.cat([gradient.flatten() for gradient in recorder.gradients[0].values()])
        for name, recorder in recorded.items()
    }
    return flat, dict(values)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """As a share of the wanted norm."""
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.filterwarnings("ignore:.*bfloat16.*:UserWarning")
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("domain", OF_BF16)
def test_bf16_learns_what_float32_does(domain, game):
    recipe = recipe_of(domain, game)
    plain, expected = first_step(recipe)
    found, values = first_step(recipe, precision="bf16")
    for name, gradient in plain.items():
        assert found[name].dtype == torch.float32
        assert distance(found[name], gradient) < OF_BF16[domain], name
    assert distance(found["generator"], plain["generator"]) > 0
    for name in GAMES[game]:
        torch.testing.assert_close(
            values[f"penalty/{name}"], expected[f"penalty/{name}"], rtol=OF_BF16[domain], atol=1e-4
        )
    if "r1" in GAMES[game]:  # at reals, which the generator has no part in
        assert torch.equal(values["penalty/r1"], expected["penalty/r1"])


JUDGES = [
    ("points", {}),
    ("image", {}),
    ("image", {"network": "r3gan", "resolution": 8}),
    ("music", {}),
    ("benchmarks/music_binarization", {}),
    ("text", {}),
    ("text", {"discriminator": "token"}),
    ("text", {"discriminator": "sequence"}),
]


def logits_of(recipe: Recipe, bf16: bool) -> torch.Tensor:
    """Of real samples, in one vector."""
    judge = copy.deepcopy(recipe.discriminator).eval()  # type: ignore[attr-defined]
    batch = recipe.data.batch(torch.arange(8), torch.Generator().manual_seed(0))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = judge(batch.x, batch.condition)
    return (found[0] if isinstance(found, tuple) else found).flatten()


@pytest.mark.filterwarnings("ignore:.*bfloat16.*:UserWarning")
@pytest.mark.parametrize(("name", "hyperparameters"), JUDGES)
def test_under_bf16_the_last_map_of_a_discriminator_works_in_float32(name, hyperparameters):
    recipe = tiny_recipe(name, **hyperparameters)
    logits, plain = (logits_of(recipe, bf16) for bf16 in (True, False))
    assert logits.dtype == torch.float32
    assert (logits.bfloat16().float() != logits).float().mean() > 0.5, "rounded at the end"
    assert 0 < distance(logits, plain) < OF_BF16["image"]


def test_the_way_to_logits_is_float32_or_wider():
    last = nn.Linear(3, 1)
    h = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = in_float32(last, h.bfloat16())
        assert torch.equal(in_float32(last, h), last(h)) is False
    assert torch.equal(found, last(h.bfloat16().float()))
    assert in_float32(last.double(), h.double()).dtype == torch.float64


@quietly
@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("domain", ["image", "points"])
def test_compiled_networks_learn_what_plain_ones_do(domain, game, monkeypatch):
    recipe = recipe_of(domain, game)
    plain, expected = first_step(recipe)
    compiled: list[str] = []

    def compiling(network: nn.Module, real=torch.compile) -> object:
        compiled.append(type(network).__name__)
        return real(
            network, backend="aot_eager"
        )  # without the compiler of C++, which takes minutes

    monkeypatch.setattr(torch, "compile", compiling)
    found, values = first_step(recipe, compile=True)
    assert len(compiled) == 2
    for name, gradient in plain.items():
        assert distance(found[name], gradient) < OF_COMPILING, name
    for name in GAMES[game]:
        torch.testing.assert_close(values[f"penalty/{name}"], expected[f"penalty/{name}"])


@quietly
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # inductor's own
@pytest.mark.slow
@pytest.mark.parametrize("game", GAMES)
def test_the_compiler_of_choice_learns_what_plain_networks_do(game):
    recipe = recipe_of("points", game)
    plain, found = first_step(recipe)[0], first_step(recipe, compile=True)[0]
    assert all(distance(found[name], plain[name]) < OF_COMPILING for name in plain)
