"""Weight files of any domain with impossible weights or labels are refused before any output."""

import json
import os
import stat

import pytest
import torch
from safetensors.torch import save_file

from multigan.cli import app
from multigan.storage.checkpoint_integrity import resolve_weights_file
from multigan.storage.weights import load_matching, read_weights, save_weights
from multigan.text.metrics import evaluation
from tests.text.tiny import tiny_generator, tiny_lines

NAN, INFINITY = float("nan"), float("inf")
PRETRAINED = ("image", "music", "text")
LABELS = {
    "numbers": [1, 2],
    "no list": "ab",
    "a number": 5,
    "equal": ["a", "a"],
    "too long": ["a", "b" * 256],
    "more than the generator has": ["a", "b", "c"],
    "fewer than the generator has": ["a"],
    "null": [None, "a"],
    "lists": [["a"], "b"],
}


def rewritten(source, target, change):
    """A copy of a weight file whose description and tensors were changed."""
    description, tensors = read_weights(source)
    change(description, tensors)
    save_file(tensors, target, metadata={"multigan": json.dumps(description)})
    return target


def first_float(tensors):
    return next(name for name, tensor in tensors.items() if tensor.is_floating_point())


def poisoned(value):
    def change(description, tensors):
        tensors[first_float(tensors)].view(-1)[-1] = value

    return change


def whole_numbers(description, tensors):
    name = first_float(tensors)
    tensors[name] = tensors[name].to(torch.int32)


def refused(command, out, capsys):
    """The one line with which a command refuses its file, before it writes anything."""
    assert app.main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "internal" not in line and not out.exists()
    return line


@pytest.mark.parametrize("domain", ["points", *PRETRAINED])
@pytest.mark.parametrize(
    ("change", "reason"),
    [(poisoned(NAN), "finite weights"), (poisoned(-INFINITY), "finite weights"),
     (whole_numbers, "does not fit its network")],
)  # fmt: skip
def test_impossible_weights_are_refused(domain, change, reason, points_run, tmp_path, capsys):
    source = resolve_weights_file(points_run) if domain == "points" else domain
    source = resolve_weights_file(type(tmp_path)(source))
    file, out = rewritten(source, tmp_path / "w.safetensors", change), tmp_path / "out"
    for command in ("sample", "interpolate", "export"):
        line = refused([command, str(file), "--out", str(out)], out, capsys)
        assert reason in line, line


def test_commands_that_read_no_network_refuse_them_too(tmp_path, capsys):
    file = resolve_weights_file(type(tmp_path)("text"))
    broken, out = rewritten(file, tmp_path / "w.safetensors", poisoned(NAN)), tmp_path / "out"
    line = refused(["text", "export-tokenizer", str(broken), "--out", str(out)], out, capsys)
    assert "finite weights" in line


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_values_of_every_precision_are_checked(kind, tmp_path):
    for value, is_fine in ((0.5, True), (NAN, False)):
        tensors = {"weight": torch.full((3,), value).to(kind)}
        described = json.dumps({"format": 2, "domain": {"component": "points/PointsDomain"}})
        save_file(tensors, tmp_path / "w", metadata={"multigan": described})
        if is_fine:
            assert torch.equal(read_weights(tmp_path / "w")[1]["weight"], tensors["weight"])
        else:
            with pytest.raises(ValueError, match="got NaN or infinity in weight"):
                read_weights(tmp_path / "w")


def test_a_warm_start_takes_no_whole_numbers_for_weights():
    network = torch.nn.Linear(2, 2)
    before = network.weight.detach().clone()
    stored = {"weight": torch.ones(2, 2, dtype=torch.int64), "bias": torch.ones(2).half()}
    assert load_matching(network, stored) == ["weight"]
    assert torch.equal(network.weight, before) and torch.equal(network.bias, torch.ones(2))


@pytest.mark.parametrize("name", LABELS)
def test_impossible_labels_are_refused(name, tmp_path, capsys):
    data = tiny_lines(class_field="mood")
    generator = tiny_generator(data.domain)
    arguments = {"tokenizer": data.domain.tokenizer, "length": data.domain.length}
    described = {
        "domain": {
            "component": "text/TextDomain",
            "arguments": arguments | {"class_names": LABELS[name]},
        },
        "generator": {
            "component": "text/TextGenerator",
            "arguments": generator._component_arguments,
        },
    }
    file, out = tmp_path / "w.safetensors", tmp_path / "out"
    save_weights(file, generator, described)
    line = refused(["sample", str(file), "-n", "2", "--out", str(out)], out, capsys)
    assert "label" in line or "class_names must be tuple[str, ...]; got" in line


def test_impossible_labels_of_images_are_refused(tmp_path, capsys):
    def change(description, tensors):
        description["domain"]["arguments"]["class_names"] = ["same", "same"]

    file, out = tmp_path / "w.safetensors", tmp_path / "out"
    rewritten(resolve_weights_file(type(tmp_path)("image")), file, change)
    assert "label" in refused(["sample", str(file), "--out", str(out)], out, capsys)


@pytest.mark.skipif(os.name != "posix", reason="the umask is of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_weight_files_follow_the_umask(umask, tmp_path):
    before = os.umask(umask)
    try:
        save_weights(tmp_path / "w", torch.nn.Linear(2, 2), {"domain": {}})
        evaluation._save(tmp_path / "cache", evaluation.LanguageModel(5), {})
    finally:
        os.umask(before)
    for name in ("w", "cache"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~umask
