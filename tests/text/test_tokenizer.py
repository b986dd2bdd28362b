"""Lines become ids and come back; vocabularies do not depend on a process."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from multigan.text.tokenization.tokenizer import (
    SPECIALS,
    TOKENIZERS,
    TextTokenizer,
    load_tokenizer,
    save_folder,
    train_tokenizer,
)
from multigan.text.tokenization.words import split_words
from tests.text.special_ids import BOS, EOS, PAD, UNK
from tests.text.text_factory import LINES

SIZES = {"bpe": 300, "word_bpe": 400, "word": 100, "whitespace": 100, "char": 100}


def trained(kind, **settings):
    return TextTokenizer(train_tokenizer(LINES, kind, SIZES[kind], **settings))


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_known_lines_come_back_as_they_were(kind):
    tokenizer = trained(kind)
    ids = tokenizer.encode(LINES)
    assert [tokenizer.decode(line) for line in ids] == LINES
    assert min(min(line) for line in ids) > UNK


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_names_of_specials_in_a_line_are_text(kind):
    ids = trained(kind).encode(["<eos> a <pad>", "<bos>"])
    assert not {PAD, BOS, EOS} & {token for line in ids for token in line}
    pairs = trained("bpe")
    assert pairs.decode(pairs.encode(["<eos> a <pad>"])[0]) == "<eos> a <pad>"


def test_bytes_know_every_text_and_words_say_what_they_do_not_know():
    assert trained("bpe").decode(trained("bpe").encode(["Ωmega 火 \t x"])[0]) == "Ωmega 火 \t x"
    assert trained("word").encode(["a zebra rides"])[0][1] == UNK
    assert trained("word").decode(trained("word").encode(["a zebra rides"])[0]) == "a rides"


def test_tokens_are_the_words_of_the_metrics_and_the_spaces_before_them():
    tokenizer = trained("word")
    for line in LINES:
        (ids,) = tokenizer.encode([line])
        names = [tokenizer.token(token) for token in ids]
        assert [name.lstrip(" ") for name in names] == split_words(line)
        assert "".join(names) == f" {line}"


def test_the_vocabulary_of_words_is_sorted_by_count_then_by_name():
    tokenizer = TextTokenizer(train_tokenizer(["b b a c", "c d"], "word", 7))
    assert [tokenizer.token(k) for k in range(7)] == [*SPECIALS, " b", " c", " a"]


def test_lower_case_is_part_of_the_tokenizer():
    tokenizer = TextTokenizer(train_tokenizer(["A Man"], "word", 10, lowercase=True))
    assert tokenizer.decode(tokenizer.encode(["a MAN"])[0]) == "a man"


def test_decoding_ends_at_the_first_end_and_skips_specials():
    tokenizer = trained("word")
    a, man = tokenizer.encode(["a man"])[0]
    assert tokenizer.decode([BOS, a, PAD, UNK, man, EOS, a, EOS]) == "a man"
    assert tokenizer.decode([EOS, a]) == tokenizer.decode([]) == ""


def test_decoded_text_is_one_line_and_broken_bytes_are_marked():
    tokenizer = trained("bpe")
    (newline,) = tokenizer.encode(["\n"])[0]
    half = tokenizer.encode(["火"])[0][:1]
    a = tokenizer.encode(["a"])[0]
    assert tokenizer.decode([*a, newline, *a]) == "a a"
    assert "\ufffd" in tokenizer.decode(half)


@pytest.mark.parametrize("token", [-1, 10_000])
def test_an_id_out_of_range_is_refused(token):
    with pytest.raises(ValueError, match=f"a token must be 0 to .* got {token}"):
        trained("word").decode([token])


def test_what_is_no_tokenizer_is_refused():
    with pytest.raises(ValueError, match=r"must be a tokenizer.json of Hugging Face"):
        TextTokenizer("{}")
    external = json.loads(train_tokenizer(LINES, "word", 50))
    external["model"]["vocab"]["<eos>"], external["model"]["vocab"]["a"] = 4, 2
    external["added_tokens"] = []
    with pytest.raises(ValueError, match="must be 0 to 3"):
        TextTokenizer(json.dumps(external))
    with pytest.raises(ValueError, match="one of bpe, word_bpe, word, whitespace, char"):
        train_tokenizer(LINES, "words")
    with pytest.raises(ValueError, match="must be 260 or more"):
        train_tokenizer(LINES, "bpe", 259)
    with pytest.raises(ValueError, match="above the number of specials, 4"):
        train_tokenizer(LINES, "char", 4)


def test_a_script_without_spaces_has_pieces_of_the_whole_vocabulary():
    lines = [
        f"{a}{b}の{c}が{a}{c}を見た" for a in "東西南北" for b in "山川海森" for c in "犬猫鳥魚"
    ]
    tokenizer = load_tokenizer(train_tokenizer(lines, "word_bpe", 320))
    pieces = load_tokenizer(train_tokenizer(lines, "bpe", 320))
    assert list(map(len, tokenizer.encode(lines))) == list(map(len, pieces.encode(lines)))
    assert [tokenizer.decode(line) for line in tokenizer.encode(lines)] == lines
    counts = Counter(token for line in tokenizer.encode(lines) for token in line)
    ordered = [counts[token] for token in range(4, tokenizer.size)]
    assert ordered == sorted(ordered, reverse=True)


def test_equal_lines_give_equal_vocabularies_in_every_process():
    code = (
        "from multigan.text.tokenization.tokenizer import TOKENIZERS, train_tokenizer\n"
        "from tests.text.text_factory import LINES\n"
        "import hashlib, sys\n"
        "made = [train_tokenizer(LINES, kind, 300) for kind in TOKENIZERS]\n"
        "assert 'torch' not in sys.modules\n"
        "print(hashlib.sha256(''.join(made).encode()).hexdigest())\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1")
    }
    assert len(printed) == 1


def test_transformers_loads_the_written_folder(tmp_path):
    from multigan.core.optional_dependencies import transformers

    text = train_tokenizer(LINES, "word", 100)
    files = save_folder(text, tmp_path / "tokenizer", length=24)
    assert {file.name for file in files} == {"tokenizer.json", "tokenizer_config.json"}
    loaded = transformers().AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    ours = TextTokenizer(text)
    assert loaded(LINES[2], add_special_tokens=False)["input_ids"] == ours.encode([LINES[2]])[0]
    assert loaded.decode(ours.encode([LINES[2]])[0]) == LINES[2]
    named = [loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token_id]
    assert named == [PAD, BOS, EOS, UNK]
