"""Evaluate an image run by the PNG files that the command line writes.

    python -m tests.benchmarks.demo runs/image-0001

100 samples per class. The classifier is scikit-learn's support vector machine on pixels,
independent of the classifier of `multigan evaluate`. Coverage is from that command.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.svm import SVC

from multigan.cli.app import main as multigan
from multigan.image.datasets.images import ImageDataset
from multigan.runs.directory import RunDirectory
from multigan.runs.evaluate import evaluate
from multigan.storage.loading import load_data

PER_CLASS = 100


def samples(run: Path, label: str) -> np.ndarray:
    """Pixels (PER_CLASS, features) of one class, through the command line."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["sample", str(run), "-n", str(PER_CLASS), "--label", label, "--out", folder]
        assert multigan(command) == 0
        files = sorted(Path(folder).glob("[0-9]*.png"))
        return np.stack([np.asarray(Image.open(file), dtype=float).ravel() for file in files])


def real(data: ImageDataset, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels of a split of the run's own data, as PNG files would hold them."""
    import torch

    part = data.split(split)
    batch = part.batch(torch.arange(len(part)))
    pixels = ((batch.x + 1) * 127.5).round().flatten(1).double().numpy()
    return pixels, batch.condition.numpy()


def spread(pixels: np.ndarray) -> float:
    """The standard deviation of each pixel over the images, averaged over the pixels."""
    return float(pixels.std(0, ddof=1).mean())


def judge(run: Path) -> dict[str, float]:
    """Agreement, spread within a class and coverage, each beside what real digits score."""
    data = load_data(RunDirectory(run).read_config())
    x, y = real(data, "train")
    held_x, held_y = real(data, "test")
    svm = SVC(C=10).fit(x, y)
    fakes = {c: samples(run, name) for c, name in enumerate(data.domain.class_names)}
    agreement = [float((svm.predict(pixels) == c).mean()) for c, pixels in fakes.items()]
    spreads = [spread(pixels) / spread(x[y == c]) for c, pixels in fakes.items()]
    table = evaluate(run)
    return {
        "judge_accuracy_on_held_out": float(svm.score(held_x, held_y)),
        "agreement": float(np.mean(agreement)),
        "agreement_worst_class": min(agreement),
        "spread_ratio": float(np.mean(spreads)),
        "spread_ratio_worst_class": min(spreads),
        "coverage": table.model["coverage"],
        "coverage_real": table.rows["real (held out)"]["coverage"],
        "frechet": table.model["frechet_distance"],
        "frechet_real": table.rows["real (held out)"]["frechet_distance"],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    print(json.dumps({k: round(v, 4) for k, v in judge(parser.parse_args().run).items()}))
