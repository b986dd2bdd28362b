"""Tokenizers of external folders, renumbered."""

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from tokenizers import decoders as hf_decoders

from multigan.text.tokenization.hf_tokenizer import import_hf_tokenizer
from multigan.text.tokenization.tokenizer import SPECIALS, TextTokenizer
from tests.text.special_ids import EOS, UNK
from tests.text.text_factory import LINES

ENDS = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>"}


def written(folder, tokenizer, **config):
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def byte_pairs(extra=()):
    """A tokenizer like GPT-2's, whose only special comes last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = hf_decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_special_tokens(["<|endoftext|>", *extra])
    return tokenizer


def test_byte_pairs_keep_their_pieces_under_new_numbers(tmp_path):
    theirs = byte_pairs(["<|chat|>"])
    ours = TextTokenizer(import_hf_tokenizer(written(tmp_path / "gpt", theirs, **ENDS)))
    assert ours.size == theirs.get_vocab_size() + 3  # padding, begin and unknown are added
    ids = ours.encode(LINES)
    assert [ours.decode(line) for line in ids] == LINES
    pieces = [theirs.encode(line, add_special_tokens=False).tokens for line in LINES]
    assert [[ours.token(token) for token in line] for line in ids] == pieces
    order = sorted(theirs.get_vocab(), key=theirs.get_vocab().get)
    order.remove("<|endoftext|>")
    assert [ours.token(k) for k in range(ours.size)] == [*SPECIALS, *order]
    assert [ours.token(k) for k in ours.special_ids] == list(SPECIALS)


def test_words_keep_their_unknown_token(tmp_path):
    table = {"man": 0, "[UNK]": 1, "a": 2, "[SEP]": 3}
    theirs = Tokenizer(models.WordLevel(table, unk_token="[UNK]"))
    theirs.pre_tokenizer = pre_tokenizers.Whitespace()
    config = {"unk_token": {"content": "[UNK]"}, "sep_token": "[SEP]"}
    ours = TextTokenizer(import_hf_tokenizer(written(tmp_path / "words", theirs, **config)))
    assert ours.encode(["a zebra man [SEP]"])[0][:3] == [5, UNK, 4]
    assert ours.decode([5, 4, EOS, 5]) == "a man"


def test_unigrams_keep_their_scores(tmp_path):
    pieces = [("<unk>", 0.0), ("a", -1.0), ("b", -1.0), ("ab", -1.5), ("</s>", 0.0)]
    theirs = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    theirs.add_special_tokens(["</s>"])
    config = {"eos_token": "</s>", "unk_token": "<unk>"}
    text = import_hf_tokenizer(written(tmp_path / "unigram", theirs, **config))
    ours = TextTokenizer(text)
    assert json.loads(text)["model"]["unk_id"] == UNK
    assert [ours.token(token) for token in ours.encode(["aabb"])[0]] == ["a", "ab", "b"]
    assert ours.token(EOS) == "<eos>" and ours.encode(["c"])[0] == [UNK]


def test_what_cannot_be_imported_is_refused_in_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"it has no tokenizer\.json"):
        import_hf_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(ValueError, match="must be a supported tokenizer"):
        import_hf_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(
        '{"model": {"vocab": {}, "type": "X"}, "added_tokens": []}'
    )
    with pytest.raises(ValueError, match="got 'X'"):
        import_hf_tokenizer(tmp_path)
