"""The baseline rows, against the published and the known ones."""

import json

import pytest

from multigan.cli.dynamic_options import domain_command
from multigan.core.serialization import import_attribute
from multigan.text import COMMANDS, commands
from multigan.text.commands import baseline_rows, get_tokenization
from multigan.text.datasets.sources import read_corpus, read_folder_files
from tests.text.text_factory import COCO, LINES, needs_captions

# BLEU-2 to 5 of 10,000 lines against 10,000; Self-BLEU of the first 200; unique and copied lines in
# per cent. Between seeds 0 to 4 the Self-BLEU-4 of 200 lines of 2gram has a deviation of .013.
KNOWN = {
    "2gram": ([0.590, 0.390, 0.223, 0.137], [0.954, 0.788, 0.547, 0.357], 90, 0),
    "3gram alpha 2": ([0.785, 0.643, 0.481, 0.336], [0.985, 0.970, 0.921, 0.865], 75, 0.8),
    "4gram": ([0.722, 0.511, 0.338, 0.221], None, 92, 13),
    "4gram alpha 2": ([0.811, 0.634, 0.479, 0.346], None, 59, 15),
}


@pytest.mark.slow
@needs_captions
def test_rows_of_the_captions_equal_the_known_ones():
    rows = baseline_rows(*read_folder_files(COCO), "word", 0, seed=0)
    orders = (2, 3, 4, 5)
    real = [rows["real"][f"bleu_{order}"] for order in orders]
    assert real == pytest.approx([0.740, 0.520, 0.337, 0.218], abs=1e-3)
    assert (rows["real"]["unique_fraction"], rows["real"]["memorized_fraction"]) == (0.9954, 1)
    alike = [rows["real"][f"self_bleu_{order}"] for order in orders]  # each line against all others
    assert alike == pytest.approx([0.892, 0.747, 0.573, 0.416], abs=1e-3)
    for name, (known, of_200, unique, copied) in KNOWN.items():
        found = [rows[name][f"bleu_{order}"] for order in orders]
        assert found == pytest.approx(known, abs=0.01), name
        if of_200 is not None:
            alike = [rows[name][f"self_bleu_200_{order}"] for order in orders]
            assert alike == pytest.approx(of_200, abs=0.04), name
        assert 100 * rows[name]["unique_fraction"] == pytest.approx(unique, abs=2.1)
        assert 100 * rows[name]["memorized_fraction"] == pytest.approx(copied, abs=1)


@pytest.mark.parametrize("tokenizer", ["word", "whitespace", "char", "bpe"])
def test_every_tokenizer_counts_lines_that_come_back(tokenizer, monkeypatch):
    monkeypatch.setattr(commands, "MAX_HYPOTHESES", 50)
    cut = get_tokenization(tokenizer, LINES, 300)
    for line in LINES:
        assert "".join(cut.detokenize(cut.tokenize(line)).split()) == "".join(line.split())
    rows = baseline_rows(LINES, LINES[::-1], tokenizer, 300, seed=0)
    assert rows["real"]["bleu_5"] == pytest.approx(1)
    assert "self_bleu_200_2" not in rows["real"]


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(ValueError, match="one of word, whitespace, char, bpe"):
        get_tokenization("words", LINES, 300)


def test_rows_are_the_same_on_every_call_and_follow_the_seed(monkeypatch):
    monkeypatch.setattr(commands, "MAX_HYPOTHESES", 50)
    lines = read_corpus("phrases").lines
    first, again, other = (
        baseline_rows(lines["train"], lines["test"], "word", 0, seed) for seed in (0, 0, 1)
    )
    assert first == again != other and first["real"] == other["real"]


def test_the_verb_prints_a_table_and_one_json_object(capsys, monkeypatch):
    monkeypatch.setattr(commands, "MAX_HYPOTHESES", 220)
    command = domain_command(
        "baseline-metrics", import_attribute(COMMANDS["baseline-metrics"]), load=lambda path: None
    )
    command.main(["--data", "phrases", "--json"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "| | real | 2gram | 3gram | 4gram | 3gram alpha 2 | 4gram alpha 2 |" in printed
    assert "seed 0" in printed
    rows = json.loads(printed.splitlines()[-1])
    metrics = {
        f"{name}_{k}" for name in ("bleu", "self_bleu", "self_bleu_200") for k in range(2, 6)
    }
    assert all(
        metrics | {"unique_fraction", "memorized_fraction", "lines"} <= set(row)
        for row in rows.values()
    )
    assert rows["real"]["memorized_fraction"] == 1 and rows["3gram"]["memorized_fraction"] < 1


def test_a_folder_is_read_whole_and_in_lower_case_if_requested(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(commands, "MAX_HYPOTHESES", 20)
    (tmp_path / "train.txt").write_text("A dog\nA dog\nA cat\n")
    (tmp_path / "test.txt").write_text("a dog\n")
    for lowercase, bleu in ((False, "0.1"), (True, "0.")):
        commands.baseline_metrics(data=str(tmp_path), lowercase=lowercase, json=True)
        row = json.loads(capsys.readouterr().out.splitlines()[-1])["real"]
        assert row["lines"] == 3 and str(row["bleu_2"]).startswith(bleu)
    assert row["bleu_2"] > 0.7
