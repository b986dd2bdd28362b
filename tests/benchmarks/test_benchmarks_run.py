"""Every benchmark of `make bench` runs on the present code, at the smallest size."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from multigan import refine
from multigan.core.evaluation_size import small_evaluations
from multigan.core.recipe_file import build_recipe, read_recipe
from multigan.core.rng import keyed_rng
from multigan.engine.refinement import RefinementSettings
from multigan.image.datasets.images import load_images
from multigan.music.formats.song import Note, Song, Track
from tests.benchmarks import (
    endings,
    engine_step,
    faces,
    fine_tuning,
    image_decoding,
    music,
    precision_step,
    refined_likelihood,
    text_step,
    unknown_words,
)
from tests.run_helpers import train_tiny


def test_both_precisions_do_the_steps_of_the_image_recipe():
    found = precision_step.ratio(2, data="digits", resolution=16, batch_size=8, width=8)
    assert found.low <= found.cpu <= found.high and min(found.milliseconds) > 0


@pytest.mark.parametrize("case", engine_step.CASES)
def test_engine_and_hand_written_loop_do_the_same_operations(case):
    counted = {
        variant: engine_step.operations(make(engine_step.CASES[case]))
        for variant, make in engine_step.VARIANTS.items()
    }
    assert counted["engine"] == counted["hand"] > 0


@pytest.mark.parametrize("freeze", [False, True])
def test_generator_phase_runs(freeze):
    case = engine_step.CASES["dcgan, nonsaturating"]
    next(engine_step.generator_phase(case, freeze))


@pytest.mark.parametrize("case", text_step.CASES)
def test_text_step_runs(case, monkeypatch):
    monkeypatch.setattr(text_step, "BATCH_SIZE", 4)
    next(text_step.steps_of(case))


@pytest.mark.parametrize("head_size", [0, 100])
def test_a_likelihood_step_runs_against_the_plain_loop(head_size, monkeypatch):
    monkeypatch.setattr(text_step, "BATCH_SIZE", 4)
    step = next(text_step.likelihood_steps(300, head_size))
    assert 4 < step.values["loss/likelihood"] / 16 < 8  # 16 tokens a line, of 300
    next(text_step.plain_likelihood_loop(300))


def test_words_that_no_training_line_holds_are_counted_without_names():
    known = {"we", "saw", "the", "river"}
    lines = ["We saw the Volga.", "Rivver saw the river", "we saw"]
    words, with_one = unknown_words.unknown_shares(lines, known)
    assert words == 1 / 9 and with_one == 1 / 3


def test_the_end_of_a_song_is_what_sounds_with_its_last_note():
    bass = Track("bass", (Note(0, 48, 43), Note(48, 96, 31)), 0)
    melody = Track("melody", (Note(0, 48, 72), Note(60, 96, 71)), 0)
    assert endings.last_pitch_classes(Song((bass, melody), 96)) == {7, 11}
    assert {7, 11, 2} in endings.TRIADS and len(endings.TRIADS) == 24


def test_halves_are_related_where_their_signatures_are_neighbors():
    def scale(tonic, start):
        steps = (0, 2, 4, 5, 7, 9, 11, 12)
        return [Note(start + 10 * k, start + 10 * k + 10, tonic + s) for k, s in enumerate(steps)]

    for tonic, related in ((60, True), (67, True), (65, True), (62, False), (66, False)):
        song = Song((Track("a", (*scale(60, 0), *scale(tonic, 80))),), 160)
        assert endings.halves_are_related(song) is related


@pytest.mark.slow  # a run of text
def test_the_total_of_a_refined_generator_is_that_of_the_generator_minus_the_gain(
    tmp_path, monkeypatch, capsys
):
    run = train_tiny("text", tmp_path / "run").path
    settings = RefinementSettings(epochs=1, epoch_samples=32, validation_samples=32)
    with small_evaluations():
        refine(run, settings=settings)
    monkeypatch.setattr(sys, "argv", ["refined_likelihood", str(run), "--fakes", "64"])
    refined_likelihood.main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["num_fake"] == 64 and found["interval"][0] <= found["interval"][1]
    assert found["refined_nll_line"] == pytest.approx(found["nll_line"] - found["nats"])


@pytest.mark.slow  # subprocesses
def test_import_and_rendering_of_music_are_timed():
    assert music.importing(2)["cpu_s_per_1000"] > 0
    assert all(seconds > 0 for seconds in music.rendering(0.1).values())


@pytest.mark.slow  # subprocesses
def test_loading_of_images_is_timed():
    assert image_decoding.loading_times(4)["decoded_s"] > 0


def test_one_loop_over_the_text_is_compared_with_two_passes(monkeypatch):
    monkeypatch.setattr(text_step, "BATCH_SIZE", 4)
    generator = text_step.generator("lstm")
    next(text_step.forward_and_back(generator, generator))
    next(text_step.forward_and_back(generator, lambda z: text_step.one_loop(generator, z)))


def test_labels_are_drawn_in_the_proportion_of_the_data():
    labels = torch.tensor([0] * 5 + [1] * 2)
    drawn = faces.proportional_labels(labels, 10, keyed_rng(0))
    assert drawn.bincount().tolist() == [7, 3] and len(drawn) == 10


def test_runs_with_and_without_labels_are_compared_with_all_held_out_images(tmp_path, monkeypatch):
    monkeypatch.setattr(faces, "SAMPLES", 200)
    runs = [
        train_tiny("image", tmp_path / str(u), unconditional=u, steps=1).path for u in (False, True)
    ]
    refine(runs[0], settings=RefinementSettings(epochs=1, epoch_samples=64))
    with small_evaluations():
        labeled, plain = map(faces.measure, runs)
    assert plain["real (train)"] == labeled["real (train)"]  # the features are the same
    assert labeled["refined"]["candidates_per_sample"] >= 1 and "refined" not in plain
    assert all(
        found["real (train)"]["frechet_distance"] < found["generator"]["frechet_distance"]
        for found in (labeled, plain)
    )


def test_a_generator_of_few_images_is_compared_with_all_held_out_ones_of_the_class(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(fine_tuning, "SAMPLES", 100)
    run = train_tiny("image", tmp_path / "run", unconditional=True, steps=1).path
    digits = load_images("digits", resolution=16)
    few = fine_tuning.images_of_class(digits.split("train"), 3)
    assert fine_tuning.small_set(few, 5).equal(fine_tuning.small_set(few, 9)[:5])
    with small_evaluations():
        rows = fine_tuning.measure([run], digits, "3", draws=2)
    untrained, floor = rows[str(run)], rows["real (train)"]
    assert floor["frechet_distance"] < untrained["frechet_distance"]
    assert untrained["nearest_ratio"] > 1 and "frechet_distance_std" in untrained


def test_the_nearest_ratio_is_that_of_the_medians():
    train, real = torch.tensor([[0.0], [10.0]]), torch.tensor([[2.0], [14.0]])
    assert fine_tuning.nearest_ratio(torch.tensor([[1.0], [9.0]]), real, train) == 0.5
    assert fine_tuning.nearest_ratio(train, real, train) == 0


def test_the_tutorial_of_the_benchmark_has_its_published_settings():
    file = read_recipe("benchmarks/fashion")
    tutorial = build_recipe(file, file.tiny | {"objective": "dcgan-tutorial"}, seed=0)
    assert (tutorial.beta1, tutorial.beta2, tutorial.loss) == (0.5, 0.999, "nonsaturating")
    assert tutorial.generator_lr == tutorial.discriminator_lr == 2e-4
    assert not tutorial.penalties and tutorial.ema_halflife_samples == 0
    assert tutorial.generator.latent_dim == 100 and tutorial.generator.num_classes is None
    assert tutorial.discriminator.uses_batch_statistics
