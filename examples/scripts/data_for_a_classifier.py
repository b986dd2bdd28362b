"""Learn a generator from few labeled images, and measure the accuracy that its images add.

    python examples/scripts/data_for_a_classifier.py out --per-class 20

The table compares the accuracy of a classifier on held-out images: real images alone, with usual
augmentation, with samples of a Gaussian per class, and with generated images.
"""

import argparse
from pathlib import Path

from multigan import train
from multigan.runs.evaluate import evaluate

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("out", type=Path, help="a new folder")
parser.add_argument("--data", default="digits", help="digits, fashion-mnist or labeled images")
parser.add_argument("--per-class", type=int, default=20, help="real images of each class")
parser.add_argument("--tiny", action="store_true", help="seconds instead of minutes")
options = parser.parse_args()

run = train(
    "benchmarks/augment",
    data=options.data,
    per_class=options.per_class,
    tiny=options.tiny,
    out=str(options.out),
)
print(evaluate(run.path).markdown())
