"""Tokenizers: words, characters, byte-pair encodings; training, encoding, decoding."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from multigan.storage.files import write_atomically
from multigan.text.tokenization.words import WORD, collapse_line_breaks

PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")  # their names, by id


def one_hot(tokens: Tensor, vocabulary: int, like: Tensor) -> Tensor:
    """One-hot rows (..., V) of the type of `like`."""
    rows = torch.zeros(*tokens.shape, vocabulary, dtype=like.dtype, device=like.device)
    return rows.scatter_(-1, tokens[..., None], 1.0)


CLOSING, OPENING_PUNCTUATION = (
    ".,!?;:)]}%",
    "([{$",
)  # marks without a space before them, or after them
NEVER = "\x00"  # stands in no word


class TextTokenizer:
    """Encodes lines and decodes ids; ids are stable because `json` holds the whole vocabulary."""

    def __init__(self, text: str) -> None:
        """`text` is a tokenizer.json. Raises ValueError if it is none, or lacks our specials."""
        try:
            self._tokenizer = _library().Tokenizer.from_str(text)
        except ValueError:
            raise
        except Exception as error:  # the library raises bare Exceptions
            raise ValueError(f"this is no tokenizer of Hugging Face's: {error}") from error
        found = [self._tokenizer.token_to_id(name) for name in SPECIALS]
        if found != list(range(len(SPECIALS))):
            raise ValueError(f"the tokens {', '.join(SPECIALS)} have the ids {found}; wanted 0-3")
        self._tokenizer.encode_special_tokens = True  # "<eos>" in a line is text like any other
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @property
    def size(self) -> int:
        """How many tokens there are, specials included."""
        return self._tokenizer.get_vocab_size()

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """The ids of each line, without specials other than UNK."""
        found = self._tokenizer.encode_batch(list(lines), add_special_tokens=False)
        return [[token if token >= UNK else UNK for token in line.ids] for line in found]

    def decode(self, ids: Sequence[int]) -> str:
        """One line: the ids up to the first EOS without specials.

        Bytes that are no UTF-8 come out as U+FFFD. Raises ValueError for an id out of range.
        """
        ids = [int(token) for token in ids]
        if wrong := [token for token in ids if not 0 <= token < self.size]:
            raise ValueError(f"token {wrong[0]}; wanted 0 to {self.size - 1}")
        ids = ids[: ids.index(EOS)] if EOS in ids else ids
        return collapse_line_breaks(self._tokenizer.decode(ids, skip_special_tokens=True))

    def token(self, token: int) -> str:
        """The name of an id in the vocabulary."""
        return self._tokenizer.id_to_token(token)


@lru_cache(maxsize=8)
def tokenizer_of(text: str) -> TextTokenizer:
    """The tokenizer of a tokenizer.json, made once."""
    return TextTokenizer(text)


def train_tokenizer(
    lines: Iterable[str], kind: str = "bpe", vocabulary: int = 2000, lowercase: bool = False
) -> str:
    """The tokenizer.json of a vocabulary of at most `vocabulary` tokens, learned from `lines`.

    Equal lines, in whatever process, give equal JSON. Raises ValueError for an unknown kind, or a
    vocabulary too small for its alphabet.
    """
    if kind not in TOKENIZERS:
        raise ValueError(f"unknown tokenizer {kind!r}; known: {', '.join(TOKENIZERS)}")
    tokenizer = TOKENIZERS[kind](lines, vocabulary, lowercase)
    return tokenizer.to_str()


def save_folder(text: str, folder: Path, length: int) -> list[Path]:
    """Write what `transformers.AutoTokenizer.from_pretrained` loads; return the files."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{f"{name[1:-1]}_token": name for name in SPECIALS},
        "clean_up_tokenization_spaces": False,
        "model_max_length": length,
    }
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"tokenizer.json": text, "tokenizer_config.json": json.dumps(config, indent=1)}
    for name, content in contents.items():
        write_atomically(folder / name, content.encode())
    return [folder / name for name in contents]


