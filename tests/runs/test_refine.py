"""`multigan refine`: a refiner beside the generator of a run, used by sample and evaluate."""

import json
import shutil

import pytest
import torch

from multigan.cli.app import main
from multigan.core.refinement import LOG_2
from multigan.engine.refinement import RefinementSettings
from multigan.report.sample_media import collect_media
from multigan.runs.directory import RunDirectory
from multigan.runs.evaluate import evaluate
from multigan.runs.refine import refine
from multigan.storage.checkpoint_integrity import list_checkpoints
from multigan.storage.loading import load
from multigan.storage.refiners import REFINER_FILE, load_refiner
from multigan.storage.weights import read_weights
from tests.run_helpers import train_tiny
from tests.text.tiny import tiny_run

QUICK = ["--epochs", "1", "--epoch-samples", "64"]


@pytest.fixture(scope="module")
def refined_run(points_run, tmp_path_factory):
    run = tmp_path_factory.mktemp("refined") / "points"
    shutil.copytree(points_run, run)
    assert main(["refine", str(run), *QUICK]) == 0
    return run


def lines_of(folder):
    return (folder / "points.csv").read_text().splitlines()


def test_sample_k_does_not_depend_on_the_number_of_samples(refined_run, tmp_path, capsys):
    for n, name in ((5, "few"), (70, "many")):
        out = ["--refine", "--out", str(tmp_path / name)]
        assert main(["sample", str(refined_run), "-n", str(n), *out]) == 0
    assert "candidates a sample" in capsys.readouterr().out
    out = ["--refine", "--json", "--out", str(tmp_path / "more")]
    assert main(["sample", str(refined_run), "-n", "1", *out]) == 0
    assert json.loads(capsys.readouterr().out)["candidates_per_sample"] >= 1
    few, many = lines_of(tmp_path / "few"), lines_of(tmp_path / "many")
    assert len(many) == 71 and many[: len(few)] == few


def test_refined_samples_are_candidates_of_the_generator_at_their_seed(refined_run):
    refined, plain = load(refined_run, refine=True, candidates=1), load(refined_run)
    assert refined.sample(8, seed=3) == plain.sample(
        8, seed=3
    )  # of one candidate nothing is chosen
    several = load(refined_run, refine=True)
    assert several.sample(8, seed=3) == several.sample(8, seed=3) != several.sample(8, seed=4)


def test_the_card_says_how_it_was_fitted(refined_run):
    card = load_refiner(refined_run).card
    assert 0 < card.log_loss < LOG_2 + 0.1 and card.scale >= 0 and card.epoch_samples == 64
    assert 0 < card.effective_sample_size <= 1 and len(card.generator) == 64


def test_evaluation_has_a_row_of_refined_samples_with_gain_and_cost(refined_run):
    table = evaluate(refined_run)
    assert list(table.rows)[-2:] == ["refined", "generator"]
    row = table.rows["refined"]
    low, high = table.intervals["refined"]["gain_nats"]
    assert low <= row["gain_nats"] <= high and row["candidates_per_sample"] >= 1
    assert "total_variation" in row and "gain_nats" not in table.model
    assert "log Z" in table.notes[-2]


def test_the_discriminator_of_images_stays_as_it_is_unless_it_is_told_to_train(tmp_path):
    run = train_tiny("image", tmp_path / "image").path
    before = read_weights(list_checkpoints(run)[0] / "discriminator.safetensors")[1]

    def refined(settings):
        seen = []
        _, card = refine(run, settings=settings, on_epoch=lambda epoch: seen.append(epoch.number))
        after = load_refiner(run).refiner.discriminator.state_dict()
        assert after.keys() == before.keys()
        is_same = all(torch.equal(after[name], before[name]) for name in after)
        return seen, card.epochs, is_same

    assert refined(None) == ([0], 0, True)
    trained = RefinementSettings(1, 64, validation_samples=64, learning_rate=1e-2)
    seen, epochs, is_same = refined(trained)
    assert seen == [0, 1] and is_same == (epochs == 0)


def test_a_run_without_a_refiner_says_how_to_make_one(points_run, capsys):
    assert main(["sample", str(points_run), "--refine"]) == 2
    assert f"multigan refine {points_run}" in capsys.readouterr().err


def test_candidates_without_refine_are_refused(refined_run, capsys):
    assert main(["sample", str(refined_run), "--candidates", "4"]) == 2
    assert "candidates must be left out without --refine" in capsys.readouterr().err


def test_a_refiner_of_other_weights_is_refused(refined_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(refined_run, run)
    best = run / "checkpoints" / "best"
    shutil.rmtree(best)
    others = sorted((run / "checkpoints").glob("step-*"))
    assert others
    assert main(["sample", str(run), "--refine"]) == 2
    assert "must be of the generator" in capsys.readouterr().err
    with pytest.warns(UserWarning, match="no row of refined samples: .* of the generator"):
        assert "refined" not in evaluate(run).rows
    media = collect_media(RunDirectory(run))
    assert media.samples and not media.refined and "must be of the generator" in media.error


def test_a_damaged_refiner_is_one_line(refined_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(refined_run, run)
    (run / REFINER_FILE).write_bytes(b"damaged")
    assert main(["sample", str(run), "--refine"]) == 2
    assert "intact safetensors" in capsys.readouterr().err


def test_a_link_in_the_place_of_the_refiner_is_not_followed(refined_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(refined_run, run)
    (run / REFINER_FILE).unlink()
    (run / REFINER_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="must be a file; got a link"):
        refine(run)
    assert not (tmp_path / "elsewhere").exists()


def test_other_lines_keep_the_tokenizer_of_the_run(tmp_path):
    run, file = tiny_run(tmp_path / "run"), tmp_path / "my.txt"
    file.write_text("".join(f"A cat of number {k} sees a dog.\n" for k in range(90)))
    with pytest.raises(ValueError, match="epochs must be 1 or more for a refiner that is a new"):
        refine(run, settings=RefinementSettings(0))
    settings = RefinementSettings(1, 32, validation_samples=16)
    with pytest.warns(UserWarning, match="hold a word outside the vocabulary"):
        refine(run, data=str(file), settings=settings)
    assert load_refiner(run).refiner.tokenizer == load(run).domain.tokenizer
    assert len(load(run, refine=True).sample(2)) == 2


def test_a_pretrained_generator_needs_a_place_for_its_refiner():
    with pytest.raises(ValueError, match="out must be given for a pretrained generator"):
        refine("image")
