"""What the stored results of the benchmarks promise, over their seeds."""

from __future__ import annotations

import json
from statistics import mean
from typing import Any

import pytest

from tests.benchmarks.queue import jobs


def results(recipe: str) -> dict[str, dict[int, dict[str, Any]]]:
    """The figures of the model, by row and seed, of every result that there is."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for job in jobs([recipe]):
        if job.result.is_file():
            rows = json.loads(job.result.read_text())["evaluation"]["rows"]
            found.setdefault(job.row, {})[job.seed] = rows["generator"]
    return found


@pytest.mark.parametrize(("shape", "modes"), [("ring", 8), ("grid", 25)])
def test_every_mode_of_the_mixtures_is_found_with_ten_seeds(shape, modes):
    found = results("mixtures")[f"{shape}_r3"]
    assert len(found) == 10 and all(row["modes"] == modes for row in found.values())
    if shape == "grid":
        assert all(
            row["high_quality_fraction"] >= 0.94 and row["reverse_kl"] <= 0.04
            for row in found.values()
        )


def test_stacked_digits_have_all_modes_and_nearly_equal_shares():
    found = results("stacked_digits")["r3"]
    floor = 0.0192  # of 26,000 fair draws
    assert len(found) == 3
    assert all(
        row["modes_covered"] >= 990 and row["kl_to_uniform"] <= floor + 0.10
        for row in found.values()
    )


def test_clothes_of_r3_are_nearer_to_real_ones_than_those_of_dcgan():
    found = results("fashion")
    assert len(found["r3"]) == len(found["dcgan"]) == 3
    for seed, row in found["r3"].items():
        assert row["class_accuracy"] >= 0.85
        assert row["frechet_distance"] < found["dcgan"][seed]["frechet_distance"]


def test_automatic_gamma_is_within_a_quarter_of_the_best_of_the_grid():
    """On each of four sets, by the mean of three seeds."""
    found = results("gamma")
    headline = dict.fromkeys(("ring", "grid"), "total_variation")
    for data in ("digits", "ring", "grid", "mnist"):
        metric = headline.get(data, "frechet_distance")
        rows = {row: seeds for row, seeds in found.items() if row.startswith(data)}
        means = {row: mean(seeds[seed][metric] for seed in seeds) for row, seeds in rows.items()}
        assert all(len(seeds) == 3 for seeds in rows.values()) and len(rows) == 5
        auto = means.pop(f"{data}_auto")
        assert auto <= 1.25 * min(means.values())
