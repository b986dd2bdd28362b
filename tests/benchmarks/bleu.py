"""Time of BLEU and Self-BLEU: 10,000 lines against 10,000 references, one core.

    python -m tests.benchmarks.bleu [--data ../shared/data/coco]

Without a folder with train.txt and test.txt the lines are sampled from an n-gram model of phrases.
Times are CPU seconds of this process, each the median of three. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from multigan.core.rng import keyed_rng
from multigan.text.datasets.sources import read_corpus, read_folder_files
from multigan.text.metrics.bleu import bleu, self_bleu
from multigan.text.metrics.ngram_model import NgramModel
from multigan.text.tokenization.words import split_words

LINES, REPEATS = 10_000, 3
TARGET_SECONDS = 5.0
COCO = Path(__file__).parents[3] / "shared" / "data" / "coco"


def lines_of(folder: Path) -> tuple[list[list[str]], list[list[str]]]:
    """The words of hypotheses and references."""
    if folder.is_dir():
        train, test = read_folder_files(folder)
        return [split_words(line) for line in train], [split_words(line) for line in test]
    model = NgramModel([split_words(line) for line in read_corpus("phrases").lines["train"]], 2)
    drawn = model.sample(2 * LINES, keyed_rng("bench"), max_length=20)
    return drawn[:LINES], drawn[LINES:]


def seconds(call: Callable[[], object]) -> float:
    """The median CPU time of a call."""
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=COCO)
    hypotheses, references = lines_of(parser.parse_known_args()[0].data)
    found = {
        "bleu": seconds(lambda: bleu(hypotheses, references)),
        "self_bleu": seconds(lambda: self_bleu(hypotheses)),
    }
    for name, taken in found.items():
        print(f"{name}, {len(hypotheses):,} lines, orders 2 to 5: {taken:.2f} s of CPU")
    print(f"  (target: bleu below {TARGET_SECONDS:g} s on one core)")
    print(json.dumps({"bleu": found | {"lines": len(hypotheses), "references": len(references)}}))


if __name__ == "__main__":
    main()
