"""A damaged file is read or refused in one line; `make fuzz` tries thousands."""

import pytest

from tests.fuzz.__main__ import shares
from tests.fuzz.harness import MAX_SECONDS, READERS, Fed, feed, problem
from tests.fuzz.reader import Reader

INPUTS = 500  # over all readers; `make fuzz` feeds other ones
SEED = 1


@pytest.mark.parametrize(("name", "count"), shares(INPUTS, list(READERS)).items())
def test_a_damaged_file_is_read_or_refused_in_one_line(name, count, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fed = feed(name, count, tmp_path, SEED)
    assert fed.failures == {}, "each failing input is in the file that is named beside it"
    assert fed.inputs == count
    assert fed.slowest_seconds < MAX_SECONDS


def said(read, file):
    return problem(Reader("x", lambda folder: [], read), file, Fed())


def test_what_is_none_of_our_lines_is_a_failure(tmp_path):
    file = tmp_path / "x"

    def raises(error):
        def read(path):
            raise error

        return read

    def warns(path):
        import warnings

        warnings.warn("overflow", RuntimeWarning, stacklevel=1)

    assert said(lambda path: None, file) is None
    assert said(raises(ValueError(f"{file}: is damaged")), file) is None
    assert "TypeError" in said(raises(TypeError("x")), file)
    assert "RecursionError" in said(raises(RecursionError("x")), file)
    assert "without the file" in said(raises(ValueError("invalid literal")), file)
    assert "of another's" in said(raises(ValueError("x:\nline two")), file)
    assert "of another's" in said(raises(UnicodeDecodeError("utf-8", b"", 0, 1, "x")), file)
    assert "RuntimeWarning" in said(warns, file)


def test_an_endless_reader_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.harness.MAX_SECONDS", 0.2)

    def forever(path):
        while True:
            pass

    assert "TooSlow" in said(forever, tmp_path / "x")


def test_a_failing_input_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.fuzz.harness.FAILED", tmp_path / "failed")
    broken = Reader(
        "x.bin", lambda folder: [b"abc"], lambda path: path.read_bytes() == b"abc" or 1 / 0
    )
    monkeypatch.setitem(READERS, "broken", broken)
    fed = feed("broken", 5, tmp_path / "work")
    (wrong,) = fed.failures
    assert wrong.startswith("ZeroDivisionError")
    (kept,) = (tmp_path / "failed").iterdir()
    assert fed.failures[wrong] == str(kept) and kept.read_bytes() != b"abc"
