"""Runs of a Recipe object: all files, exact resuming with the same objects, loading in process."""

import functools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from multigan import ArrayDataset, Callback, Recipe, Run, load, resume, train
from multigan.cli import app
from multigan.core.serialization import first_difference, function_fingerprint
from multigan.report.report import report
from multigan.runs.evaluate import evaluate
from multigan.training.loggers import hyperparameters
from multigan.training.loop import Interrupted, SignalHandler
from tests.run_helpers import OFTEN, assert_equal_runs
from tests.toy_domain import draw_weights

X = np.random.default_rng(0).normal(size=(400, 2)).astype("float32")


class Labeled(nn.Module):
    """A perceptron with an embedding of the label, dropout and batch norm."""

    def __init__(self, inputs, outputs, seed, norm):
        super().__init__()
        self.label = nn.Embedding(2, inputs)
        middle = nn.BatchNorm1d(8) if norm else nn.Dropout(0.2)
        self.body = nn.Sequential(
            nn.Linear(inputs, 8), middle, nn.LeakyReLU(), nn.Linear(8, outputs)
        )
        draw_weights(self, seed)

    def forward(self, inputs, label):
        return self.body(inputs + self.label(label))


def objects(**changes):
    """A recipe with new objects, always of the same values."""
    given = {
        "data": ArrayDataset(X, np.arange(len(X)) % 2),
        "generator": Labeled(4, 2, "generator", norm=True),
        "discriminator": Labeled(2, 1, "discriminator", norm=False),
        "latent_dim": 4,
        "steps": 6,
        "batch_size": 16,
    }
    return Recipe(**(given | changes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("objects") / "run"
    return train(objects(), out=str(out), show=0, **(OFTEN | {"report": True}))


def test_a_run_of_objects_has_every_file(trained):
    assert isinstance(trained, Run) and (trained.step, trained.ended) == (6, "finished")
    names = {path.name for path in trained.path.iterdir()}
    expected = {"recipe.json", "log.jsonl", "metrics.jsonl", "evaluation.json", "report.html"}
    assert expected <= names and "recipe.py" not in names
    assert trained.log[-1]["step"] == 6 and "loss/generator" in trained.log[-1]
    table = json.loads((trained.path / "evaluation.json").read_text())
    assert trained.metrics == table["rows"]["generator"]
    assert {"real (train)", "real (held out)", "Gaussian per class"} < table["rows"].keys()
    page = trained.report().read_text()
    assert (
        "Labeled trained on ArrayDataset with Labeled" in page
        and "in Python, with the objects of this run" in page
    )
    assert "could not be sampled" not in page and "cannot rebuild" not in page


def test_the_generator_is_loaded_in_process_and_with_the_recipe(trained):
    sampled = trained.sampler().sample(3, seed=1)
    for sampler in (load(trained), load(trained.path, trust=objects())):
        assert np.array_equal(sampler.sample(3, seed=1), sampled)
    again = evaluate(trained.path, trust=objects()).model
    assert dict(again) == pytest.approx(trained.metrics)


def test_without_the_objects_every_command_says_so_in_one_line(trained, capsys):
    for command in ("sample", "evaluate", "resume", "interpolate"):
        assert app.main([command, str(trained.path)]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and "is an object of the program that trained this run" in lines[0]
    for call in (load, resume):
        with pytest.raises(ValueError, match=r"caller/.* recipe.json cannot rebuild: .*trust"):
            call(trained.path)
    assert "cannot rebuild" in report(trained.path, trained.path.parent / "page.html").read_text()


def test_a_stopped_run_resumes_bit_by_bit_with_the_same_objects(trained, tmp_path, monkeypatch):
    out, steps = str(tmp_path / "run"), []
    stop = property(lambda self: 15 if len(steps) == 3 else None, lambda self, value: None)
    monkeypatch.setattr(SignalHandler, "number", stop, raising=False)

    class Count(Callback):
        def on_step(self, step, values):
            steps.append(step)

    with pytest.raises(Interrupted, match=r"train\(recipe, out='.*', resume=True\)"):
        train(objects(), out=out, show=0, callbacks=[Count()], **OFTEN)
    ended = train(objects(), out=out, resume=True, show=0, callbacks=[Count()], **OFTEN)
    assert ended.step == 6 and ended.metrics == trained.metrics
    assert_equal_runs(trained.path, ended.path, 6)
    # An ended run is returned; more steps continue it.
    assert train(objects(), out=out, resume=True, show=0).step == 6
    assert train(objects(steps=8), out=out, resume=True, show=0).step == 8


def test_resuming_starts_a_run_that_is_not_there(tmp_path):
    run = train(objects(steps=1), out=str(tmp_path / "run"), resume=True, show=0, report=False)
    assert run.step == 1


def test_the_generator_and_its_data_are_those_of_the_caller(trained):
    assert isinstance(trained.recipe.generator.network, Labeled)
    assert len(trained.recipe.data) == 320 and "recipe" not in repr(trained)


@pytest.mark.parametrize(
    "changes, options, message",
    [
        ({"loss": "hinge"}, {}, 'loss of the recipe must be .* "relativistic"; got "hinge"'),
        ({"data": ArrayDataset(X + 1, np.arange(400) % 2)}, {}, "have changed"),
        ({}, {"seed": 1}, "seed must be as in the first training of .*, 0; got 1"),
        ({}, {"save_every": 3}, "save_every must be as in the first training"),
        ({"steps": 2}, {}, "must be 6 or more"),
    ],
)
def test_another_experiment_is_not_resumed(trained, changes, options, message):
    with pytest.raises(ValueError, match=message):
        train(objects(**changes), out=str(trained.path), resume=True, show=0, **options)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: train(objects(), steps=3), "a Recipe must have its values itself; got steps"),
        (lambda: train(objects(), tiny=True), "a Recipe must have its values itself; got tiny"),
        (lambda: train(objects(), resume=True), "resume must be given with a Recipe and out"),
        (lambda: train("points", out="x", resume=True), "else use resume"),
    ],
)
def test_options_that_a_recipe_object_cannot_have_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_data_without_held_out_samples_train_without_an_evaluation(tmp_path):
    recipe = objects(data=ArrayDataset(X, np.arange(400) % 2, held_out=0), steps=2)
    with pytest.warns(UserWarning, match="not measured, so no best checkpoint"):
        run = train(recipe, out=str(tmp_path / "run"), show=0, **OFTEN)
    assert run.metrics == {} and len(run.sampler().sample(2)) == 2


