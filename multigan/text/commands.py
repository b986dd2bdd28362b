"""Text commands: inspection of a source, metrics of baselines, and export of a tokenizer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import NamedTuple

from multigan.core.data_counts import USED, DataCounts
from multigan.core.results_table import ResultsTable, finite_or_none
from multigan.core.rng import keyed_rng
from multigan.storage.checkpoint_integrity import resolve_weights_file
from multigan.storage.weights import read_weights
from multigan.text.datasets.sources import ReadOptions, read_corpus, read_folder_files
from multigan.text.metrics import bleu, diversity
from multigan.text.metrics.ngram_model import NgramModel
from multigan.text.tokenization.tokenizer import load_tokenizer, save_folder, train_tokenizer
from multigan.text.tokenization.words import (
    MAX_UNSPACED_FRACTION,
    SPLITTERS,
    split_words,
    unspaced_fraction,
)

MAX_HYPOTHESES = 10_000  # lines in a row
EXAMPLE_CHARACTERS = 40  # of a text that is shown
SELF_BLEU_SUBSET = 200  # hypotheses of the Self-BLEU of many papers
# Name -> order and sharpening, the power of the counts in the sampling of the next token.
NGRAM_BASELINES = {
    "2gram": (2, 1.0),
    "3gram": (3, 1.0),
    "4gram": (4, 1.0),
    "3gram alpha 2": (3, 2.0),
    "4gram alpha 2": (4, 2.0),
}


def export_tokenizer(run: Path, *, out: Path | None = None) -> None:
    """Write the tokenizer of a run or weight file as a Hugging Face folder.

    out: the folder to write to; RUN/tokenizer if not given
    """
    folder = out or (run / "tokenizer" if run.is_dir() else Path("tokenizer"))
    domain = read_weights(resolve_weights_file(run))[0]["domain"]
    if not domain["component"].startswith("text/"):
        raise ValueError(f"{run} must hold a text generator; got one of {domain['component']}")
    arguments = domain["arguments"]
    save_folder(arguments["tokenizer"], folder, arguments["length"])
    print(f"{folder}: load it with transformers.AutoTokenizer.from_pretrained({str(folder)!r})")


def inspect_text(
    source: str, *, text_column: str = "", label_column: str = "", unit: str = "line"
) -> None:
    """Print what the reader of a source uses, changes and leaves out, and the lengths of its texts.

    source: a text file, a table, a folder of them, or any other value of `train --data`
    text_column: of a table; found if not given
    label_column: of a table: the classes of the texts; folder: the folder of each file
    unit: a sample of plain text: line, paragraph or file
    """
    corpus = read_corpus(source, options=ReadOptions(text_column, label_column, unit))
    texts = [text for part in corpus.lines.values() for text in part]
    counts = DataCounts("texts") if corpus.counts is None else corpus.counts
    for name, part in corpus.lines.items():
        counts.add(USED, f"in the split {name}", [f"{part[0][:EXAMPLE_CHARACTERS]!r}"], len(part))
    print(f"{source}: {len(texts):,} texts")
    print("\n".join(counts.lines()))
    if corpus.class_names:
        found = Counter(label for part in corpus.labels.values() for label in part)
        named = [f"{name} {found[k]:,}" for k, name in enumerate(corpus.class_names)]
        print(f"classes: {', '.join(named)}")
    for name, lengths in (
        ("words", sorted(len(split_words(text)) for text in texts)),
        ("characters", sorted(map(len, texts))),
    ):
        middle, high = (lengths[int(share * (len(lengths) - 1))] for share in (0.5, 0.95))
        print(f"{name} of a text: median {middle:,}, 95 % {high:,}, most {lengths[-1]:,}")
    if unspaced_fraction(texts) > MAX_UNSPACED_FRACTION:
        print("its script has no spaces between words: use --tokenizer bpe or char")


class Tokenization(NamedTuple):
    """A pair of functions between lines and the tokens of n-gram models."""

    tokenize: Callable[[str], list]
    detokenize: Callable[[list], str]


def baseline_metrics(
    *,
    data: str,
    tokenizer: str = "word",
    vocabulary_size: int = 2000,
    lowercase: bool = False,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Print the metrics of real lines and of n-gram models against the test lines.

    data: a folder with train.txt and test.txt, a file with a sentence on each line, or speeches
    tokenizer: the tokens of the n-gram models: word, whitespace, char or bpe
    vocabulary_size: tokens of bpe
    lowercase: convert all lines to lower case first
    seed: of the lines that the models sample
    json: also print, as the last line, one JSON object: row -> metric -> value
    """
    train, test = _read(data)
    if lowercase:
        train, test = ([line.lower() for line in side] for side in (train, test))
    rows = baseline_rows(train, test, tokenizer, vocabulary_size, seed)
    print(_table(rows, len(test), tokenizer, seed).markdown())
    if json:
        print(dumps({name: finite_or_none(row) for name, row in rows.items()}))


