"""Own losses, terms, penalties and optimizers of a recipe, compared with hand-written steps."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from multigan import AdversarialLoss, ArrayDataset, Recipe, Schedule, Term, train
from multigan.core.recipe import recipe_to_json
from multigan.engine.losses import LOSSES
from multigan.engine.trainer import AdversarialTrainer
from tests.run_helpers import OFTEN, lines_of, train_tiny
from tests.toy_domain import draw_weights

X = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
CHANGED = ("losses", "penalties", "loss", "optimizer")


def recipe(**changes):
    g, d = nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    draw_weights(g, "g")
    draw_weights(d, "d")
    given = {"data": ArrayDataset(X), "generator": g, "discriminator": d, "latent_dim": 3}
    given |= {"steps": 2, "batch_size": 8, "loss": "nonsaturating", "generator_lr": 0.1}
    return Recipe(**(given | changes))


def trained(**changes):
    made = recipe(**changes)
    steps = list(AdversarialTrainer(made).steps())
    return made, [{k: float(v) for k, v in step.values.items()} for step in steps]


def same_weights(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_function_is_a_loss_of_both_networks():
    def loss(real, fake):
        return softplus(-real) + softplus(fake), softplus(-fake)

    expected = trained()[0]
    as_tuple = AdversarialLoss(*LOSSES["nonsaturating"][:2])
    for own in (loss, as_tuple, lambda r, f: tuple(v.mean() for v in loss(r, f))):
        made = trained(loss=own)[0]
        for name in ("generator", "discriminator"):
            pairs = zip(
                getattr(made, name).parameters(), getattr(expected, name).parameters(), strict=True
            )
            assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_a_term_is_added_with_its_weight_and_logged_under_its_name():
    lines = trained(losses={"size": Term(lambda step: step.fake.square(), weight=3.0)})[1]
    for line in lines:
        total = line["loss/generator_adversarial"] + 3 * line["loss/size"]
        assert line["loss/generator"] == pytest.approx(total, rel=1e-5)
        assert line["weight/size"] == 3 and line["loss/size"] > 0
    plain = trained()[1]
    assert lines[0]["loss/generator_adversarial"] == plain[0]["loss/generator"]
    assert "loss/size" not in plain[0]


def test_a_term_moves_the_network_it_belongs_to_and_never_the_other():
    def both(step):
        return step.discriminator(step.generator(step.latent)).square()

    nothing = Term(lambda step: 0 * step.fake.sum())
    for network in ("generator", "discriminator"):
        made = {}
        for name, term in {"own": Term(both, 1.0, network), "plain": nothing}.items():
            made[name] = trained(steps=1, losses={"t": term})[0]
        other = {"generator": "discriminator", "discriminator": "generator"}[network]
        assert not same_weights(getattr(made["own"], network), getattr(made["plain"], network))
        if network == "generator":  # the discriminator is updated first
            assert same_weights(getattr(made["own"], other), getattr(made["plain"], other))


def test_a_term_is_given_the_latents_that_made_the_fakes():
    seen = []

    def note(step):
        seen.append(torch.equal(step.generator(step.latent), step.fake))
        assert step.real.shape == step.fake.shape and 0 <= step.progress <= 1
        return step.fake.sum() * 0

    trained(losses={"g": note, "d": Term(note, 1.0, "discriminator")}, discriminator_steps=2)
    assert seen == [True] * 6


def test_a_penalty_may_be_a_function():
    def r1(step):
        x = step.real.clone().requires_grad_()
        (slope,) = torch.autograd.grad(step.discriminator(x).sum(), x, create_graph=True)
        return slope.square().sum(1) / 2

    own, lines = trained(penalties={"mine": Term(r1, 0.5, "discriminator")})
    built_in, expected = trained(penalties={"r1": 0.5})
    assert lines[1]["loss/mine"] == pytest.approx(expected[1]["penalty/r1"], rel=1e-5)
    pairs = zip(own.discriminator.parameters(), built_in.discriminator.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_a_schedule_moves_the_weight_of_a_term():
    lines = trained(losses={"t": Term(lambda s: s.fake.sum(), Schedule(1.0, 0.0, shape="linear"))})[
        1
    ]
    assert [line["weight/t"] for line in lines] == [1.0, 0.0]


def test_an_optimizer_keeps_its_own_learning_rate():
    made, lines = trained(
        generator_lr=2e-4, optimizer=lambda params: torch.optim.SGD(params, lr=0.5)
    )
    trainer = AdversarialTrainer(recipe(generator_lr=2e-4, optimizer=torch.optim.SGD))
    assert {type(o) for o in trainer.optimizers.values()} == {torch.optim.SGD}
    assert [line["lr/generator"] for line in lines] == [0.5, 0.5] and "adam/beta1" not in lines[0]
    plain = recipe()
    assert not same_weights(made.generator, plain.generator)


def test_an_optimizer_of_one_network_leaves_the_other_its_numbers():
    lines = trained(
        optimizer={"discriminator": lambda params: torch.optim.SGD(params, lr=0.5)},
        generator_lr=Schedule(0.1, 0.0),
    )[1]
    assert [line["lr/generator"] for line in lines] == [0.1, 0.0]
    assert [line["lr/discriminator"] for line in lines] == [0.5, 0.5]
    assert lines[0]["adam/beta2"] == 0.99


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"loss": "hinges"}, "loss must be one of .* a function of the logits .* got 'hinges'"),
        ({"loss": lambda r, f: r}, "loss must return two values"),
        ({"losses": {"generator": lambda s: s.fake}}, "must not be 'generator': it is a key"),
        ({"losses": {"t": 3.0}}, "the term t must be a function or a Term of one; got a float"),
        (
            {"losses": {"t": Term(lambda s: s.fake, 1.0, "d")}},
            "generator or discriminator; got 'd'",
        ),
        ({"losses": {"t": Term(lambda s: s.fake, -1.0)}}, "weight of the term t must be"),
        ({"losses": {"t": lambda s: 1.0}}, "the term t must return a tensor; got a float"),
        (
            {"optimizer": lambda p: None, "generator_lr": 2e-4},
            "return a torch optimizer of the gen",
        ),
        ({"optimizer": lambda: None, "generator_lr": 2e-4}, "must be a function of the parameters"),
        ({"optimizer": torch.optim.SGD}, "generator_lr must be set by the optimizer .*; got 0.1"),
        ({"optimizer": {"g": torch.optim.SGD}}, "optimizer must be of generator or discriminator"),
    ],
)
def test_what_is_wrong_is_one_sentence(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        trained(**changes)
    assert "\n" not in str(caught.value)


def test_a_recipe_of_functions_resumes_bit_by_bit(tmp_path):
    def parts(steps):
        return recipe(
            steps=steps,
            generator_lr=2e-4,
            loss=lambda r, f: (softplus(f - r), softplus(r - f)),
            losses={"size": Term(lambda s: s.fake.square(), 0.1)},
            optimizer=lambda params: torch.optim.RMSprop(params, lr=0.01),
        )

    options = OFTEN | {"show": 0}
    with pytest.warns(UserWarning, match="not measured"):
        whole = train(parts(6), out=str(tmp_path / "a"), **options)
        train(parts(3), out=str(tmp_path / "b"), **options)
        rest = train(parts(6), out=str(tmp_path / "b"), resume=True, **options)
    assert same_weights(whole.recipe.generator, rest.recipe.generator)
    assert lines_of(whole.path / "log.jsonl")[3:] == lines_of(rest.path / "log.jsonl")[3:]
    stored = json.loads((whole.path / "recipe.json").read_text())["recipe"]
    assert {name: stored[name] for name in CHANGED} == json.loads(
        json.dumps(
            {k: v for k, v in recipe_to_json(parts(6), of_caller=True).items() if k in CHANGED}
        )
    )


FILE = '''
from multigan.core.recipe import Recipe, Term
from multigan.points.dataset import GaussianMixture
from multigan.points.models import MLPDiscriminator, MLPGenerator

def size(step):
    return step.fake.square()

def recipe(*, steps: int = 4) -> Recipe:
    """Points."""
    return Recipe(
        data=GaussianMixture("ring", 100), generator=MLPGenerator(width=4),
        discriminator=MLPDiscriminator(4), steps=steps, batch_size=8,
        losses={"size": Term(size, 0.5)},
    )
'''


def test_functions_at_the_top_of_a_recipe_file_survive_its_run(tmp_path):
    from multigan.core.recipe_file import last_recipe_module
    from multigan.training.launch import resume

    (tmp_path / "own.py").write_text(FILE)
    with pytest.warns(UserWarning, match="--trust-recipe"):
        run = train_tiny(tmp_path / "own.py", tmp_path / "run", steps=4)
    stored = json.loads((run.path / "recipe.json").read_text())["recipe"]["losses"]
    assert stored["size"]["term"]["function"] == {"function": "recipe/size"}
    with pytest.raises(ValueError, match="recipe/size is defined in a recipe file; pass that file"):
        resume(run.path, steps=6)
    assert resume(run.path, steps=6, trust=last_recipe_module(), show=0).step == 6


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_an_error_of_a_term_names_the_term(network):
    with pytest.raises(ValueError, match="the term own must be a function") as e:
        trained(losses={"own": Term(lambda step: step.fakes.mean(), 1.0, network)})
    assert "has no attribute 'fakes'" in str(e.value) and "\n" not in str(e.value)
