"""Tables of every kind give their column of texts, or are refused with the reason."""

import json

import pytest

from multigan.core.data_counts import DataCounts
from multigan.text.commands import inspect_text
from multigan.text.datasets.sources import ReadOptions, read_corpus
from multigan.text.datasets.text_lines import TextLineDataset
from multigan.text.formats.tables import read_cells, read_table

TEXTS = [f"the cat number {k} sees a small door" for k in range(60)]
MOODS = ["glad", "sad"]


def csv_of(delimiter=",", header="id,text,mood", text='"{}, really"'):
    rows = [header.replace(",", delimiter)] if header else []
    rows += [
        delimiter.join([str(900 + k), text.format(line), MOODS[k % 2]])
        for k, line in enumerate(TEXTS)
    ]
    return "\r\n".join(rows) + "\r\n"


def json_of(key="text"):
    return [{"id": k, key: f"{line}, \u00e9", "mood": MOODS[k % 2]} for k, line in enumerate(TEXTS)]


FILES = {
    "a.csv": csv_of(),
    "mark.csv": "\ufeff" + csv_of(),
    "semicolon.csv": csv_of(";"),
    "unnamed.csv": csv_of(header="id,what people said,mood"),
    "headless.csv": csv_of(header=""),
    "a.tsv": csv_of("\t", text='{} he said "no'),
    "quoted.tsv": csv_of("\t"),
    "a.jsonl": "\n".join(map(json.dumps, json_of())),
    "a.ndjson": "\n\n".join(map(json.dumps, json_of("Tweet"))),
    "list.json": json.dumps(json_of("content")),
    "texts.json": json.dumps(TEXTS),
    "inside.json": json.dumps({"version": 1, "data": json_of()}),
    "lines.txt": "\n".join(map(json.dumps, json_of())),
    "stated.csv": "sep=;\r\n" + csv_of(";"),
    "list.jsonl": json.dumps(json_of()),
    "pretty.jsonl": json.dumps(json_of(), indent=1),
    "list.txt": json.dumps(json_of()),
    "pretty.txt": json.dumps(json_of(), indent=1),
    "nested.jsonl": "\n".join(json.dumps({"data": {"doc": row}}) for row in json_of()),
    "columns.json": json.dumps({"id": list(range(60)), "text": TEXTS}),
    "pandas.json": json.dumps({"text": dict(enumerate(TEXTS)), "id": dict.fromkeys(range(60), 1)}),
}


def written(folder, name, content):
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def cells(file, text_column="", label_column=""):
    return read_cells(file, text_column, label_column, DataCounts("texts"))


def test_a_first_row_whose_class_occurs_again_is_no_header(tmp_path):
    rows = "".join(f"{text},{MOODS[k % 2]}\n" for k, text in enumerate(["cats win", *TEXTS]))
    texts, labels = cells(written(tmp_path, "a.csv", rows), "1", "2")
    assert list(texts) == ["cats win", *TEXTS] and set(labels) == set(MOODS)
    twice = "phrase,mood\n" + rows + "phrase,mood\n"
    texts, _ = cells(written(tmp_path, "b.csv", twice), "phrase", "mood")
    assert list(texts) == ["cats win", *TEXTS]


@pytest.mark.parametrize("name", FILES)
def test_the_column_of_texts_is_found(name, tmp_path):
    file = written(tmp_path, name, FILES[name])
    texts, labels = cells(file)
    assert len(texts) == 60 and texts[3].startswith(TEXTS[3]) and set(labels) == {""}
    assert not any(mark in texts[3] for mark in ("90", "glad", "\\u", "{"))
    corpus = read_corpus(str(file))
    assert sum(len(part) for part in corpus.lines.values()) == 60


def test_parquet_is_read(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.Table.from_pylist(json_of()), tmp_path / "a.parquet")
    texts, labels = cells(tmp_path / "a.parquet", label_column="mood")
    assert texts[0] == f"{TEXTS[0]}, \u00e9" and labels[:3] == ["glad", "sad", "glad"]
    with pytest.raises(ValueError, match="must be a Parquet file"):
        cells(written(tmp_path, "b.parquet", b"PAR1 no more"))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "inside.json"])
def test_a_column_of_labels_names_the_classes(name, tmp_path):
    file = written(tmp_path, name, FILES[name])
    data = TextLineDataset(str(file), tokenizer="word", label_column="mood")
    assert data.domain.class_names == ("glad", "sad")
    for k, text in enumerate(data.texts):
        number = int(text.split()[3])
        assert int(data.labels[k]) == number % 2
    assert data.batch(data.labels.nonzero()[:2, 0]).condition.label.tolist() == [1, 1]