def test_a_torch_dataset_with_random_transforms_resumes_bit_by_bit(tmp_path):
    class Shifted(torch.utils.data.Dataset):
        def __len__(self):
            return len(X)

        def __getitem__(self, index):
            return torch.from_numpy(X[index]) + torch.rand(2), index % 2

    whole = train(objects(data=Shifted()), out=str(tmp_path / "a"), show=0, **OFTEN)
    part = objects(data=Shifted(), steps=3)
    train(part, out=str(tmp_path / "b"), show=0, **OFTEN)
    rest = train(objects(data=Shifted()), out=str(tmp_path / "b"), resume=True, show=0, **OFTEN)
    weights = [run.recipe.generator.state_dict() for run in (whole, rest)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_an_ended_run_is_returned_with_its_objects(trained):
    (trained.path / "evaluation.json").unlink()  # as if killed before it
    again = train(objects(), out=str(trained.path), resume=True, show=0)
    assert again.step == trained.step and (trained.path / "evaluation.json").is_file()
    assert np.array_equal(again.sampler().sample(2), trained.sampler().sample(2))


def test_the_recipe_of_a_run_is_trained_again_and_extended(tmp_path):
    first = train(objects(), out=str(tmp_path / "a"), show=0, **OFTEN)
    assert first.recipe.generator.training and all(
        p.requires_grad for p in first.recipe.generator.parameters()
    )
    assert train(first.recipe, out=first.path, resume=True, show=0).step == 6
    longer = train(replace(first.recipe, steps=8), out=first.path, resume=True, show=0)
    whole = train(objects(steps=8), out=str(tmp_path / "b"), show=0, **OFTEN)
    weights = [run.recipe.generator.state_dict() for run in (longer, whole)]
    assert longer.step == 8
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    again = train(longer.recipe, out=str(tmp_path / "c"), show=0, report=False)
    assert again.step == 8 and len(again.sampler().sample(2)) == 2


def test_a_burn_in_does_not_keep_the_recipe_from_being_used_again(tmp_path):
    first = train(objects(burn_in=0.5), out=str(tmp_path / "a"), show=0, report=False)
    assert first.recipe.generator_lr == objects().generator_lr
    assert train(first.recipe, out=first.path, resume=True, show=0).step == 6


def test_a_run_is_taken_where_its_recipe_is(trained):
    expected = trained.sampler().sample(2)
    assert np.array_equal(load(trained.path, trust=trained).sample(2), expected)
    assert resume(trained.path, trust=trained, show=0).step == 6


def shifted(by):
    return lambda real, fake: (softplus(fake - real + by), softplus(real - fake))


LOSSES = {
    "arguments in another order": lambda real, fake: (softplus(real - fake), softplus(fake - real)),
    "a captured number": shifted(1.0),
    "another constant": lambda real, fake: (softplus(fake - real + 2), softplus(real - fake)),
}


@pytest.mark.parametrize("case", LOSSES)
def test_another_function_is_not_taken_for_the_one_of_the_run(case, tmp_path):
    def run(loss, steps, **options):
        return train(objects(loss=loss, steps=steps), out=str(tmp_path / "run"), show=0, **options)

    run(shifted(0.0), 1, report=False)
    with pytest.raises(ValueError, match=r"the function .* with other code"):
        run(LOSSES[case], 2, resume=True)
    assert run(shifted(0.0), 2, resume=True).step == 2


def test_functions_are_compared_by_their_code_and_not_by_their_place():
    def function(x, y=1):
        return x * y

    source = "def made(x, y=1):\n    return [x * y for x in (x, {})]"

    def compiled(text):
        names = {}
        exec(compile(text, f"of {len(text)} characters", "exec"), names)
        return function_fingerprint(names["made"])

    moved = eval("lambda: 0", {"__name__": "elsewhere"})
    assert compiled(source.format(2)) == compiled("\n\n" + source.format(2)) != ""
    assert compiled(source.format(2)) != compiled(source.format(3))
    assert compiled(source.format(2)) != compiled(source.format(2).replace("y=1", "y=2"))
    assert function_fingerprint(moved) == function_fingerprint(lambda: 0)
    assert function_fingerprint(moved) != function_fingerprint(lambda: 1)
    for other in (torch.optim.SGD, nn.ReLU(), len):
        assert function_fingerprint(other) == ""
    assert function_fingerprint(Labeled.forward) == function_fingerprint(
        Labeled(2, 2, "a", norm=False).forward
    )


def test_partial_functions_are_compared_by_function_and_arguments():
    def function(x, y, weight=1):
        return x * y * weight

    made = [
        functools.partial(function, 1, weight=2),
        functools.partial(function, 1, weight=3),
        functools.partial(function, 2, weight=2),
        functools.partial(shifted(0.0), 1, weight=2),
        functools.partial(torch.optim.SGD, 1, weight=2),
        functools.partial(torch.optim.Adam, 1, weight=2),
    ]
    assert len({function_fingerprint(one) for one in made}) == len(made)
    again = functools.partial(function, 1, weight=2)
    assert function_fingerprint(again) == function_fingerprint(made[0])


def test_functions_may_capture_themselves_and_count_their_calls():
    def recursive(constant):
        def one(x):
            return two(x) if x else constant

        def two(x):
            return one(x - 1) + two(x - 2)

        return function_fingerprint(two)

    assert recursive(1) == recursive(1) != recursive(2)

    def counting(inside):
        calls = 0

        def count():
            nonlocal calls
            calls += 1

        def count_inside():
            def add():
                nonlocal calls
                calls += 1

            add()

        return count_inside if inside else count

    for inside in (True, False):
        function = counting(inside)
        before = function_fingerprint(function)
        function()
        assert function_fingerprint(function) == before


def test_descriptions_are_compared_in_mappings_and_lists():
    term = {"component": "caller/term", "arguments": {}, "code": "3.12:00"}
    other = term | {"code": "3.12:11"}
    assert first_difference({"code": term}, {"code": term}) is None
    assert first_difference({"code": term}, {"code": other}) is not None
    assert first_difference({"code": term}, {"data": term}) is not None
    assert first_difference([term, 1], [term | {"code": "3.9:11"}, 1]) is None
    assert "with other code" in first_difference([1, term], [1, other])[1]
    assert first_difference([1], [1, 2]) == ("[1]", "[1, 2]")


def test_functions_of_another_python_are_not_compared():
    stored = {"component": "caller/<lambda>", "arguments": {}, "code": "3.9:00"}
    given = stored | {"code": "3.12:11"}
    assert first_difference(stored, given) is None
    assert first_difference(stored, {k: v for k, v in stored.items() if k != "code"}) is None
    assert first_difference(stored, stored | {"code": "3.9:11"}) is not None


def test_other_networks_are_described_in_a_few_words(trained):
    with pytest.warns(UserWarning, match="the generator takes no second argument"):
        others = objects(generator=nn.Linear(4, 2))
    with pytest.raises(ValueError, match="generator of the recipe must be") as caught:
        train(others, out=str(trained.path), resume=True, show=0)
    message = str(caught.value)
    assert message.endswith("Labeled (parameters 82); got Linear (parameters 10)")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"seed": "a"}, "seed must be int; got 'a'"),
        ({"log_every": 1.5}, "log_every must be int | None; got 1.5"),
        ({"report": "no"}, "report must be bool; got 'no'"),
        ({"log": ["tensorboards"]}, "log must be loggers separated by commas"),
        ({"device": 3}, "device must be str; got 3"),
    ],
)
def test_options_of_another_type_are_refused_before_anything_is_written(options, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        train(objects(), out=tmp_path / "run", show=0, **options)
    assert not (tmp_path / "run").exists()


def test_options_may_be_objects_of_python(tmp_path):
    given = {"seed": np.int64(3), "device": torch.device("cpu"), "log": [], "report": False}
    run = train(objects(steps=1), out=tmp_path / "run", show=0, **given)
    assert json.loads((run.path / "recipe.json").read_text())["seed"] == 3


def test_training_needs_no_gradients_of_the_caller(tmp_path):
    with torch.no_grad():
        run = train(objects(steps=1), out=str(tmp_path / "run"), show=0, report=False)
        assert run.step == 1 and not torch.is_grad_enabled()


def test_another_default_type_is_refused(tmp_path):
    recipe = objects()
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ValueError, match="the default dtype of torch must be float32"):
            train(recipe, out=str(tmp_path / "run"))
    finally:
        torch.set_default_dtype(torch.float32)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((2,), {"labels": 1}, "must be label, condition; got labels"),
        ((2,), {"y": 1}, "must be label, condition; got y"),
        ((2.5,), {}, "n must be a number of samples, 0 or more; got 2.5"),
    ],
)
def test_options_that_samples_do_not_have_are_refused(arguments, options, message, trained):
    with pytest.raises(ValueError, match=message):
        trained.sampler().sample(*arguments, **options)


def test_loggers_are_given_the_numbers_of_a_recipe_object(trained):
    config = json.loads((trained.path / "recipe.json").read_text())
    found = hyperparameters(config)
    assert found["steps"] == 6 and found["batch_size"] == 16 and found["loss"] == "relativistic"
    config["recipe"]["penalties"] = {"r1": 0.5}
    assert hyperparameters(config)["penalties.r1"] == 0.5
    assert hyperparameters(config | {"hyperparameters": {"width": 8}}) == {"width": 8}


@pytest.mark.parametrize("path", [None, 3])
def test_what_cannot_be_loaded_is_named_by_its_type(path):
    with pytest.raises(ValueError, match="path must be a run directory, a weight file, a name or"):
        load(path)


def test_a_single_callback_is_accepted(tmp_path):
    seen = []

    class Count(Callback):
        def on_step(self, step, values):
            seen.append(step)

    train(objects(steps=2), out=tmp_path / "run", show=0, report=False, callbacks=Count())
    assert seen == [1, 2]