def _library() -> Any:
    """The package `tokenizers`; a ValueError with the line that installs it where it is absent."""
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise ValueError("text needs tokenizers: pip install 'multigan[text]'") from error


def _lowered(tokenizer: Any, lowercase: bool) -> Any:
    if lowercase:
        tokenizer.normalizer = _library().normalizers.Lowercase()
    return tokenizer


def _train_bpe(lines: Iterable[str], vocabulary: int, lowercase: bool) -> Any:
    """Byte-level pairs; spaces belong to the word after them."""
    hf = _library()
    alphabet = sorted(hf.pre_tokenizers.ByteLevel.alphabet())
    if vocabulary < len(SPECIALS) + len(alphabet):
        raise ValueError(
            f"vocabulary is {vocabulary}; wanted {len(SPECIALS) + len(alphabet)} or more: "
            "the specials and every byte"
        )
    tokenizer = _lowered(hf.Tokenizer(hf.models.BPE()), lowercase)
    tokenizer.pre_tokenizer = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = hf.decoders.ByteLevel()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIALS),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def _train_words(lines: Iterable[str], vocabulary: int, lowercase: bool) -> Any:
    """Words and punctuation marks, which decoding sets as in print."""
    hf = _library()
    cut = hf.pre_tokenizers.Split(hf.Regex(WORD), behavior="removed", invert=True)
    marks = [(f" {mark}", mark) for mark in CLOSING] + [
        (f"{mark} ", mark) for mark in OPENING_PUNCTUATION
    ]
    replaced = [hf.decoders.Replace(old, new) for old, new in marks]
    return _train_table(lines, vocabulary, lowercase, cut, [*_spaced(), *replaced])


def _train_whitespace(lines: Iterable[str], vocabulary: int, lowercase: bool) -> Any:
    """Whatever stands between spaces."""
    cut = _library().pre_tokenizers.WhitespaceSplit()
    return _train_table(lines, vocabulary, lowercase, cut, _spaced())


def _train_chars(lines: Iterable[str], vocabulary: int, lowercase: bool) -> Any:
    """Single characters."""
    hf = _library()
    cut = hf.pre_tokenizers.Split(hf.Regex(r"[\s\S]"), behavior="isolated")
    return _train_table(lines, vocabulary, lowercase, cut, [hf.decoders.Fuse()])


def _spaced() -> list[Any]:
    """Decoders that join words by spaces."""
    hf = _library()
    return [hf.decoders.WordPiece(prefix=NEVER, cleanup=False), hf.decoders.Fuse()]


def _train_table(
    lines: Iterable[str], vocabulary: int, lowercase: bool, cut: Any, decoders: list[Any]
) -> Any:
    """A table of the most frequent pieces, sorted by (-count, piece): never by a hash."""
    hf = _library()
    if vocabulary <= len(SPECIALS):
        raise ValueError(
            f"vocabulary is {vocabulary}; wanted more than the {len(SPECIALS)} specials"
        )
    lower = hf.normalizers.Lowercase().normalize_str if lowercase else str
    counts = Counter(piece for line in lines for piece, _ in cut.pre_tokenize_str(lower(line)))
    ordered = sorted(counts, key=lambda piece: (-counts[piece], piece))
    kept = [piece for piece in ordered if piece not in SPECIALS][: vocabulary - len(SPECIALS)]
    table = {piece: token for token, piece in enumerate([*SPECIALS, *kept])}
    tokenizer = hf.Tokenizer(hf.models.WordLevel(table, unk_token=SPECIALS[UNK]))
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = hf.decoders.Sequence(decoders)
    return _lowered(tokenizer, lowercase)


TOKENIZERS: dict[str, Callable[[Iterable[str], int, bool], Any]] = {
    "bpe": _train_bpe,
    "word": _train_words,
    "whitespace": _train_whitespace,
    "char": _train_chars,
}
