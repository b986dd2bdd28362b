"""Any file with a sentence on each line is read, or refused in one line."""

import pytest

from multigan.core.data_counts import DataCounts
from multigan.text.datasets import line_files as module
from multigan.text.datasets.line_files import read_lines, split_lines


def written(tmp_path, content):
    file = tmp_path / "my.txt"
    file.write_bytes(content)
    return file


@pytest.mark.parametrize(
    "content",
    [
        b"one\ntwo words\nthree\n",
        b"one\ntwo words\nthree",
        b"one\r\ntwo words\r\nthree\r\n",
        b"one\rtwo words\rthree\r",
        b"\xef\xbb\xbfone\n\n  \n two words \t\nthree\n\n",
    ],
    ids=["plain", "no newline at the end", "CRLF", "CR", "byte order mark, blanks"],
)
def test_line_ends_blanks_and_marks_do_not_matter(tmp_path, content):
    assert read_lines(written(tmp_path, content)) == ["one", "two words", "three"]


def test_paragraphs_and_whole_files_are_units(tmp_path):
    file = written(tmp_path, b"one\ntwo\n\n \r\nthree\n\nfour\n")
    assert read_lines(file, "paragraph") == ["one two", "three", "four"]
    assert read_lines(file, "file") == ["one two three four"]
    with pytest.raises(ValueError, match="unit must be one of line, paragraph, file; got 'word'"):
        read_lines(file, "word")


def test_breaks_that_are_no_newlines_become_spaces(tmp_path):
    file = written(tmp_path, "a\x0cb\u2028c\nd\n".encode())
    assert read_lines(file) == ["a b c", "d"]


def test_what_is_not_utf8_is_refused_with_its_place_and_a_way_out(tmp_path):
    file = written(tmp_path, "eins\nzwei ä\n".encode("latin-1"))
    with pytest.raises(
        ValueError, match=r"my\.txt, line 2: must be UTF-8; .*iconv -f .* my-utf8\.txt"
    ):
        read_lines(file)


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be"])
def test_what_is_utf16_is_said_to_be(tmp_path, coding):
    with pytest.raises(
        ValueError, match=r"my\.txt must be UTF-8; it is UTF-16: iconv -f UTF-16 -t UTF-8"
    ):
        read_lines(written(tmp_path, "\ufeffeins\nzwei\n".encode(coding)))


@pytest.mark.parametrize("content", [b"", b"\n \r\n\t\n"])
def test_a_file_without_text_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match="got no line with text"):
        read_lines(written(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.txt must be a readable text file: No such file"):
        read_lines(tmp_path / "none.txt")


def test_endless_lines_are_left_out_and_never_held_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 10)
    asked = []
    file = written(tmp_path, b"short\n" + b"x" * 1000 + b"\nafter\n" + b"y" * 35)
    read = module._raw_lines

    class Watched:
        def __init__(self, stream):
            self.stream = stream

        def readline(self, size):
            asked.append(size)
            return self.stream.readline(size)

    monkeypatch.setattr(module, "_raw_lines", lambda stream: read(Watched(stream)))
    counts = DataCounts("lines")
    assert read_lines(file, counts=counts) == ["short", "after"]
    assert [(row.use, row.count) for row in counts.rows] == [("left out", 2)]
    assert max(asked) <= 11


def test_a_file_of_endless_lines_alone_is_said_to_be(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 20)
    with pytest.raises(ValueError, match="one sentence on each line; got lines longer than"):
        read_lines(written(tmp_path, b"word " * 10))


def test_a_line_of_just_the_longest_length_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 5)
    assert read_lines(written(tmp_path, b"12345\nabc\n12345")) == ["12345", "abc", "12345"]


def test_more_lines_than_there_is_room_for_are_cut_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINES", 2)
    with pytest.warns(UserWarning, match="only its first 2 lines"):
        assert read_lines(written(tmp_path, b"a\nb\nc\n")) == ["a", "b"]


def test_splits_are_disjoint_whole_and_independent_of_order():
    lines = [f"line {k % 150}" for k in range(200)]
    parts = split_lines(lines)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 102,
        "valid": 24,
        "test": 24,
    }
    assert sorted(line for part in parts.values() for line in part) == sorted(set(lines))
    again = split_lines(lines[::-1])
    assert {name: set(part) for name, part in again.items()} == {
        name: set(part) for name, part in parts.items()
    }


def test_splits_are_the_same_in_every_process():
    parts = split_lines([f"line {k}" for k in range(10)])
    assert parts["test"] == ["line 6", "line 7"] and parts["valid"] == ["line 2", "line 9"]


@pytest.mark.parametrize(("lines", "held"), [(3, 1), (9, 1), (50, 10), (300, 24), (1000, 40)])
def test_a_small_file_still_holds_out_something_to_measure_with(lines, held):
    parts = split_lines([f"line {k}" for k in range(lines)])
    assert [len(parts[name]) for name in ("test", "valid")] == [held, held]


def test_three_lines_are_enough_and_two_are_not():
    assert all(len(part) == 1 for part in split_lines(["a", "b", "c", "a"]).values())
    with pytest.raises(ValueError, match=r"3 or more, .* got 2"):
        split_lines(["a", "b", "a"])
