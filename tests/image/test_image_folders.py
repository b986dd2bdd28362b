"""`--data FOLDER`: the recipe learns images of one's own, at any size; `--init` goes on."""

import hashlib
import json
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from multigan.core.evaluation_size import small_evaluations
from multigan.image import load
from multigan.image.datasets import sources
from multigan.training.launch import resume, train
from tests.image.example_shapes import EXAMPLES, files

FEW = {"steps": 4, "width": 4, "batch_size": 4, "log_every": 1, "save_every": 4}
FEW |= {"show": False, "report": False}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_images.cache_clear()
    with small_evaluations():
        yield


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """Train the recipe for a few steps on the examples."""

    def on(**options):
        out = tmp_path_factory.mktemp("runs") / "run"
        with pytest.warns(UserWarning, match="not measured, so no best checkpoint"):
            return train("image", tiny=True, out=str(out), data=str(EXAMPLES), **FEW | options)

    return on


def test_the_examples_are_reproduced_by_the_script():
    for path, data in files().items():
        with Image.open(path) as there:
            assert np.array_equal(there, Image.open(BytesIO(data))), path
    assert sum(path.stat().st_size for path in files()) < 8_000


@pytest.mark.parametrize(
    ("shape", "size"),
    [({"resolution": 16}, (16, 16)), ({"resolution": 12, "aspect": 1.5}, (18, 12))],
)
def test_the_recipe_learns_a_folder_at_any_size(shape, size, learn):
    run = learn(**shape)
    sampler = load(run.path)
    samples = sampler.sample(2, label="square")
    assert [s.size for s in samples] == [size] * 2 and samples[0].mode == "RGB"
    assert sampler.domain.class_names == ("disc", "square")
    assert json.loads((run.path / "recipe.json").read_text())["hyperparameters"]["data"] == str(
        EXAMPLES
    )


def test_other_classes_start_from_given_weights_and_the_rest_is_recorded(learn, tmp_path):
    """Ten digits after two shapes: only what depends on the classes and on the colors is new."""
    first = learn(resolution=16)
    with pytest.warns(
        UserWarning, match=f"--init-from {first.path}: what it lacks, or does not fit, is fresh: "
    ):
        run = train(
            "image", tiny=True, out=str(tmp_path / "digits"), init_from=str(first.path), **FEW
        ).path
    stated = json.loads((run / "recipe.json").read_text())["init"]
    assert stated["source"] == str(first.path)
    assert stated["fresh"] == [
        "generator.label.weight",
        "generator.to_image.weight",
        "generator.to_image.bias",
        "discriminator.body.0.weight",
        "discriminator.label.weight",
    ]
    for file, digest in stated["files"].items():
        assert hashlib.sha256(Path(file).read_bytes()).hexdigest() == digest
    old, new = (
        load_file(r / "checkpoints" / name / "generator_ema.safetensors")
        for r, name in ((first.path, "step-000000004"), (run, "step-000000000"))
    )
    assert torch.equal(old["body.3.weight"], new["body.3.weight"])
    shutil.rmtree(run / "checkpoints")
    description = json.loads((run / "recipe.json").read_text())
    del description["ended"], description["checksum"]
    (run / "recipe.json").write_text(json.dumps(description))
    with pytest.warns(UserWarning, match="has no whole checkpoint: it starts at step 0"):
        resume(run, show=False)
    again = load_file(run / "checkpoints" / "step-000000000" / "generator_ema.safetensors")
    assert all(torch.equal(again[name], new[name]) for name in new), "it starts from there again"


def test_weights_of_another_kind_of_network_are_refused_before_anything_is_written(
    points_run, tmp_path
):
    with pytest.raises(ValueError, match="nothing of it fits this generator"):
        train("image", tiny=True, out=str(tmp_path / "new"), init_from=str(points_run), **FEW)
    assert not (tmp_path / "new").exists()
