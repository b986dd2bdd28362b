"""Tokenizers: words, characters, byte-pair encodings; training, encoding, decoding."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from multigan.storage.files import write_atomically
from multigan.text.tokenization.utf8 import COMPLETE, IMPOSSIBLE, token_bytes, transition_table
from multigan.text.tokenization.words import (
    MAX_UNSPACED_FRACTION,
    WORD,
    collapse_line_breaks,
    unspaced_fraction,
)
from multigan.text.tokenization.words import tokenizers_library as _library

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_LINES = 8192  # that are encoded at a time: the library keeps much for each

# The pieces that byte pairs are merged in: as GPT-2's, but letters and digits keep their marks.
BPE_PIECE = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}[\p{L}\p{M}\x{200c}\x{200d}]*| ?\p{N}[\p{N}\p{M}]*"
    r"| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
)
NO_PREFIX = "\x00"  # in no word


class SpecialIds(NamedTuple):
    """The ids of padding, the begin and the end of a line, and text outside the vocabulary."""

    pad: int
    bos: int
    eos: int
    unk: int


SPECIAL_IDS = SpecialIds(0, 1, 2, 3)  # in every vocabulary; imported ones are renumbered
SPECIALS = tuple(f"<{name}>" for name in SpecialIds._fields)  # their names, by id


def one_hot(tokens: Tensor, vocabulary_size: int, like: Tensor) -> Tensor:
    """One-hot rows (..., V) of the type of `like`."""
    rows = like.new_zeros(*tokens.shape, vocabulary_size)
    return rows.scatter_(-1, tokens[..., None], 1.0)


class TextTokenizer:
    """A tokenizer.json that encodes lines and decodes ids."""

    def __init__(self, text: str) -> None:
        """Raises ValueError unless `text` is a tokenizer.json with SPECIALS as its first tokens."""
        try:
            self._tokenizer = _library().Tokenizer.from_str(text)
        except ValueError:
            raise
        except Exception as error:  # the library raises bare Exceptions
            raise ValueError(
                f"tokenizer must be a tokenizer.json of Hugging Face: {error}"
            ) from error
        ids = [self._tokenizer.token_to_id(name) for name in SPECIALS]
        self.special_ids = SpecialIds(*ids)
        if self.special_ids != SPECIAL_IDS:
            raise ValueError(f"the ids of {', '.join(SPECIALS)} must be 0 to 3; got {ids}")
        self._tokenizer.encode_special_tokens = True  # "<eos>" in a line is text like any other
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @property
    def size(self) -> int:
        """The number of tokens, specials included."""
        return self._tokenizer.get_vocab_size()

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Encode lines as ids, without specials other than `unk`."""
        unk = self.special_ids.unk
        encodings = self._tokenizer.encode_batch(list(lines), add_special_tokens=False)
        return [[max(token, unk) for token in line.ids] for line in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """Decode the ids up to the first `eos`, without specials, as one line.

        Bytes that are no UTF-8 become U+FFFD. Raises ValueError for an id out of range.
        """
        ids = [int(token) for token in ids]
        if wrong := [token for token in ids if not 0 <= token < self.size]:
            raise ValueError(f"a token must be 0 to {self.size - 1}; got {wrong[0]}")
        eos = self.special_ids.eos
        ids = ids[: ids.index(eos)] if eos in ids else ids
        return collapse_line_breaks(self._tokenizer.decode(ids, skip_special_tokens=True))

    def token(self, token: int) -> str:
        """The name of an id in the vocabulary."""
        return self._tokenizer.id_to_token(token)

    @cached_property
    def utf8_transitions(self) -> Tensor | None:
        """The state of UTF-8 after each token: (states, V) int64, IMPOSSIBLE for broken text.

        The end of a line is possible after whole characters only. None if every token is whole
        characters.
        """
        import torch

        names = [self.token(token) or "" for token in range(self.size)]
        contents = token_bytes(self._tokenizer.to_str(), names)
        if contents is None:
            return None
        table = torch.tensor(transition_table(contents))
        table[:, : len(SPECIALS)] = IMPOSSIBLE
        table[COMPLETE, : len(SPECIALS)] = COMPLETE
        return table


@lru_cache(maxsize=8)
def load_tokenizer(text: str) -> TextTokenizer:
    """Load a tokenizer.json; equal ones share one tokenizer."""
    return TextTokenizer(text)


def train_tokenizer(
    lines: Iterable[str], kind: str = "bpe", vocabulary_size: int = 2000, lowercase: bool = False
) -> str:
    """Train a tokenizer.json of at most `vocabulary_size` tokens on `lines`.

    Equal lines give equal JSON in every process. Raises ValueError for an unknown kind, or a
    vocabulary that is smaller than the alphabet.
    """
    if kind not in TOKENIZERS:
        raise ValueError(f"tokenizer must be one of {', '.join(TOKENIZERS)}; got {kind!r}")
    tokenizer = TOKENIZERS[kind](lines, vocabulary_size, lowercase)
    return tokenizer.to_str()


def save_folder(text: str, folder: Path, length: int) -> list[Path]:
    """Write a folder for `transformers.AutoTokenizer.from_pretrained`; return the files."""
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


def _with_lowercase(tokenizer: Any, lowercase: bool) -> Any:
    if lowercase:
        tokenizer.normalizer = _library().normalizers.Lowercase()
    return tokenizer


def _train_bpe(lines: Iterable[str], vocabulary_size: int, lowercase: bool) -> Any:
    """Byte-level BPE; spaces belong to the word after them."""
    hf = _library()
    alphabet = sorted(hf.pre_tokenizers.ByteLevel.alphabet())
    if vocabulary_size < len(SPECIALS) + len(alphabet):
        raise ValueError(
            f"vocabulary_size must be {len(SPECIALS) + len(alphabet)} or more, the specials and "
            f"every byte; got {vocabulary_size}"
        )
    tokenizer = _with_lowercase(hf.Tokenizer(hf.models.BPE()), lowercase)
    pieces = hf.pre_tokenizers.Split(hf.Regex(BPE_PIECE), behavior="isolated")
    in_bytes = hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = hf.pre_tokenizers.Sequence([pieces, in_bytes])
    tokenizer.decoder = hf.decoders.ByteLevel()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIALS),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def _train_word_bpe(lines: Iterable[str], vocabulary_size: int, lowercase: bool) -> Any:
    """The most frequent words as one token each, and byte-level BPE for the others.

    An eighth of the vocabulary is pieces; all of it in a script without spaces, which has no words.
    A word that occurs once is written in pieces, which have to be learned from something. Ids are
    in order of frequency in the lines.
    """
    hf, lines = _library(), list(lines)
    smallest = len(SPECIALS) + len(hf.pre_tokenizers.ByteLevel.alphabet())
    pieces = vocabulary_size
    if unspaced_fraction(lines) <= MAX_UNSPACED_FRACTION:
        pieces = min(vocabulary_size, max(smallest, vocabulary_size // 8))
    described = json.loads(_train_bpe(lines, pieces, lowercase).to_str())
    model, names = described["model"], list(described["model"]["vocab"])
    splitter, normalize = hf.Tokenizer.from_str(json.dumps(described)).pre_tokenizer, str
    if lowercase:
        normalize = hf.normalizers.Lowercase().normalize_str
    counts = Counter(
        piece for line in lines for piece, _ in splitter.pre_tokenize_str(normalize(line))
    )
    words = sorted(
        (word for word in counts.keys() - set(names) if counts[word] > 1),
        key=lambda word: (-counts[word], word),
    )
    names += words[: vocabulary_size - len(names)]
    model["vocab"] = {name: token for token, name in enumerate(names)}
    model["ignore_merges"] = True  # a word of the vocabulary is never split
    tokenizer = hf.Tokenizer.from_str(json.dumps(described))
    used: Counter[int] = Counter()
    for start in range(0, len(lines), BLOCK_LINES):
        for line in tokenizer.encode_batch(lines[start : start + BLOCK_LINES]):
            used.update(line.ids)
    rest = [name for name in names if name not in SPECIALS]
    rest.sort(key=lambda name: (-used[model["vocab"][name]], name))
    model["vocab"] = {name: token for token, name in enumerate([*SPECIALS, *rest])}
    return hf.Tokenizer.from_str(json.dumps(described))


def _train_words(lines: Iterable[str], vocabulary_size: int, lowercase: bool) -> Any:
    """Words and punctuation marks; a token begins with the space before it, if there is one.

    A line begins as if after a space, so that its first word is a token like any other.
    """
    hf = _library()
    splitter = hf.pre_tokenizers.Split(hf.Regex(rf" ?(?:{WORD})|\s"), behavior="isolated")
    decoders = [hf.decoders.Fuse(), hf.decoders.Strip(" ", 1, 0)]
    prefix = hf.normalizers.Prepend(" ")
    return _train_table(lines, vocabulary_size, lowercase, splitter, decoders, prefix)


def _train_whitespace(lines: Iterable[str], vocabulary_size: int, lowercase: bool) -> Any:
    """Pieces between white space."""
    splitter = _library().pre_tokenizers.WhitespaceSplit()
    return _train_table(lines, vocabulary_size, lowercase, splitter, _join_with_spaces())


def _train_chars(lines: Iterable[str], vocabulary_size: int, lowercase: bool) -> Any:
    """Single characters."""
    hf = _library()
    splitter = hf.pre_tokenizers.Split(hf.Regex(r"[\s\S]"), behavior="isolated")
    return _train_table(lines, vocabulary_size, lowercase, splitter, [hf.decoders.Fuse()])


def _join_with_spaces() -> list[Any]:
    """Decoders that join words by spaces."""
    hf = _library()
    return [hf.decoders.WordPiece(prefix=NO_PREFIX, cleanup=False), hf.decoders.Fuse()]


def _train_table(
    lines: Iterable[str],
    vocabulary_size: int,
    lowercase: bool,
    splitter: Any,
    decoders: list[Any],
    normalizer: Any = None,
) -> Any:
    """A table of the most frequent pieces, sorted by (-count, piece): independent of hashes."""
    hf = _library()
    if vocabulary_size <= len(SPECIALS):
        raise ValueError(
            f"vocabulary_size must be above the number of specials, {len(SPECIALS)}; "
            f"got {vocabulary_size}"
        )
    steps = [hf.normalizers.Lowercase()] if lowercase else []
    steps += [] if normalizer is None else [normalizer]
    normalize = hf.normalizers.Sequence(steps).normalize_str if steps else str
    counts = Counter(
        piece for line in lines for piece, _ in splitter.pre_tokenize_str(normalize(line))
    )
    ordered = sorted(counts, key=lambda piece: (-counts[piece], piece))
    kept = [piece for piece in ordered if piece not in SPECIALS][: vocabulary_size - len(SPECIALS)]
    table = {piece: token for token, piece in enumerate([*SPECIALS, *kept])}
    tokenizer = hf.Tokenizer(hf.models.WordLevel(table, unk_token=SPECIALS[SPECIAL_IDS.unk]))
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = hf.decoders.Sequence(decoders)
    if steps:
        tokenizer.normalizer = hf.normalizers.Sequence(steps) if len(steps) > 1 else steps[0]
    return tokenizer


TOKENIZERS: dict[str, Callable[[Iterable[str], int, bool], Any]] = {
    "bpe": _train_bpe,
    "word_bpe": _train_word_bpe,
    "word": _train_words,
    "whitespace": _train_whitespace,
    "char": _train_chars,
}