def test_a_column_of_labels_is_offered(tmp_path, capsys):
    rows = [{"text": line, "meta": {"label": MOODS[k % 2]}} for k, line in enumerate(TEXTS)]
    file = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    inspect_text(str(file))
    assert "columns that --label-column makes classes: meta.label" in capsys.readouterr().out
    inspect_text(str(file), label_column="meta.label")
    printed = capsys.readouterr().out
    assert "classes: glad 30, sad 30" in printed and "--label-column" not in printed


def test_a_stated_column_wins_over_a_found_one(tmp_path):
    rows = [{"text": line, "answer": f"no, {line}"} for line in TEXTS]
    file = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert cells(file, "answer")[0][0] == f"no, {TEXTS[0]}"
    plain = written(tmp_path, "plain.txt", csv_of())
    assert cells(plain, "text")[0][0] == f"{TEXTS[0]}, really"


def test_rows_that_cannot_be_used_are_counted(tmp_path):
    rows = [{"text": line, "mood": "glad"} for line in TEXTS]
    rows += [{"text": None, "mood": "sad"}, {"text": 5}, {"text": " "}, {"mood": "sad"}]
    rows += [{"text": "no label"}, {"text": "two\nlines of it", "mood": 1}]
    rows += [{"text": "half \ud800 of one", "mood": 2.5}, {"text": "x" * 70_000, "mood": "sad"}]
    file = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    counts = DataCounts("texts")
    texts, labels = read_cells(file, "", "mood", counts)
    assert texts[60:] == ["two lines of it", "half ? of one"] and labels[60:] == ["1", "2.5"]
    found = {(row.use, row.reason): row.count for row in counts.rows}
    assert found == {
        ("changed", "line breaks became spaces"): 1,
        ("changed", "broken characters replaced"): 1,
        ("left out", "without a text"): 3,
        ("left out", "text is no text"): 1,
        ("left out", "without a mood"): 1,
        ("left out", "longer than 65,536 characters"): 1,
    }


def test_cells_beyond_the_columns_are_counted(tmp_path):
    counts = DataCounts("texts")
    content = "id,text\n" + "1,one and two, and three\n2,four and five\n" * 3
    texts, _ = read_cells(written(tmp_path, "a.csv", content), "", "", counts)
    assert texts[:2] == ["one and two, and three", "four and five"]
    found = {(row.use, row.reason): row.count for row in counts.rows}
    assert found == {("changed", "cells beyond the columns joined to the text"): 3}
    counts = DataCounts("texts")
    content = "text,mood\n" + "one and two, and three,sad\nfour and five,glad,\n" * 3
    found = read_cells(written(tmp_path, "b.csv", content), "", "mood", counts)
    assert found == (["four and five"] * 3, ["glad"] * 3)
    assert [(row.reason, row.count) for row in counts.rows] == [("with more cells than columns", 3)]


AS_PROGRAMS_WRITE = {
    "escaped.csv": "id,text\n" + "".join(f'{k},"he said \\"{t}\\""\n' for k, t in enumerate(TEXTS)),
    "comment.csv": "# export\n# of today, at noon\nid,text,n\n"
    + "".join(f'{k},he said "{t}",2\n' for k, t in enumerate(TEXTS)),
    "spaces.csv": "id, text\n" + "".join(f'{k}, "he said ""{t}"""\n' for k, t in enumerate(TEXTS)),
    "twice.csv": "text,text\n" + "".join(f'"he said ""{t}""",5\n' for t in TEXTS),
    "joined.csv": "text,n\n"
    + "text,n\n".join(f'"he said ""{t}""",5\n' for t in TEXTS),
    "map.json": json.dumps({f"line {k}": f'he said "{t}"' for k, t in enumerate(TEXTS)}),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_PROGRAMS_WRITE)
def test_quotes_comments_and_headers_are_read_as_programs_write_them(name, tmp_path):
    counts = DataCounts("texts")
    texts, _ = read_cells(written(tmp_path, name, AS_PROGRAMS_WRITE[name]), "", "", counts)
    assert texts == [f'he said "{text}"' for text in TEXTS]
    assert [(row.use, row.reason, row.count) for row in counts.rows] == {
        "comment.csv": [("ignored", "lines before the names of columns", 2)],
        "joined.csv": [("left out", "repeats of the names of columns", 59)],
    }.get(name, [])


