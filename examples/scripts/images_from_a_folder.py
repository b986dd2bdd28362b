"""Train on a folder of your own images, then write 16 samples.

    python examples/scripts/images_from_a_folder.py photos out --steps 3000

Subfolders of `photos` are classes. The steps of 3,000 take minutes on a CPU at 32 x 32.
"""

import argparse
from pathlib import Path

from multigan import train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("images", type=Path, help="a folder, a zip or a table of images")
parser.add_argument("out", type=Path, help="a new folder")
parser.add_argument("--steps", type=int, default=3000)
parser.add_argument("--resolution", type=int, default=32)
parser.add_argument("--width", type=int, default=32, help="channels at half the resolution")
options = parser.parse_args()

run = train(
    "image",
    data=str(options.images),
    resolution=options.resolution,
    width=options.width,
    steps=options.steps,
    out=str(options.out / "run"),
    horizontal_flip=True,
)
for number, image in enumerate(run.sampler().sample(16, seed=0)):
    image.save(options.out / f"{number:02d}.png")
print(f"16 images in {options.out}; the report: {run.path / 'report.html'}")
