"""Losses of the caller: their logits are (B, L) everywhere, and errors are one sentence."""

import pytest
import torch
from torch.nn.functional import softplus

from multigan import AdversarialLoss
from multigan.engine.losses import check_loss, loss_at_chance
from multigan.engine.monitoring import TrainingMonitor
from multigan.engine.objective import Objective
from multigan.engine.trainer import AdversarialTrainer
from tests.toy_domain import IdentityDiscriminator, toy_recipe

HALVED = {  # the same loss: of every logit, of every sample, as a number
    "logits": lambda value: value,
    "samples": lambda value: value.mean(1),
    "number": lambda value: value.mean(),
}


def of_pairs(reduce):
    """Relativistic losses, with logits that are indexed by sample and place."""
    return (
        lambda real, fake: reduce(softplus(fake[:, :] - real[:, :])),
        lambda real, fake: reduce(softplus(real[:, :] - fake[:, :])),
    )


@pytest.mark.parametrize("kind", ["function", "AdversarialLoss"])
@pytest.mark.parametrize("reduced", HALVED)
def test_a_loss_may_be_of_logits_of_samples_or_a_number(kind, reduced):
    d, g = of_pairs(HALVED[reduced])
    own = AdversarialLoss(d, g, True) if kind == "AdversarialLoss" else (lambda *r: (d(*r), g(*r)))
    logits = torch.linspace(-1, 1, 12).reshape(4, 3)
    found = []
    for loss in ("relativistic", own):
        objective = Objective(IdentityDiscriminator(), loss, {})
        one = objective.discriminator_loss(logits, logits.flip(0) / 2, None, {}, torch.Generator())
        two = objective.generator_loss(logits, logits.flip(0) / 2, None, torch.Generator())
        found.append([float(one["loss/discriminator"]), float(two["loss/generator"])])
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    assert loss_at_chance(own) == pytest.approx(loss_at_chance("relativistic"))
    recipe = toy_recipe(loss=own, steps=1)
    TrainingMonitor(recipe)
    assert len(list(AdversarialTrainer(recipe).steps())) == 1


def test_a_loss_that_equal_logits_leave_undefined_has_no_value_at_chance():
    assert loss_at_chance(lambda r, f: ((f - r) / (r - f).std(), f / f.std())) == 0


WRONG = {
    "one argument": (lambda real: real, "got: too many positional arguments"),
    "numbers": (lambda r, f: (1.0, 2.0), "got a float as that of the discriminator"),
    "one value": (lambda r, f: f, "loss must return two values"),
    "no graph": (lambda r, f: (f, f.detach()), "without a gradient as that of the generator"),
    "three arguments": (lambda r, f, y: (f, f), "got: missing a required argument: 'y'"),
    "of one side": (AdversarialLoss(lambda r, f: f - r, lambda f: f), "got: .*positional"),
    "a list": (["hinge"], "loss must be one of"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_loss_that_cannot_be_used_is_refused_before_training(case):
    loss, message = WRONG[case]
    with pytest.raises(ValueError, match=message) as caught:
        check_loss(loss)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="loss must"):
        AdversarialTrainer(toy_recipe(loss=loss))


def centered(real, fake):
    real -= real.mean()
    fake -= fake.mean()
    return softplus(fake - real), softplus(real - fake)


OF_SOME_SHAPES = {
    "a place": lambda r, f: (softplus(f[:, 15] - r[:, 15]), softplus(r[:, 15] - f[:, 15])),
    "a batch": lambda r, f: (softplus(f - r).view(8, 2), softplus(r - f).view(8, 2)),
    "in place": centered,
}


@pytest.mark.parametrize("case", OF_SOME_SHAPES)
def test_a_loss_need_not_take_every_shape(case):
    loss = OF_SOME_SHAPES[case]
    check_loss(loss)
    assert loss_at_chance(loss) >= 0
    shape = (8, 16) if case == "a place" else (8, 2)
    logits = torch.linspace(-1, 1, 8 * shape[1]).reshape(shape).requires_grad_()
    objective = Objective(IdentityDiscriminator(), loss, {})
    values = objective.discriminator_loss(logits / 2, logits * 2, None, {}, torch.Generator())
    values["loss/discriminator"].backward()
    assert logits.grad.isfinite().all()


def test_a_mean_has_no_policy_gradient():
    logits = torch.linspace(-1, 1, 8).reshape(8, 1)

    def policy_loss(fake, condition, costs, weights, all_reduce_sum):
        return costs

    def found(reduce):
        d, g = of_pairs(reduce)
        objective = Objective(IdentityDiscriminator(), lambda *r: (d(*r), g(*r)), {})
        return objective.generator_loss(logits, logits / 2, None, torch.Generator(), policy_loss)

    assert "loss/generator_adversarial" in found(HALVED["logits"])
    with pytest.raises(ValueError, match="for each logit with estimator reinforce; got a mean"):
        found(HALVED["number"])
