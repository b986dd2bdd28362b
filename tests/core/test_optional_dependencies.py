"""The gateway to torchaudio and transformers works in every state they may be in."""

import importlib.util
import subprocess
import sys

import pytest
import torch

from multigan.core import optional_dependencies
from multigan.core.rng import keyed_rng
from multigan.image.datasets.sources import read_digits
from multigan.text.metrics.mauve import mauve_scores
from tests.forked import in_another_process

ABSENT = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name in {missing!r} else find(name, *a)
"""


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def test_an_absent_package_is_answered_with_the_line_that_installs_it():
    code = ABSENT.format(missing=["torchaudio", "transformers"]) + (
        "from multigan.core import optional_dependencies\n"
        "print(optional_dependencies.torchaudio_status())\n"
        "try: optional_dependencies.transformers()\n"
        "except ValueError as error: print(error)\n"
    )
    audio, text = run(code).splitlines()
    assert audio.startswith("torchaudio: absent") and "pip install 'multigan[audio]'" in audio
    assert "pip install 'multigan[text]'" in text


def test_a_broken_extension_leaves_the_python_layer_of_torchaudio_working():
    needs("torchaudio")
    code = """
import sys, types
import importlib.abc, importlib.machinery

class Broken(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name == "torchaudio._extension":
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        raise OSError("libc10_cuda.so: cannot open shared object file")
    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Broken())
import torch
from multigan.core import optional_dependencies
print(optional_dependencies.torchaudio_status())
mel = optional_dependencies.torchaudio().transforms.MelSpectrogram(22050, n_fft=1024, n_mels=64)
print(tuple(mel(torch.zeros(1, 22050)).shape))
"""
    state, shape = run(code).splitlines()
    assert "without its compiled extension" in state
    assert shape == "(1, 64, 44)"


def imported_model() -> tuple[bool, str]:
    """Whether the package was imported before, and the name of a model of it."""
    was_there = "transformers" in sys.modules or "torchaudio" in sys.modules
    return was_there, optional_dependencies.transformers().GPT2LMHeadModel.__name__


def test_models_of_transformers_import_beside_a_torchaudio_that_may_be_broken():
    needs("torchaudio", "transformers")
    assert in_another_process(imported_model) == (False, "GPT2LMHeadModel")


@pytest.mark.parametrize(
    ("function", "extra"),
    [
        (lambda: read_digits((8, 8)), "image"),
        (lambda: mauve_scores(torch.eye(4), torch.eye(4), keyed_rng(0)), "text"),
    ],
)
def test_without_scikit_learn_the_extra_is_named(function, extra, monkeypatch):
    for name in ("sklearn", "sklearn.datasets", "sklearn.cluster"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=rf"scikit-learn must be .*multigan\[{extra}\]"):
        function()
