"""Runs of a Recipe object: all files, exact resuming with the same objects, loading in process."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from multigan import ArrayDataset, Callback, Recipe, Run, load, resume, train
from multigan.cli import app
from multigan.report.report import report
from multigan.runs.evaluate import evaluate
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


def test_the_averaged_generator_and_its_data_are_those_of_the_caller(trained):
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
