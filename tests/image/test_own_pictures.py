"""`--data FOLDER`: the recipe learns pictures of one's own, at any size; `--init` goes on."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from multigan.image import load, sources
from multigan.run.start import train
from tests.image.shapes import EXAMPLES, files

FEW = {"steps": 4, "width": 4, "batch_size": 4, "log_every": 1, "save_every": 4, "show": False}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources.read_pictures.cache_clear()


@pytest.fixture(scope="module")
def learn(tmp_path_factory):
    """Train the recipe for a few steps on the examples."""

    def on(**options):
        out = tmp_path_factory.mktemp("runs") / "run"
        with pytest.warns(UserWarning, match="not measured, so no best checkpoint"):
            return train("image", tiny=True, out=str(out), data=str(EXAMPLES), **FEW | options)

    return on


def test_the_examples_are_what_our_code_draws():
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
    assert sampler.domain.labels == ("disc", "square")
    assert json.loads((run.path / "recipe.json").read_text())["knobs"]["data"] == str(EXAMPLES)
