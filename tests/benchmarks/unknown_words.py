"""Words of sampled lines that no training line holds.

    python -m tests.benchmarks.unknown_words SOURCE [-n 500]

SOURCE is a run of text or the name of a pretrained generator. Words of letters only are counted, in
lower case. Names are left out: words with a capital letter that do not begin a line.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from multigan.storage.loading import load, load_data, load_run_data
from multigan.storage.pretrained import is_packaged, pretrained_metadata
from multigan.storage.refiners import refiner_file
from multigan.text.tokenization.words import split_words


def words_of(line: str, names: bool = True) -> list[str]:
    """The words of letters of a line, in lower case; without `names` those of small letters."""
    words = split_words(line)
    kept = words if names else words[:1] + [word for word in words[1:] if word.islower()]
    return [word.lower() for word in kept if word.isalpha()]


def unknown_shares(lines: Iterable[str], known: set[str]) -> tuple[float, float]:
    """The fraction of words that are not known, and of lines that hold one; names left out."""
    unknown = [[word not in known for word in words_of(line, names=False)] for line in lines]
    return sum(map(sum, unknown)) / sum(map(len, unknown)), sum(map(any, unknown)) / len(unknown)


def main() -> None:
    """Print both fractions of held-out lines, and of samples at two temperatures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("-n", type=int, default=500, help="sampled lines")
    arguments = parser.parse_args()
    run, packaged = Path(arguments.source), is_packaged(arguments.source)
    data = load_data(pretrained_metadata(run.name)["recipe"]) if packaged else load_run_data(run)
    known = {word for line in data.texts for word in words_of(line)}
    sampler = load(run)
    rows = {
        "real test lines": data.split("test").texts,
        "temperature 1": sampler.sample(arguments.n, temperature=1.0),
        "temperature .9": sampler.sample(arguments.n, temperature=0.9),
    }
    if refiner_file(run).is_file():
        refined = load(run, refine=True)
        rows["refined, temperature 1"] = refined.sample(arguments.n, temperature=1.0)
        rows["refined, temperature .9"] = refined.sample(arguments.n, temperature=0.9)
    for row, lines in rows.items():
        print(
            "{}: {:.1%} of the words, {:.1%} of the lines".format(
                row, *unknown_shares(lines, known)
            )
        )


if __name__ == "__main__":
    main()
