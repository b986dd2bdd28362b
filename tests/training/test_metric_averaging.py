"""The averager returns means of sums on the device, and survives a checkpoint."""

import pytest
import torch

from multigan.training.metric_logging import MetricAverager


def metered(*values):
    meter = MetricAverager()
    for value in values:
        meter.add({"loss": torch.tensor(value), "rate": value})
    return meter


def test_tensors_are_averaged_and_the_last_number_is_kept():
    assert metered(1.0, 2.0, 6.0).read() == {"loss": 3.0, "rate": 6.0}


def test_a_value_that_comes_in_some_steps_only_is_averaged_over_those():
    meter = metered(1.0, 2.0)
    meter.add({"penalty": torch.tensor(5.0)})
    assert meter.read()["penalty"] == 5.0


def test_reading_starts_anew():
    meter = metered(1.0)
    meter.read()
    assert meter.read() == {}
    meter.add({"loss": torch.tensor(4.0)})
    assert meter.read() == {"loss": 4.0}


def test_a_value_that_is_not_finite_stays_visible():
    assert metered(1.0, float("inf")).read()["loss"] == float("inf")


def test_adding_does_not_keep_or_change_the_tensor_that_was_given():
    value, meter = torch.tensor(1.0), MetricAverager()
    meter.add({"loss": value})
    meter.add({"loss": value})
    assert value == 1.0
    value += 10
    assert meter.read() == {"loss": 1.0}


def test_a_meter_that_was_saved_between_two_readings_goes_on():
    state = metered(1.0, 2.0).state()
    restored = MetricAverager()
    restored.restore(state, torch.device("cpu"))
    restored.add({"loss": torch.tensor(6.0), "rate": 6.0})
    assert restored.read() == pytest.approx(metered(1.0, 2.0, 6.0).read())
