"""Devices and processes of a training, and what is said of them."""

from __future__ import annotations

import warnings

import pytest
import torch

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


@pytest.mark.parametrize(
    ("capabilities", "precision", "where", "warns"),
    [
        ({"avx512_bf16": False, "amx_bf16": False}, "bf16", "cpu", True),
        ({}, "bf16", "cpu", True),
        ({"avx512_bf16": True}, "bf16", "cpu", False),
        ({"bf16": True}, "bf16", "cpu", False),
        ({}, "fp32", "cpu", False),
        ({}, "bf16", "cuda:0", False),
    ],
)
def test_bf16_is_slow_only_on_a_processor_without_instructions_for_it(
    monkeypatch, capabilities, precision, where, warns
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        device.warn_of_emulated_bf16(precision, where)
    assert [str(w.message) for w in caught] == warns * [
        "bf16 is many times slower than fp32 on a processor without instructions for it; "
        "try --precision fp32"
    ]
