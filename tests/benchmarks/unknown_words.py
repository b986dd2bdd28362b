"""Words of sampled lines that no training line holds.

    python -m tests.benchmarks.unknown_words NAME

NAME is a pretrained generator of text. Words of letters only are counted, in lower case.
"""

import argparse
from collections.abc import Iterable

from multigan.storage.loading import load, load_data
from multigan.storage.pretrained import pretrained_metadata
from multigan.text.tokenization.words import split_words


def words_of(line: str) -> list[str]:
    """The words of letters of a line, in lower case."""
    return [word.lower() for word in split_words(line) if word.isalpha()]


def unknown_shares(lines: Iterable[str], known: set[str]) -> tuple[float, float]:
    """The fraction of words that are not known, and of lines that hold one."""
    unknown = [[word not in known for word in words_of(line)] for line in lines]
    return sum(map(sum, unknown)) / sum(map(len, unknown)), sum(map(any, unknown)) / len(unknown)


def main() -> None:
    """Print both fractions of held-out lines, and of samples at two temperatures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("-n", type=int, default=500, help="sampled lines")
    arguments = parser.parse_args()
    data = load_data(pretrained_metadata(arguments.name)["recipe"])
    known = {word for line in data.texts for word in words_of(line)}
    sampler = load(arguments.name)
    rows = {
        "real test lines": data.split("test").texts,
        "temperature 1": sampler.sample(arguments.n, temperature=1.0),
        "its own options": sampler.sample(arguments.n),
    }
    for row, lines in rows.items():
        print(
            "{}: {:.1%} of the words, {:.1%} of the lines".format(
                row, *unknown_shares(lines, known)
            )
        )


if __name__ == "__main__":
    main()