def test_a_stated_column_is_found_in_another_case(tmp_path):
    file = written(tmp_path, "a.csv", csv_of(header="ID, Text ,Mood"))
    texts, labels = cells(file, "text", "mood")
    assert texts[0].startswith(TEXTS[0]) and labels[:2] == MOODS


def test_folders_of_texts_are_classes_if_asked_for(tmp_path, capsys):
    for k, text in enumerate(TEXTS):
        folder = tmp_path / ("train" if k < 40 else "test") / MOODS[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        written(folder, f"{k}.txt", text)
    inspect_text(str(tmp_path))
    assert "--label-column folder makes classes: glad, sad" in capsys.readouterr().out
    corpus = read_corpus(str(tmp_path), options=ReadOptions(label_column="folder"))
    assert corpus.class_names == ("glad", "sad")
    for split in corpus.lines:
        for text, label in zip(corpus.lines[split], corpus.labels[split], strict=True):
            assert int(text.split()[3]) % 2 == label


def test_held_out_texts_that_are_training_texts_are_said_to_be(tmp_path):
    written(tmp_path, "train.txt", "\n".join(TEXTS[:40]))
    written(tmp_path, "test.txt", "\n".join(TEXTS[37:]))
    with pytest.warns(UserWarning, match=r"\d of \d+ held-out texts are training texts too"):
        read_corpus(str(tmp_path))


PLAIN_TABLES = {
    "a.txt": (csv_of(text="{}"), "--text-column: id, text, mood"),
    "b.txt": (csv_of("\t", header="", text="{}"), "--text-column: 1, 2, 3"),
}


@pytest.mark.parametrize("name", PLAIN_TABLES)
def test_a_text_file_that_looks_like_a_table_is_said_to(name, tmp_path):
    content, named = PLAIN_TABLES[name]
    with pytest.warns(UserWarning, match=rf"every line has 3 cells, .*{named}$"):
        read_corpus(str(written(tmp_path, name, content)))


def test_lines_with_commas_are_no_table(tmp_path):
    read_corpus(str(written(tmp_path, "a.txt", "\n".join(f"{line}, really" for line in TEXTS))))


def test_folders_of_splits_are_used_and_other_files_are_counted(tmp_path):
    for name, part in (
        ("train/pos", TEXTS[:30]),
        ("train/neg", TEXTS[30:40]),
        ("test", TEXTS[40:]),
    ):
        (tmp_path / name).mkdir(parents=True)
        written(tmp_path / name, "a.txt", "\n".join(part))
    corpus = read_corpus(str(tmp_path))
    assert corpus.lines["test"] == TEXTS[40:] and not set(corpus.lines["train"]) & set(TEXTS[40:])
    written(tmp_path, "train.csv", csv_of())
    written(tmp_path, "sample_submission.csv", "id,label\n1,2\n")
    rows = {(row.use, row.reason): row.count for row in read_corpus(str(tmp_path)).counts.rows}
    assert rows["ignored", "other files"] == 4


REFUSED = {
    "two.csv": ("q,a\n" + "one two three,four five six\n" * 5, "several .*--text-column: q, a"),
    "numbers.csv": ("a,b\n1,2\n3,4\n", "no column holds words"),
    "empty.csv": ("", "it is empty"),
    "header.csv": ("id,text\n", "it has only names of columns"),
    "broken.jsonl": ('{"text": "a b"}\n{"text": \n', "line 2: must be JSON"),
    "number.json": ("5", "must be a JSON list"),
    "numbers.json": ("[1, 2]", "must hold objects or texts; got a int"),
    "latin.csv": ("id,text\n1,caf\u00e9 cr\u00e8me\n".encode("cp1252") * 9, "must be UTF-8"),
    "packed.csv": (b"\x1f\x8b\x08\x00", "it is a gzip file"),
    "open.csv": ('id,text\n1,one two\n2,"three four\n3,five six\n', "line 3 must be closed"),
    "two.json": ('{"train": [{"text": "a b"}], "test": [{"text": "c d"}]}', "one list; got train"),
    "words.jsonl": ('{"text": ["a", "b"]}\n' * 9, r"no column holds words; .*text \(lists\)"),
    "rows.jsonl": ('["a b", 1]\n' * 9, "must hold objects or texts; got a list"),
    "pointer.csv": ("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "long.csv": ("id,text\n1," + "x" * 1_100_000 + "\n", "must be a table; got"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_without_texts_is_refused_with_the_reason(name, tmp_path):
    content, reason = REFUSED[name]
    file = written(tmp_path, name, content)
    with pytest.raises(ValueError, match=reason) as error:
        cells(file)
    assert "\n" not in str(error.value)


def test_options_that_do_not_apply_are_refused(tmp_path):
    table = written(tmp_path, "a.csv", csv_of())
    for options, reason in (
        (ReadOptions("none"), "text_column must be a column of .*: id, text, mood; got 'none'"),
        (ReadOptions("", "none"), "label_column must be a column of .*; got 'none'"),
        (ReadOptions("", "id"), "2 to 1000 different labels|texts with a label|length"),
        (ReadOptions("", "", "paragraph"), "unit must be line for a table"),
    ):
        with pytest.raises(ValueError, match=reason):
            corpus = read_corpus(str(table), options=options)
            assert len(corpus.class_names) < 50, "length"  # a class for every text
            raise ValueError("length")
    with pytest.raises(ValueError, match="label_column is of files; got 'mood' for phrases"):
        read_corpus("phrases", options=ReadOptions("", "mood"))


def test_files_of_splits_are_used_whatever_they_are_called(tmp_path):
    for name, part in (("train", TEXTS[:40]), ("Dev", TEXTS[40:50]), ("test", TEXTS[50:])):
        written(tmp_path, f"{name}.jsonl", "\n".join(json.dumps({"text": line}) for line in part))
    corpus = read_corpus(str(tmp_path))
    assert [corpus.lines[name] for name in ("train", "valid", "test")] == [
        TEXTS[:40], TEXTS[40:50], TEXTS[50:],
    ]  # fmt: skip
    (tmp_path / "test.jsonl").unlink()
    corpus = read_corpus(str(tmp_path))
    assert corpus.lines["valid"] == TEXTS[40:50] and len(corpus.lines["test"]) == 8
    assert not set(corpus.lines["train"]) & set(corpus.lines["test"])
    written(tmp_path, "val.txt", "x\n")
    with pytest.raises(ValueError, match=r"one file of valid lines; got Dev\.jsonl and val\.txt"):
        read_corpus(str(tmp_path))


def test_a_folder_of_files_is_read_as_one_and_what_is_not_text_is_counted(tmp_path, capsys):
    (tmp_path / "deep").mkdir()
    written(tmp_path, "a.txt", "\n".join(TEXTS[:30]) + "\n" + TEXTS[0])
    written(tmp_path / "deep", "b.md", "\n".join(TEXTS[30:]))
    written(tmp_path, "notes.txt", "caf\u00e9\n".encode("cp1252"))
    written(tmp_path, "cover.png", b"\x89PNG")
    inspect_text(str(tmp_path))
    printed = capsys.readouterr().out
    assert (
        "60 texts" in printed
        and "1  files that are not readable: must be UTF-8: notes.txt" in printed
    )
    assert "1  other files: cover.png" in printed and "1  repeats of another" in printed
    written(tmp_path, "c.txt", "a third\nfile\n")
    corpus = read_corpus(str(tmp_path), options=ReadOptions(unit="file"))
    texts = {text for part in corpus.lines.values() for text in part}
    assert texts == {" ".join([*TEXTS[:30], TEXTS[0]]), " ".join(TEXTS[30:]), "a third file"}


def test_every_line_is_counted_once(tmp_path):
    lines = [*TEXTS, "word " * 40, *TEXTS[:5]]
    data = TextLineDataset(str(written(tmp_path, "a.txt", "\n\n".join(lines))), tokenizer="word")
    rows = {(row.use, row.reason): row.count for row in data.data_counts().rows}
    used = sum(count for (use, _), count in rows.items() if use == "used")
    left = sum(count for (use, _), count in rows.items() if use == "left out")
    assert (used, left) == (60, 6) and rows["ignored", "blank"] == 65


def test_a_line_of_a_table_that_is_too_long_is_refused_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("multigan.text.formats.csv_tables.MAX_LINE_CHARACTERS", 100)
    file = tmp_path / "a.csv"
    file.write_text("text,label\n" + "word " * 50 + ",1\n")
    with pytest.raises(ValueError, match="a line of a table must have at most 100 characters"):
        list(read_table(file).rows)
