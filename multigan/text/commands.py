"""The text commands: baseline metrics and exporting a tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import NamedTuple

from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.core.rng import keyed_rng
from multigan.storage.checkpoint_files import resolve_weights_file
from multigan.storage.weights import read_weights
from multigan.text.datasets.sources import read_corpus, read_folder_files
from multigan.text.metrics import bleu, diversity
from multigan.text.metrics.ngram_model import NgramModel
from multigan.text.tokenization.tokenizer import save_folder, tokenizer_of, train_tokenizer
from multigan.text.tokenization.words import SPLITTERS, split_words


def tokenizer(run: Path, *, out: Path | None = None) -> None:
    """Write the tokenizer of a run or weight file as a Hugging Face folder.

    out: the folder to write to; RUN/tokenizer if not given
    """
    folder = out or (run / "tokenizer" if run.is_dir() else Path("tokenizer"))
    domain = read_weights(resolve_weights_file(run))[0]["domain"]
    if not domain["component"].startswith("text/"):
        raise ValueError(f"{run} holds a generator of {domain['part']}, which has no tokenizer")
    arguments = domain["arguments"]
    save_folder(arguments["tokenizer"], folder, arguments["length"])
    print(f"{folder}: load it with transformers.AutoTokenizer.from_pretrained({str(folder)!r})")


HYPOTHESES = 10_000  # lines in a row
FIRST = 200  # hypotheses of the Self-BLEU of many papers
# Name -> order, and the power of the counts that the next token is drawn by.
NGRAM_BASELINES = {
    "2gram": (2, 1.0),
    "3gram": (3, 1.0),
    "4gram": (4, 1.0),
    "3gram alpha 2": (3, 2.0),
    "4gram alpha 2": (4, 2.0),
}


class Tokenization(NamedTuple):
    """Between lines and the tokens that are counted."""

    apart: Callable[[str], list]
    together: Callable[[list], str]


def reference(
    *,
    data: str,
    tokenizer: str = "word",
    vocabulary: int = 2000,
    lowercase: bool = False,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Print what every metric says of real lines and of count models, against the test lines.

    data: a folder with train.txt and test.txt, a file with a sentence on each line, or speeches
    tokenizer: what the models count: word, whitespace, char or bpe
    vocabulary: tokens of bpe
    lowercase: put all lines in lower case first
    seed: of the lines that the models draw
    json: also print, as the last line, one JSON object: row -> metric -> value
    """
    train, test = _read(data)
    if lowercase:
        train, test = ([line.lower() for line in side] for side in (train, test))
    rows = reference_rows(train, test, tokenizer, vocabulary, seed)
    print(_table(rows, len(test), tokenizer, seed).markdown())
    if json:
        print(dumps({name: finite_or_none(row) for name, row in rows.items()}))


def reference_rows(
    train: Sequence[str], test: Sequence[str], tokenizer: str, vocabulary: int, seed: int
) -> dict[str, dict[str, float]]:
    """Row -> metric -> value of at most HYPOTHESES lines a row; the same on every call.

    Raises ValueError for an unknown tokenizer.
    """
    cut = get_tokenization(tokenizer, train, vocabulary)
    words_of = SPLITTERS.get(tokenizer, split_words)
    known, references = ([words_of(line) for line in side] for side in (train, test))
    counted = [cut.apart(line) for line in train]
    longest = max(len(line) for line in counted)
    rows = {"real": _measure(known[:HYPOTHESES], references, known)}
    for name, (order, alpha) in NGRAM_BASELINES.items():
        rng = keyed_rng(seed, "text reference", name)
        drawn = NgramModel(counted, order).sample(HYPOTHESES, rng, longest, alpha)
        lines = [words_of(cut.together(line)) for line in drawn]
        rows[name] = _measure(lines, references, known)
    return rows


def get_tokenization(name: str, train: Sequence[str], vocabulary: int) -> Tokenization:
    """The tokens to count. Raises ValueError, listing the known ones, for another name."""
    if name in SPLITTERS:
        return Tokenization(SPLITTERS[name], " ".join)
    if name == "char":
        return Tokenization(list, "".join)
    if name == "bpe":
        read = tokenizer_of(train_tokenizer(train, "bpe", vocabulary))
        return Tokenization(lambda line: read.encode([line])[0], read.decode)
    raise ValueError(f"unknown tokenizer {name!r}; known: {', '.join(SPLITTERS)}, char, bpe")


def _read(data: str) -> tuple[list[str], list[str]]:
    """Training and test lines; of a folder all lines of both files."""
    if Path(data).is_dir():
        return read_folder_files(Path(data))
    corpus = read_corpus(data)
    return corpus.lines["train"], corpus.lines["test"]


def _measure(
    lines: Sequence[diversity.Words],
    references: Sequence[diversity.Words],
    train: Sequence[diversity.Words],
) -> dict[str, float]:
    """Every figure of a row."""
    of_first = {}
    if len(lines) > FIRST:
        scores = diversity.self_bleu_of_first(lines, FIRST)
        of_first = diversity.bleu_metrics(f"self_bleu_{FIRST}", scores)
    return {
        "lines": float(len(lines)),
        **diversity.bleu_metrics("bleu", bleu.bleu(lines, references)),
        **diversity.bleu_metrics("self_bleu", bleu.self_bleu(lines)),
        **of_first,
        "distinct_2": diversity.distinct(lines, 2),
        "unique": diversity.unique(lines),
        "copied": diversity.copied(lines, train),
        "length_distance": diversity.length_distance(lines, references),
        "mean_words": sum(len(line) for line in lines) / len(lines),
    }


def _table(
    rows: Mapping[str, Mapping[str, float]], references: int, tokenizer: str, seed: int
) -> ResultsTable:
    """The rows as columns, which fits a terminal, with what they are made of."""
    turned = {metric: {name: row[metric] for name, row in rows.items()} for metric in rows["real"]}
    return ResultsTable(
        turned,
        (
            f"bleu: against all {references:,} test lines, method1 smoothing, mean over the lines; "
            "it grows with the number of references",
            f"real: training lines, which is also what copying them scores; words cut by: "
            f"{tokenizer if tokenizer in SPLITTERS else 'word'}",
            f"ngram: unsmoothed counts of {tokenizer} tokens, the next one drawn in proportion to "
            f"count^alpha, seed {seed}; alpha is 1 where none is named",
            f"self_bleu: each line against all the others; self_bleu_{FIRST}: the first {FIRST} "
            "lines against the rest, as most papers have it; its noise is about .01 at order 2 and "
            ".03 at order 5",
        ),
    )
