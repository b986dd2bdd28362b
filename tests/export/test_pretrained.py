"""Pretrained generators are found by name, small, and evaluated as stored."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import multigan
from multigan.cli import app
from multigan.core.rng import keyed_rng
from multigan.engine.refinement import RefinementSettings
from multigan.export.export import export
from multigan.export.pretrained import build_pretrained, build_pretrained_refiner
from multigan.runs.refine import refine
from multigan.storage import pretrained
from multigan.storage.checkpoint_integrity import resolve_weights_file
from multigan.storage.loading import load, load_data, stored_defaults
from multigan.storage.pretrained import MAX_FILE_BYTES, list_pretrained, pretrained_metadata
from multigan.storage.weights import read_description, read_weights, weights_with_sampling
from multigan.studio.latent_edits import EditSettings, sample_with_edits
from tests.metric_meanings import undescribed
from tests.run_helpers import snapshot

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def folder(points_run, tmp_path_factory, cache):
    """A folder with one pretrained generator, made from a tiny run."""
    folder = tmp_path_factory.mktemp("ready")
    build_pretrained(points_run, "dots", folder=folder, cache=cache)
    return folder


@pytest.fixture
def say(folder, monkeypatch, capsys, tmp_path):
    """Run one command in an empty folder where `dots` is ready-made: all that it says."""
    monkeypatch.setattr(pretrained, "pretrained_dir", lambda: folder)
    monkeypatch.chdir(tmp_path)

    def command(line, status=0):
        found = app.main(line.split())
        out, err = capsys.readouterr()
        assert found == status, err
        return out + err

    return command


def test_every_packaged_generator_is_small_described_and_samples():
    for name, file in list_pretrained().items():
        assert file.stat().st_size <= MAX_FILE_BYTES
        assert {"recipe", "metrics", "command", "stored"} <= set(pretrained_metadata(name))
        domain = read_description(list_pretrained()[name])["domain"]["component"].split("/")[0]
        assert undescribed(domain, pretrained_metadata(name)["metrics"]["rows"]) == set()
        assert len(load(name).sample(2)) == 2
    for name, file in pretrained.list_refiners().items():
        assert file.stat().st_size <= MAX_FILE_BYTES
        assert len(load(name, refine=True).sample(2)) == 2


def test_a_name_is_sampled_like_the_run_it_was_made_of(say, points_run):
    assert "5 samples" in say("sample dots -n 5 --out ready")
    say(f"sample {points_run} -n 5 --out run")
    assert snapshot(Path("ready")) == snapshot(Path("run"))
    assert multigan.points.load("dots").sample(2) == multigan.points.load(points_run).sample(2)
    assert "out/paths.png" in say("interpolate dots --num-paths 1 --num-steps 2 --out out")


def test_a_path_hides_a_name_only_if_it_holds_a_generator(say, folder):
    Path("dots").mkdir()
    assert resolve_weights_file(Path("dots")) == folder / "dots.safetensors"
    Path("dots").rmdir()
    Path("dots").write_text("a file")
    assert "dots must be an intact safetensors file" in say("sample dots", status=2)


def test_a_name_that_is_close_is_suggested(say):
    assert "the name of a pretrained generator (did you mean dots?)" in say("sample dot", status=2)
    assert "the name of a pretrained generator (known: dots)" in say("sample else/where", status=2)
    with pytest.raises(ValueError, match=r"no pretrained generator 'dot'; did you mean dots\?"):
        pretrained_metadata("dot")


def test_pretrained_generators_are_listed_with_their_command(say, folder, monkeypatch, tmp_path):
    words = say("list --pretrained").split()
    assert words[:3] == ["dots", "0.00", "MB"] and "multigan train points" in " ".join(words)
    monkeypatch.setattr(pretrained, "pretrained_dir", lambda: tmp_path / "none")
    assert "carries no pretrained generators" in say("list --pretrained")


def test_its_metadata_are_its_recipe_and_the_metrics_of_the_stored_file(folder, cache, say):
    known = pretrained_metadata("dots")
    assert known["recipe"]["recipe"]["generator"]["component"] == "points/MLPGenerator"
    assert known["stored"] == "float32" and known["checkpoint"] == "best"
    sampler = load("dots")
    data = load_data(known["recipe"]).split("test")
    table = sampler.domain.evaluate(sampler, data, keyed_rng(0, "evaluate"), cache)
    assert known["metrics"]["rows"] == json.loads(table.json())["rows"]


def test_a_packaged_refiner_is_stored_in_16_bits_and_belongs_to_its_generator(
    points_run, tmp_path, monkeypatch
):
    folder = tmp_path / "packaged"
    monkeypatch.setattr(pretrained, "pretrained_dir", lambda: folder)
    build_pretrained(points_run, "dots", folder=folder, evaluated=False)
    run = shutil.copytree(points_run, tmp_path / "run")
    whole = refine(run, settings=RefinementSettings(1, 64, validation_samples=64))[0]
    stored = read_weights(build_pretrained_refiner(whole, "dots", folder=tmp_path))[1]
    for name, tensor in read_weights(whole)[1].items():
        assert torch.equal(stored[name], tensor.half() if tensor.is_floating_point() else tensor)
    with pytest.raises(ValueError, match="no pretrained generator 'dot'; did you mean dots"):
        build_pretrained_refiner(whole, "dot")
    build_pretrained(points_run, "other", folder=folder, evaluated=False, half=True)
    with pytest.raises(ValueError, match="must be the refiner of other; it was fitted to other"):
        build_pretrained_refiner(whole, "other")
    monkeypatch.setattr(pretrained, "MAX_FILE_BYTES", 100)
    with pytest.raises(ValueError, match="must take 100 bytes at most; got"):
        build_pretrained_refiner(whole, "dots")


def test_it_is_evaluated_and_sampled_with_its_refiner(
    points_run, tmp_path, cache, monkeypatch, capsys
):
    monkeypatch.setattr(pretrained, "pretrained_dir", lambda: tmp_path / "packaged")
    folder = tmp_path / "packaged"
    build_pretrained(points_run, "dots", folder=folder, evaluated=False)
    settings = RefinementSettings(1, 64, validation_samples=64)
    run = shutil.copytree(points_run, tmp_path / "run")
    file = build_pretrained_refiner(refine(run, settings=settings)[0], "dots")
    assert file == folder / "refiners" / "dots.safetensors"
    assert load("dots", refine=True).sample(2) != []
    assert app.main(["list", "--pretrained"]) == 0
    assert "dots has a refiner of 0." in capsys.readouterr().out
    for options, refined in ((["--refine"], True), ([], False)):
        assert app.main(["sample", "dots", *options, "--out", str(tmp_path / str(refined))]) == 0
        assert ("candidates a sample" in capsys.readouterr().out) == refined
    before = snapshot(tmp_path)
    assert app.main(["evaluate", "dots", "--cache-dir", str(cache)]) == 0
    assert "gain_nats" in capsys.readouterr().out and snapshot(tmp_path) == before


def test_an_export_of_a_pretrained_generator_has_its_metrics(say, monkeypatch):
    monkeypatch.setattr("multigan.export.export._programs", lambda generator, folder: ({}, {}))
    say("export dots --out out")
    card = Path("out/README.md").read_text()
    assert "multigan train points" in card and "| generator |" in card
    assert json.loads(Path("out/recipe.json").read_text())["name"] == "points"


def test_a_copy_keeps_the_options_that_it_is_sampled_with(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("multigan.export.export._programs", lambda generator, folder: ({}, {}))
    monkeypatch.setattr("multigan.export.export._preview", lambda sampler, folder: [])
    export("text", tmp_path / "copy")
    export(tmp_path / "copy", tmp_path / "again")
    own, copy, again = load("text"), load(tmp_path / "copy"), load(tmp_path / "again")
    assert own.defaults == {"temperature": 0.9, "avoid_words": "slurs"}
    assert copy.defaults == again.defaults == own.defaults
    expected = own.sample(2)
    assert copy.sample(2) == expected
    assert sample_with_edits(again, 2, 0, EditSettings()) == expected
    card = (tmp_path / "copy" / "README.md").read_text()
    assert "Samples are drawn with" in card and "temperature 0.9" in card
    assert app.main(["sample", str(tmp_path / "copy"), "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "the likeliest token (default: 0.9)" in shown and "(default: slurs)" in shown


@pytest.mark.parametrize(
    "sampling",
    [
        {"avoid_copies": "lines"},  # a file
        {"avoid_words": "/etc/passwd"},
        {"avoid_words": "../words.txt"},
        {"avoid_words": "id_rsa"},  # a word that may name a file
        {"temperature": "hot"},
        {"unknown": 1},
        {"temperature": [1]},
        {"temperature": -1e30},
        [],
        "hot",
    ],
)
def test_options_that_a_stranger_wrote_into_weights_are_refused(sampling, tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(weights_with_sampling(list_pretrained()["text"], {"x": 0}))
    description = read_description(file) | {"sampling": sampling}
    with pytest.raises(ValueError, match=r"sampling options cannot be|temperature must be"):
        stored_defaults(description, load("text").domain, file)


def test_half_precision_is_stored_in_16_bits_and_loaded_in_32(points_run, tmp_path):
    file = build_pretrained(points_run, "half", folder=tmp_path, half=True, evaluated=False)
    stored = read_weights(file)[1]
    whole = read_weights(resolve_weights_file(points_run))[1]
    state = load(file).generator.state_dict()
    for name, tensor in whole.items():
        assert stored[name].dtype == torch.float16 and state[name].dtype == torch.float32
        assert torch.equal(state[name], tensor.half().float())
    assert json.loads((tmp_path / "half.json").read_text())["stored"] == "float16"


def test_numbers_are_halved_only_where_the_file_would_be_too_large(
    points_run, tmp_path, monkeypatch
):
    size = resolve_weights_file(points_run).stat().st_size
    for most, stored in ((size, "float32"), (size - 1, "float16")):
        monkeypatch.setattr(pretrained, "MAX_FILE_BYTES", most)
        build_pretrained(points_run, "it", folder=tmp_path, evaluated=False)
        assert json.loads((tmp_path / "it.json").read_text())["stored"] == stored
    monkeypatch.setattr(pretrained, "MAX_FILE_BYTES", 100)
    with pytest.raises(ValueError, match="must take 100 bytes at most; got"):
        build_pretrained(points_run, "large", folder=tmp_path, evaluated=False)
    assert not (tmp_path / "large.safetensors").exists()


@pytest.mark.parametrize("name", ["../up", "a b", ""])
def test_a_name_is_an_identifier(name, points_run, tmp_path):
    with pytest.raises(ValueError, match="must be an identifier; got"):
        build_pretrained(points_run, name, folder=tmp_path)


def test_generators_are_loaded_without_the_compiler(tmp_path):
    """Which torch is slow to import; a file that is not the package's is sketched before."""
    elsewhere = shutil.copy(list_pretrained()["image"], tmp_path)
    asked = "import sys; from multigan.storage.loading import load; "
    asked += "[load(name) for name in sys.argv[1:]]; sys.exit('torch._dynamo' in sys.modules)"
    command = [sys.executable, "-c", asked, *list_pretrained(), elsewhere]
    assert subprocess.run(command, check=False).returncode == 0
