"""Make a pretrained generator of a run, or the packaged refiner of a pretrained generator.

    python -m tests.benchmarks.ready RUN NAME [--half]
    multigan refine NAME --out FILE; python -m tests.benchmarks.ready FILE NAME --refiner

A refiner is stored in float16.
"""

import argparse
import json

from multigan.export.pretrained import build_pretrained, build_pretrained_refiner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a finished run, or a refiner")
    parser.add_argument("name", help="the name to sample it by: image, text, ...")
    parser.add_argument("--half", action="store_true", default=None, help="store 16-bit numbers")
    parser.add_argument("--sampling", type=json.loads, help="its sampling options, as JSON")
    parser.add_argument("--refiner", action="store_true", help="the file is a refiner")
    arguments = parser.parse_args()
    if arguments.refiner:
        file = build_pretrained_refiner(arguments.run, arguments.name)
        print(f"{file}: {file.stat().st_size:,} bytes")
        return
    options = {"half": arguments.half, "sampling": arguments.sampling}
    file = build_pretrained(arguments.run, arguments.name, **options)
    print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
