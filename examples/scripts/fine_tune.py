"""Continue the training of a generator on other images of the same size and kind of networks.

    python examples/scripts/fine_tune.py runs/faces hats out --steps 500

Layers that do not fit, such as the labels of other classes, are initialized and are named.
"""

import argparse
from pathlib import Path

from multigan import load, train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("run", type=Path, help="a run of the recipe image")
parser.add_argument("images", type=Path, help="a folder, a zip or a table of images")
parser.add_argument("out", type=Path, help="a new folder")
parser.add_argument("--steps", type=int, default=500)
parser.add_argument("--width", type=int, default=32, help="that of the run")
options = parser.parse_args()

domain = load(options.run).domain
run = train(
    "image",
    data=str(options.images),
    resolution=domain.height,
    width=options.width,
    steps=options.steps,
    init_from=str(options.run),
    out=str(options.out),
)
print(f"samples in {run.path / 'samples'}; the report: {run.path / 'report.html'}")
