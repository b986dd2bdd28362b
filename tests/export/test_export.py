"""What an exported folder holds, that its programs give the same samples, what it never does."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from multigan.cli import app
from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.export import export as exporting
from multigan.export import programs
from multigan.export.export import CARD, ONNX, TORCH, export
from multigan.export.model_card import escaped
from multigan.export.programs import ExportError, Inputs, export_program, inputs_of
from multigan.runs.provenance import strip_local_paths, train_command
from multigan.storage.checkpoint_integrity import GENERATOR_EMA_FILE
from multigan.storage.loading import load
from tests.run_helpers import edit_json, snapshot

pytestmark = pytest.mark.filterwarnings("default")
EVIL = "</h1><script>alert(1)</script>\n# `rm` [x](javascript:y) | \x1b[2J \ud800"
TABLE = {
    "rows": {"real": {"distance": 0.1}, "generator": {"distance": 0.25, EVIL: None}},
    "notes": ["measured", EVIL],
}


@pytest.fixture(scope="module")
def exported(points_run, tmp_path_factory):
    """A copy of a run with a stranger's evaluation, and what was exported of it."""
    folder = tmp_path_factory.mktemp("exported")
    run = Path(shutil.copytree(points_run, folder / "run"))
    (run / "evaluation.json").write_text(json.dumps(TABLE))
    before = snapshot(run)
    made = export(run, folder / "out", license="mit")
    assert snapshot(run) == before
    return run, made


@pytest.fixture
def without_programs(monkeypatch):
    """Exports write no programs, which take seconds."""
    monkeypatch.setattr(exporting, "_programs", lambda *_: ({}, {}))


def front_matter(card):
    yaml = pytest.importorskip("yaml")
    _, head, body = card.split("---\n", 2)
    return yaml.safe_load(head), body


def test_an_export_holds_what_the_hub_and_multigan_read(exported):
    _, made = exported
    names = {CARD, GENERATOR_EMA_FILE, "recipe.json", "samples.png", TORCH}
    assert names <= set(made.written) <= names | {ONNX}
    assert {path.name for path in made.folder.iterdir()} == set(made.written)


def test_an_exported_folder_is_sampled_like_its_run(exported):
    run, made = exported
    assert load(made.folder).sample(5, seed=3) == load(run).sample(5, seed=3)
    (made.folder / "recipe.json").rename(made.folder / "kept")
    assert load(made.folder).sample(5, seed=3) == load(run).sample(5, seed=3)
    (made.folder / "kept").rename(made.folder / "recipe.json")


@pytest.mark.parametrize("count", [1, 7])
def test_the_programs_give_the_generators_values_for_any_number_of_samples(exported, count):
    run, made = exported
    generator = load(run).generator
    latent = generator.sample_latent(count, keyed_rng(9))
    wanted = generator(latent)
    program = torch.export.load(made.folder / TORCH).module()
    torch.testing.assert_close(program(latent), wanted)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(made.folder / ONNX, providers=["CPUExecutionProvider"])
    (found,) = session.run(["samples"], {"latent": latent.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), wanted)


def test_the_card_says_what_the_hub_reads(exported):
    head, body = front_matter((exported[1].folder / CARD).read_text())
    assert head["license"] == "mit" and head["library_name"] == "multigan"
    assert head["tags"] == ["multigan", "gan", "points"]
    (result,) = head["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "distance", "name": "distance", "value": 0.25}]
    assert "multigan train points" in body and "![samples](samples.png)" in body
    assert "| latent | \\(B, 2\\) | torch.float32 |" in body
    assert "| generator | 0.25 |" in body
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard.load(exported[1].folder / CARD)
    assert card.data.eval_results[0].metric_value == 0.25


def test_a_strangers_words_are_shown_and_do_nothing(points_run, tmp_path, without_programs):
    run = Path(shutil.copytree(points_run, tmp_path / "run"))
    (run / "evaluation.json").write_text(json.dumps(TABLE))
    edit_json(run / "recipe.json", name=EVIL, hyperparameters={"lr": "```\n</code><script>"})
    export(run, tmp_path / "out")
    card = (tmp_path / "out" / CARD).read_text()
    head, body = front_matter(card)
    assert head["license"] == "unknown" and head["model-index"][0]["name"].startswith("multigan </")
    unfenced = "".join(body.split("````bash\n")[0] + part.split("````\n")[-1] for part in [body])
    assert "<script>" not in unfenced and "\x1b" not in card
    assert escaped(EVIL).startswith("\\</h1\\>\\<script\\>alert\\(1\\)\\</script\\> \\# \\`rm\\` ")
    assert "\n" not in escaped(EVIL) and "\ud800" not in escaped(EVIL)


@pytest.mark.parametrize("content", ['{"rows": {"generator": 3}}', "[" * 200_000])
def test_what_is_not_an_evaluation_is_not_shown(points_run, tmp_path, content, without_programs):
    run = Path(shutil.copytree(points_run, tmp_path / "run"))
    (run / "evaluation.json").write_text(content)
    export(run, tmp_path / "out")
    assert "No evaluation is available." in (tmp_path / "out" / CARD).read_text()


def test_a_program_whose_values_are_not_numbers_is_left_out_with_any_that_stood_there(
    points_run, tmp_path, monkeypatch
):
    out = tmp_path / "out"

    def write(difference):
        made = programs.ExportedProgram(b"x", difference)
        monkeypatch.setattr(exporting, "WRITERS", {k: (lambda *_: made, k) for k in (TORCH, ONNX)})

    write(0.0)
    assert export(points_run, out).written.keys() >= {TORCH, ONNX}
    write(float("nan"))
    again = export(points_run, out, overwrite=True)
    assert again.skipped.keys() == {TORCH, ONNX}
    assert not (out / TORCH).exists() and not (out / ONNX).exists()
    assert "Inputs of the exported programs" not in (out / CARD).read_text()


def test_only_files_of_the_folder_are_written(points_run, tmp_path, without_programs):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / CARD).symlink_to(victim)
    with pytest.raises(ValueError, match="is not empty; choose another --out, or --overwrite"):
        export(points_run, out)
    export(points_run, out, overwrite=True)
    assert victim.read_text() == "mine" and "multigan" in (out / CARD).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "victim"}


