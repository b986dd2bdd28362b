"""Values that are not finite are found and named."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from multigan.engine.monitoring import first_not_finite


def test_finite_values_and_networks_have_no_culprit():
    values = {"loss/generator": 1e30, "logits/gap": -3.0}
    assert first_not_finite(values) is None
    assert first_not_finite(values, {"generator": nn.Linear(2, 2)}) is None
    assert first_not_finite({}) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_value_that_is_not_finite_is_named(bad):
    assert first_not_finite({"a": 1.0, "b": bad, "c": math.nan}) == "b"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_bad_weight_among_many_is_found_and_named(bad):
    network = nn.Sequential(nn.Linear(30, 30), nn.Linear(30, 30))
    with torch.no_grad():
        network[1].weight[17, 3] = bad
    found = first_not_finite({"a": 1.0}, {"ema": nn.Linear(2, 2), "generator": network})
    assert found == "generator.1.weight"


def test_a_bad_buffer_is_found_too():
    network = nn.BatchNorm1d(3)
    network.running_var[1] = math.nan
    assert first_not_finite({}, {"generator": network}) == "generator.running_var"
