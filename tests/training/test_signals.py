"""The first signal is noted, the second one works; afterwards everything is as before."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading

import pytest

from multigan.runs.directory import read_jsonl
from multigan.training.loop import Interrupted, SignalHandler


@pytest.fixture
def handled():
    """Give signals that a background job inherits as ignored a handler for this test."""
    found = {}

    def handle(number):
        found[number] = signal.signal(number, signal.default_int_handler)
        return signal.default_int_handler

    yield handle
    for number, handler in found.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SignalHandler.SIGNALS)
def test_the_first_signal_is_only_noted(number, handled):
    before = handled(number)
    with SignalHandler() as interrupt:
        assert interrupt.number is None
        os.kill(os.getpid(), number)
        assert interrupt.number == number
    assert signal.getsignal(number) is before


def test_the_second_one_has_its_usual_effect(handled):
    handled(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), SignalHandler():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with SignalHandler():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_interruption_ends_with_the_status_of_its_signal():
    assert Interrupted(signal.SIGTERM, "stopped").exit_status == 143
    assert Interrupted(signal.SIGINT, "stopped").exit_status == 130
    assert Interrupted(signal.SIGHUP, "stopped").exit_status == 129


def test_a_hang_up_that_is_ignored_stays_ignored():
    """As under nohup, whose runs are to outlive their terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SignalHandler() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert interrupt.number is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def control_the_terminal():
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.slow
def test_a_run_whose_terminal_is_closed_saves_and_ends_with_the_status_of_the_signal(tmp_path):
    out, (terminal, its) = tmp_path / "run", pty.openpty()
    command = [sys.executable, "-m", "multigan", "train", "points", "--tiny", "--steps", "1000000"]
    with subprocess.Popen(
        [*command, "--log-every", "1", "--save-every", "1000000", "--out", str(out)],
        stdin=its, stdout=its, stderr=its, start_new_session=True,
        preexec_fn=control_the_terminal,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        os.close(its)
        seen = b""
        while b"step/s" not in seen:  # the bar of its first steps
            seen += os.read(terminal, 1024)
        os.close(terminal)  # hangs up
        assert process.wait(timeout=120) == 128 + signal.SIGHUP
    saved = sorted(int(folder.name[5:]) for folder in (out / "checkpoints").glob("step-*"))
    assert saved[0] == 0 and saved[-1] == list(read_jsonl(out / "log.jsonl"))[-1]["step"] > 0