def test_nobody_learns_where_the_run_lay(tmp_path):
    (tmp_path / "photos").mkdir()
    tree = {"data": str(tmp_path / "photos"), "rest": ["/no/such/place", 3, None]}
    assert strip_local_paths(tree) == {"data": "photos", "rest": ["/no/such/place", 3, None]}
    assert strip_local_paths("/" + "x" * 5000) == "/" + "x" * 5000
    hyperparameters, usual = {"steps": 7, "batch_size": 256}, {"recipe": {"steps": 7}, "flags": {}}
    description = {"name": "points", "seed": 4, "hyperparameters": hyperparameters} | usual
    assert train_command(description).startswith("multigan train points --steps 7")
    assert train_command(description).endswith("--seed 4")
    strange = description | {
        "name": "x; rm",
        "hyperparameters": {"fast": True, "slow": False, "no": None},
    }
    assert train_command(strange) == "multigan train 'x; rm' --fast --no-slow --seed 4"


class Noise(NamedTuple):
    piece: Tensor
    beats: Tensor


def test_inputs_are_named_after_their_place():
    a, b, c = torch.ones(3, 1, 2).unbind()
    inputs = Inputs(Noise(a, b), {"mask": (c,)})
    assert inputs.leaves == {"latent_piece": a, "latent_beats": b, "condition_mask_0": c}
    assert list(Inputs(a, None).leaves) == ["latent"]


class LatentLoop(nn.Module):
    """Its loop depends on its latents."""

    def sample_latent(self, n, rng):
        return torch.randn(n, 2, generator=rng)

    def forward(self, latent, condition=None):
        while latent.abs().max() > 1:
            latent = latent / 2
        return latent


class Fixed(LatentLoop):
    """A generator with a fixed batch size."""

    def forward(self, latent, condition=None):
        return latent + torch.zeros(programs.TRACE_BATCH, 2)


def test_a_generator_whose_loop_depends_on_its_latents_is_refused_in_one_line():
    with pytest.raises(ExportError, match=r"torch.export refuses it: its control flow") as refusal:
        export_program(LatentLoop())
    assert "\n" not in str(refusal.value)


def test_a_generator_that_computes_with_numpy_is_refused_with_an_explanation():
    class UsesNumpy(LatentLoop):
        def forward(self, latent, condition=None):
            return torch.from_numpy(latent.numpy() * 2)

    with pytest.raises(ExportError, match=r"refuses it: its forward pass computes with"):
        export_program(UsesNumpy())
    with pytest.raises(ExportError, match=r"refuses it: its control flow depends on the values"):
        export_program(LatentLoop())


def test_a_generator_of_one_number_of_samples_is_exported_with_that_number():
    program = export_program(Fixed())
    assert programs.batch_of(program) == programs.TRACE_BATCH
    assert programs.torch_program(Fixed(), program).difference == 0


def test_what_cannot_be_exported_is_said_with_what_works(points_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Sampler, "sample", lambda self, n, seed: [(0.0, 0.0)] * n)
    monkeypatch.setattr("multigan.points.models.MLPGenerator.forward", LatentLoop.forward)
    assert app.main(["export", str(points_run), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "generator.pt2 is skipped: torch.export refuses it" in said
    assert f"written: {GENERATOR_EMA_FILE}" in said
    assert not (tmp_path / "out" / TORCH).exists() and not (tmp_path / "out" / ONNX).exists()


def test_a_program_that_gives_other_samples_is_not_written(points_run, tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "PACKAGES", ("no_such_package_here",))
    monkeypatch.setattr(programs, "TOLERANCE", -1.0)
    made = export(points_run, tmp_path / "out")
    assert made.skipped[TORCH].startswith("torch.export.load gives other samples: 0.0e+00 from")
    assert made.skipped[ONNX].endswith("pip install 'multigan[onnx]'")
    assert not (tmp_path / "out" / TORCH).exists()


def test_the_difference_of_a_program_is_the_largest_of_all_values():
    generator = LatentLoop()
    inputs = inputs_of(generator, 4)
    off = generator(inputs.latent)
    off[2, 1] += 0.5
    assert programs._difference(generator, inputs, off) == pytest.approx(0.5)
    assert programs._difference(generator, inputs, off[:3]) == float("inf")


def test_operators_without_onnx_are_written_with_others():
    search, below = programs.WITHOUT_ONNX.values()
    rows = torch.rand(6, 9, generator=keyed_rng(0)).cumsum(1)
    places = torch.cat([rows[:, 3:4], torch.rand(6, 4, generator=keyed_rng(1)) * 5], dim=1)
    for right in (True, False):
        wanted = torch.searchsorted(rows, places, right=right)
        assert torch.equal(search(rows, places, right=right), wanted)
    x = rows.flatten()
    assert (below(x, torch.zeros_like(x)) < x).all()
    torch.testing.assert_close(below(x, x), x, rtol=3e-7, atol=0)