def baseline_rows(
    train: Sequence[str], test: Sequence[str], tokenizer: str, vocabulary_size: int, seed: int
) -> dict[str, dict[str, float]]:
    """Row -> metric -> value of at most MAX_HYPOTHESES lines a row; deterministic.

    Raises ValueError for an unknown tokenizer.
    """
    tokenization = get_tokenization(tokenizer, train, vocabulary_size)
    words_of = SPLITTERS.get(tokenizer, split_words)
    train_words, references = ([words_of(line) for line in side] for side in (train, test))
    tokens = [tokenization.tokenize(line) for line in train]
    max_length = max(len(line) for line in tokens)
    rows = {"real": _compute_metrics(train_words[:MAX_HYPOTHESES], references, train_words)}
    for name, (order, sharpening) in NGRAM_BASELINES.items():
        rng = keyed_rng(seed, "text reference", name)
        samples = NgramModel(tokens, order).sample(MAX_HYPOTHESES, rng, max_length, sharpening)
        lines = [words_of(tokenization.detokenize(line)) for line in samples]
        rows[name] = _compute_metrics(lines, references, train_words)
    return rows


def get_tokenization(name: str, train: Sequence[str], vocabulary_size: int) -> Tokenization:
    """Get a tokenization by name. Raises ValueError, listing the known ones, for another name."""
    if name in SPLITTERS:
        return Tokenization(SPLITTERS[name], " ".join)
    if name == "char":
        return Tokenization(list, "".join)
    if name == "bpe":
        tokenizer = load_tokenizer(train_tokenizer(train, "bpe", vocabulary_size))
        return Tokenization(lambda line: tokenizer.encode([line])[0], tokenizer.decode)
    raise ValueError(f"tokenizer must be one of {', '.join(SPLITTERS)}, char, bpe; got {name!r}")


def _read(data: str) -> tuple[list[str], list[str]]:
    """Training and test lines; of a folder all lines of both files."""
    if Path(data).is_dir():
        return read_folder_files(Path(data))
    corpus = read_corpus(data)
    return corpus.lines["train"], corpus.lines["test"]


def _compute_metrics(
    lines: Sequence[diversity.Words],
    references: Sequence[diversity.Words],
    train: Sequence[diversity.Words],
) -> dict[str, float]:
    """The metrics of a row."""
    of_first = {}
    if len(lines) > SELF_BLEU_SUBSET:
        scores = diversity.self_bleu_of_first(lines, SELF_BLEU_SUBSET)
        of_first = diversity.bleu_metrics(f"self_bleu_{SELF_BLEU_SUBSET}", scores)
    return {
        "lines": float(len(lines)),
        **diversity.bleu_metrics("bleu", bleu.bleu(lines, references)),
        **diversity.bleu_metrics("self_bleu", bleu.self_bleu(lines)),
        **of_first,
        "distinct_2": diversity.distinct(lines, 2),
        "unique_fraction": diversity.unique_fraction(lines),
        "memorized_fraction": diversity.memorized_fraction(lines, train),
        "length_total_variation": diversity.length_total_variation(lines, references),
        "mean_words": sum(len(line) for line in lines) / len(lines),
    }


def _table(
    rows: Mapping[str, Mapping[str, float]], references: int, tokenizer: str, seed: int
) -> ResultsTable:
    """The rows as columns, which fit a terminal, with notes."""
    columns = {metric: {name: row[metric] for name, row in rows.items()} for metric in rows["real"]}
    words = tokenizer if tokenizer in SPLITTERS else "word"
    return ResultsTable(
        columns,
        (
            f"bleu: against all {references:,} test lines, method1 smoothing, mean over the lines; "
            "it grows with the number of references",
            "real: training lines, so also the score of copying them; words split by: " + words,
            f"ngram: unsmoothed counts of {tokenizer} tokens, the next one sampled in proportion "
            f"to count^alpha, seed {seed}; alpha is 1 unless named",
            "self_bleu: each line against all the others; "
            f"self_bleu_{SELF_BLEU_SUBSET}: the first {SELF_BLEU_SUBSET} lines against the rest, "
            "as in most papers; its noise is about .01 at order 2 and .03 at order 5",
        ),
    )
