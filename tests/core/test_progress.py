"""Work longer than a moment shows how much is done; shorter work shows nothing."""

import io
import sys
import time

import pytest

from multigan.core import progress
from multigan.core.progress import tracked


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that every item advances by one second."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def items(count):
        for k in range(count):
            now[0] += 1
            yield k

    return items


def shown(monkeypatch, stream, items, total):
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(tracked(items, total, "images read")) == list(range(total))
    return stream.getvalue()


def test_a_terminal_gets_one_line_that_is_erased(monkeypatch, clock):
    parts = shown(monkeypatch, Terminal(), clock(4), 4).split("\r")
    assert [part.strip() for part in parts] == [
        "", "2 of 4 images read, 2 s left", "3 of 4 images read, 1 s left",
        "4 of 4 images read, 0 s left", "", "",
    ]  # fmt: skip


def test_a_file_gets_few_lines_and_chunks_count_as_what_they_hold(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    assert len(list(tracked(clock(70), 6_980, "images read", 100))) == 70
    lines = stream.getvalue()
    assert lines.splitlines() == [
        "3,000 of 6,980 images read, 40 s left", "6,000 of 6,980 images read, 10 s left",
    ]  # fmt: skip


def test_short_work_and_a_stream_that_is_gone_show_nothing(monkeypatch, clock):
    assert shown(monkeypatch, Terminal(), iter(range(4)), 4) == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    sys.stderr.close()
    progress._print("unseen")
    monkeypatch.setattr(sys, "stderr", None)
    assert list(tracked(clock(40), 40, "songs")) == list(range(40))
