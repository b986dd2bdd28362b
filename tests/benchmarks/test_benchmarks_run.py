"""Every benchmark of `make bench` runs on the present code, at the smallest size."""

from __future__ import annotations

import pytest
import torch

from multigan import refine
from multigan.core.evaluation_size import small_evaluations
from multigan.core.recipe_file import build_recipe, read_recipe
from multigan.core.rng import keyed_rng
from multigan.engine.refinement import RefinementSettings
from tests.benchmarks import engine_step, faces, image_decoding, music, text_step
from tests.run_helpers import train_tiny


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


def test_the_tutorial_of_the_benchmark_has_its_published_settings():
    file = read_recipe("benchmarks/fashion")
    tutorial = build_recipe(file, file.tiny | {"objective": "dcgan-tutorial"}, seed=0)
    assert (tutorial.beta1, tutorial.beta2, tutorial.loss) == (0.5, 0.999, "nonsaturating")
    assert tutorial.generator_lr == tutorial.discriminator_lr == 2e-4
    assert not tutorial.penalties and tutorial.ema_halflife_samples == 0
    assert tutorial.generator.latent_dim == 100 and tutorial.generator.num_classes is None
    assert tutorial.discriminator.uses_batch_statistics
