"""Freed memory is kept for the next step, unless the user has chosen otherwise."""

import ctypes
import json
import sys

import pytest

from multigan.training.allocator import OWN_SETTINGS, SETTINGS, SWITCH, keep_freed_memory
from tests.run_helpers import python

# Page faults of steps that allocate 144 MiB and free them, before and after the settings. Glibc has
# no threshold above 32 MiB from which on a block is mapped: one block is larger than that.
COUNT = """
import json, resource
from multigan.training.allocator import keep_freed_memory

def faults(steps=20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        blocks = [bytearray(8 * 2**20) for _ in range(6)] + [bytearray(96 * 2**20)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def measured():
    faults(2)
    return faults()

print(json.dumps([measured(), keep_freed_memory(), measured()]))
"""
on_glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="the settings are glibc's",
)


@on_glibc
def test_steps_that_free_their_memory_cause_no_page_faults_again():
    done = python("-c", COUNT)
    assert done.returncode == 0, done.stderr
    before, made, after = json.loads(done.stdout)
    assert made
    assert after < before / 20  # 144 MiB a step, whatever the size of a page


@on_glibc
@pytest.mark.parametrize(
    ("name", "value"),
    [(SWITCH, "default"), (OWN_SETTINGS[0], "1"), ("GLIBC_TUNABLES", "glibc.malloc.top_pad=1")],
)
def test_a_choice_of_the_user_is_respected(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("the allocator must be left alone"))
    assert not keep_freed_memory()


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # as musl's: without glibc's version
    assert not keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("must not be asked"))
    assert not keep_freed_memory()


@on_glibc
def test_every_setting_is_an_int_of_c():
    assert all(0 <= value < 2**31 for _, value in SETTINGS.values())
