"""Devices and processes of a training, and what is said of them."""

from __future__ import annotations

import warnings

import pytest

from multigan.training import device
from tests.toy_domain import ToyData


@pytest.mark.parametrize(("num_workers", "in_memory"), [(0, False), (2, False), (3, True)])
def test_no_more_workers_than_cpus_and_data_in_memory_are_not_mentioned(
    num_workers, in_memory, monkeypatch
):
    monkeypatch.setattr(device, "available_cpus", lambda: 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        device.warn_of_many_workers(ToyData(4, in_memory=in_memory), num_workers)


def test_more_workers_than_cpus_are_a_warning_in_one_line(monkeypatch):
    monkeypatch.setattr(device, "available_cpus", lambda: 2)
    with pytest.warns(UserWarning, match=r"--num-workers 3 is more than the CPUs .* \(2\)"):
        device.warn_of_many_workers(ToyData(4, in_memory=False), 3)
