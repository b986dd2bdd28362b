"""The first signal is noted, the second one works; afterwards everything is as before."""

import os
import signal
import threading

import pytest

from multigan.training.loop import Interrupted, SignalHandler


@pytest.mark.parametrize("number", SignalHandler.SIGNALS)
def test_the_first_signal_is_only_noted(number):
    before = signal.getsignal(number)
    with SignalHandler() as interrupt:
        assert interrupt.number is None
        os.kill(os.getpid(), number)
        assert interrupt.number == number
    assert signal.getsignal(number) is before


@pytest.fixture
def _python_handles_ctrl_c():
    """A background job inherits SIGINT ignored; Python's own handler stands in for this test."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_python_handles_ctrl_c")
def test_the_second_one_has_its_usual_effect():
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
