"""Flags are the same for the command line and for Python, and settle before a run starts."""

import pytest

from multigan.runs.train_options import StageOptions, TrainOptions, split_options


def test_flags_and_hyperparameters_are_split():
    flags, hyperparameters = split_options({"steps": 5, "seed": 3, "out": "x", "width": 8})
    assert (flags.seed, flags.out) == (3, "x") and hyperparameters == {"steps": 5, "width": 8}


@pytest.mark.parametrize(
    ("steps", "log_every", "save_every"), [(1, 1, 1), (20, 1, 2), (3000, 30, 300)]
)
def test_open_intervals_are_shares_of_the_run(steps, log_every, save_every):
    resolved = TrainOptions().resolved(steps)
    assert (resolved.log_every, resolved.save_every) == (log_every, save_every)
    assert resolved.sample_every == save_every and resolved.patience is None


def test_a_given_interval_wins():
    resolved = TrainOptions(save_every=7, log_every=3).resolved(1000)
    assert (resolved.log_every, resolved.sample_every, resolved.save_every) == (3, 7, 7)


@pytest.mark.parametrize("name", ["log_every", "sample_every", "save_every", "patience"])
def test_an_interval_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be 1 or more; got 0"):
        TrainOptions(**{name: 0}).resolved(10)


def test_a_resumed_run_keeps_its_flags_but_no_paths():
    flags = TrainOptions(out="x", init_from="y", overwrite=True, seed=4, num_workers=2, log_every=5)
    kept = flags.to_json()
    assert TrainOptions(**kept) == TrainOptions(num_workers=2, log_every=5)


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="num_workers must be 0 or more; got -1"):
        TrainOptions(num_workers=-1).resolved(10)


def test_default_intervals_are_fractions_of_each_stage_and_others_hold_in_both():
    adversarial, likelihood = StageOptions.resolved(TrainOptions(sample_every=7), 160, 4000)
    assert (adversarial.log_every, adversarial.save_every, adversarial.sample_every) == (1, 16, 7)
    assert (likelihood.log_every, likelihood.save_every, likelihood.sample_every) == (40, 400, 7)


def test_the_intervals_of_both_stages_come_back():
    stages = StageOptions.resolved(TrainOptions(), 160, 4000)
    kept = stages.to_json()
    assert StageOptions.from_json(kept) == stages
    assert StageOptions.from_json(kept, "cpu").likelihood.device == "cpu"
    del kept["likelihood_intervals"]  # an older run
    assert StageOptions.from_json(kept).likelihood == stages.adversarial


def test_the_log_has_the_lines_of_both_stages():
    stages = StageOptions.resolved(TrainOptions(), 200, 1000)
    assert stages.expected_log_steps(25, 31) == [10, 20, 26, 28, 30]


@pytest.mark.parametrize("crafted", [[], "log_every", 3, {"device": "cuda"}, {"log_every": "3"}])
def test_invalid_intervals_are_refused_in_one_line(crafted):
    kept = StageOptions.resolved(TrainOptions(), 9, 0).to_json() | {"likelihood_intervals": crafted}
    with pytest.raises(ValueError, match="log_every"):
        StageOptions.from_json(kept)
