"""Make a pretrained generator of a run: python -m tests.benchmarks.ready RUN NAME [--half]."""

import argparse
import json

from multigan.export.pretrained import build_pretrained


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a finished run")
    parser.add_argument("name", help="the name to sample it by: image, text, ...")
    parser.add_argument("--half", action="store_true", default=None, help="store 16-bit numbers")
    parser.add_argument("--sampling", type=json.loads, help="its sampling options, as JSON")
    arguments = parser.parse_args()
    options = {"half": arguments.half, "sampling": arguments.sampling}
    file = build_pretrained(arguments.run, arguments.name, **options)
    print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
