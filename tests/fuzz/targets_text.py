"""Files of text, and tokenizers."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fuzz.reader import Reader
from tests.text.text_factory import LINES


def _text(_: Path) -> list[bytes]:
    return ["\n".join([*LINES, "żółć 🎈"]).encode(), "\r\n".join(LINES).encode()]


def _csv(_: Path) -> list[bytes]:
    rows = [f'{k};"{line}, ""so""";{k % 2}' for k, line in enumerate([*LINES, "żółć 🎈"])]
    return ["\n".join(["id;text;mood", *rows]).encode(), "\r\n".join(rows).encode()]


def _json_lines(_: Path) -> list[bytes]:
    rows = [{"text": line, "mood": k % 2} for k, line in enumerate([*LINES, "żółć 🎈"])]
    lines = "\n".join(map(json.dumps, rows)).encode()
    return [lines, json.dumps({"data": rows}).encode()]


def _read_text(path: Path) -> None:
    from multigan.text.datasets.sources import read_corpus

    read_corpus(str(path))


def _tokenizers(_: Path) -> list[bytes]:
    """One of ours, pairs of bytes, and a table of words."""
    from tokenizers import Tokenizer, models

    from multigan.text.tokenization.tokenizer import train_tokenizer
    from tests.text.test_hf_tokenizer import byte_pairs

    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("ab", -1.5)], unk_id=0))
    ours = [train_tokenizer(LINES, kind, 300) for kind in ("word", "char")]
    return [text.encode() for text in (*ours, byte_pairs().to_str(), unigram.to_str())]


def _read_tokenizer(path: Path) -> None:
    _use_tokenizer(path.parent)


def _use_tokenizer(folder: Path) -> None:
    from multigan.text.tokenization.hf_tokenizer import import_hf_tokenizer
    from multigan.text.tokenization.tokenizer import TextTokenizer

    tokenizer = TextTokenizer(import_hf_tokenizer(folder))
    tokenizer.decode([token for line in tokenizer.encode(LINES) for token in line])


def _tokenizer_settings(folder: Path) -> list[bytes]:
    settings = {"eos_token": "<|endoftext|>", "unk_token": {"content": "[UNK]"}, "model_max": 10}
    return [json.dumps(settings).encode()]


def _read_tokenizer_settings(path: Path) -> None:
    from tests.text.test_hf_tokenizer import byte_pairs

    if not (path.parent / "tokenizer.json").exists():
        (path.parent / "tokenizer.json").write_text(byte_pairs().to_str())
    _use_tokenizer(path.parent)


READERS = {
    "text table": Reader("x.csv", _csv, _read_text),
    "text JSON": Reader("x.json", _json_lines, _read_text),
    "text": Reader("x.txt", _text, _read_text),
    "tokenizer.json": Reader("tokenizer.json", _tokenizers, _read_tokenizer, is_json=True),
    "tokenizer_config.json": Reader(
        "tokenizer_config.json",
        _tokenizer_settings,
        _read_tokenizer_settings,
        is_json=True,
        share=0.5,
        names_file=False,
    ),
}
