import json
import math
from pathlib import Path

import pytest
import torch

from multigan.core.recipe_file import recipe_names
from tests.benchmarks import auc, augment, queue, seqgan_oracle


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(queue, "RESULTS", tmp_path)
    file = tmp_path / "toy.py"
    file.write_text("ROWS = {'a': {}, 'b': {'x': 2}}\nSEEDS = 2\ndef recipe(*, x: int = 1): ...")
    read = queue.read_recipe
    monkeypatch.setattr(queue, "read_recipe", lambda name: read(file))
    return tmp_path


def test_every_row_has_a_run_with_the_first_seed_before_any_has_a_second(results):
    made = [(job.row, job.seed, job.hyperparameters) for job in queue.jobs(["toy"])]
    assert made == [("a", 0, {}), ("b", 0, {"x": 2}), ("a", 1, {}), ("b", 1, {"x": 2})]
    assert [*queue.jobs(["toy"])][1].options() == ["benchmarks/toy", "--x=2", "--seed=0"]


def test_a_recipe_whose_data_are_a_random_subset_gets_another_with_each_seed(results):
    file = results / "toy.py"
    file.write_text("ROWS = {'a': {}}\nSEEDS = 2\ndef recipe(*, subset_seed: int = 0): ...")
    found = [job.hyperparameters for job in queue.jobs(["toy"])]
    assert found == [{"subset_seed": 0}, {"subset_seed": 1}]


def test_the_interval_of_the_gains_is_that_of_students_t():
    """By hand: mean 2, sd 1, t(2) = 4.3027 at 97.5 %."""
    low, high = augment.interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
    assert augment.interval([1.0]) == (-math.inf, math.inf)
    draws = [
        {
            "real": {"no_augmentation": 0.5 + gain / 2},
            "generator": {"no_augmentation": 0.5 + gain, "gain_no_augmentation": gain},
        }
        for gain in (0.01, 0.02, 0.03)
    ]
    assert augment.table({"n10": draws}).splitlines()[2:] == [
        "| n10 | 3 | real | 51.0 ± 1.2 |  |  |  |  |",
        "| n10 | 3 | generator | 52.0 ± 2.5 |  |  | +2.0 [-0.5, +4.5] |  |",
    ]


def test_a_table_has_means_and_deviations_of_the_last_row_and_no_row_without_results(results):
    for seed, value in enumerate((1.0, 3.0)):
        rows = {"real": {"frechet_distance": 0.5}, "generator": {"frechet_distance": value}}
        result = {"cpu_seconds": 10 + seed, "evaluation": {"rows": rows, "notes": []}}
        (results / f"toy-a-{seed}.json").write_text(json.dumps(result))
    assert queue.table("toy").splitlines() == [
        "| | seeds | CPU s | frechet_distance |",
        "|---|---|---|---|",
        "| a | 2 | 10 | 2 ± 1.4 |",
    ]


def test_what_has_a_result_is_not_run_again(results, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(queue, "run", ran.append)
    monkeypatch.setattr("sys.argv", ["queue", "toy"])
    (results / "toy-a-0.json").write_text("{}")
    queue.main()
    assert [(job.row, job.seed) for job in ran] == [("b", 0), ("a", 1), ("b", 1)]
    assert "toy-a-0.json: there already" in capsys.readouterr().out


def test_every_benchmark_recipe_names_its_rows():
    for name in recipe_names():
        if name.startswith(queue.FOLDER):
            assert queue.read_recipe(name).rows, name


def test_a_result_is_written_where_no_folder_was(results, monkeypatch):
    def pretend(verb, *arguments):
        if verb == "evaluate":
            Path(arguments[0]).mkdir()
            (Path(arguments[0]) / "evaluation.json").write_text('{"rows": {}}')

    monkeypatch.setattr(queue, "RESULTS", results / "new" / "results")
    monkeypatch.setattr(queue, "_multigan", pretend)
    queue.run(next(queue.jobs(["toy"])))
    written = json.loads((results / "new" / "results" / "toy-a-0.json").read_text())
    assert written["row"] == "a" and written["evaluation"] == {"rows": {}}


def test_a_run_that_fails_is_told_and_the_others_are_run(results, monkeypatch, capsys):
    ran = []

    def run(job):
        ran.append((job.row, job.seed))
        if job.row == "a":
            raise queue.subprocess.CalledProcessError(2, "multigan")

    monkeypatch.setattr(queue, "run", run)
    monkeypatch.setattr("sys.argv", ["queue", "toy"])
    with pytest.raises(SystemExit, match=r"not run: toy-a-0\.json, toy-a-1\.json"):
        queue.main()
    assert ran == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_the_lowest_figures_along_an_oracle_run_stand_beside_each_other():
    pairs = [(9.5, 8.0), (9.1, 8.2), (9.4, 7.6), (9.6, 7.7)]
    measured = [
        {"step": k, "nll_oracle": oracle_nll, "nll_held_out": held}
        for k, (oracle_nll, held) in enumerate(pairs)
    ]
    assert seqgan_oracle.table(measured).splitlines()[2:] == [
        "| lowest nll_oracle | 1 | 9.100 | 8.200 |",
        "| lowest nll_held_out | 2 | 9.400 | 7.600 |",
        "| last | 3 | 9.600 | 7.700 |",
    ]


def test_the_auc_is_the_chance_of_the_larger_logit():
    real, fake = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 2.0])
    assert auc.auc(real, fake) == pytest.approx((4 + 0.5) / 6)  # by hand: 4 pairs larger, one equal


def test_a_discriminator_is_asked_about_training_and_held_out_samples(points_run):
    found = auc.discriminator_auc(points_run)
    assert found.keys() == {"train", "valid"} and all(0 <= value <= 1 for value in found.values())
