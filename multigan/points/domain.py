"""Domain of 2-D points."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

import torch
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from multigan.core.media import PLOT_METADATA
from multigan.core.modules import sample_batch
from multigan.core.protocols import Dataset, Generator, Medium, Sampler
from multigan.core.results_table import ResultsTable
from multigan.core.serialization import component
from multigan.points import metrics
from multigan.points.mixtures import get_mixture
from multigan.storage.files import write_atomically

NUM_EVAL_SAMPLES = 2500  # points measured in every row of the table, as published
# Network units: decoded coordinates are clamped to +-DISPLAY_RANGE, twice the outermost mean.
DISPLAY_RANGE = 2.0
AXES = (0.09, 0.07, 0.88, 0.88)  # left, bottom, width and height of a plot, of the figure

Point = tuple[float, float]


@component
@dataclass(frozen=True)
class PointsDomain:
    """Points of a mixture. Raises ValueError, listing the known ones, for an unknown mixture."""

    mixture: str = "grid"
    selection_metric: str = field(default="total_variation", init=False)

    def __post_init__(self) -> None:
        get_mixture(self.mixture)

    def sample(self, generator: Generator, n: int, rng: torch.Generator) -> list[Point]:
        """Draw `n` points; there are no options."""
        return self.decode(sample_batch(generator, n, rng))

    def decode(self, x: Tensor) -> list[Point]:
        """The points (x, y) of (B, 2) in network units, in the units of the mixture, clamped."""
        points = (
            x.detach().cpu().double().clamp(-DISPLAY_RANGE, DISPLAY_RANGE)
            * get_mixture(self.mixture).unit
        )
        return [(x, y) for x, y in points.tolist()]

    def preview(self, samples: list[Point], path: Path, columns: int | None = None) -> list[Path]:
        """Scatter the points over the 3-sd circles of the modes, in `path` + ".png".

        A cloud has no `columns`.
        """
        file = path.with_name(path.name + ".png")
        write_atomically(file, self._plot(samples))
        return [file]

    def media(self, samples: list[Point]) -> list[Medium]:
        """One PNG of all points, as in a preview."""
        return [Medium("image/png", self._plot(samples))]

    def write(self, samples: list[Point], folder: Path) -> list[Path]:
        """Write all points into one `points.csv`: a line x,y and a line for each point."""
        file = folder / "points.csv"
        content = io.StringIO()
        csv.writer(content, lineterminator="\n").writerows([("x", "y"), *samples])
        write_atomically(file, content.getvalue().encode())
        return [file]

    def read_samples(self, folder: Path) -> list[Point]:
        """The points that `write` wrote, exactly."""
        with (folder / "points.csv").open(newline="", encoding="utf-8") as stream:
            return [(float(line["x"]), float(line["y"])) for line in csv.DictReader(stream)]

    def evaluate(
        self, sampler: Sampler, data: Dataset, rng: torch.Generator, cache: Path
    ) -> ResultsTable:
        """Measure 2,500 points of: the true mixture, one wide Gaussian, and the generator.

        Nothing takes long, so `cache` is unused.
        """
        mixture = get_mixture(self.mixture)
        seed = int(torch.randint(2**31, (), generator=rng))
        observed = torch.tensor(self.decode(data.batch(torch.arange(len(data))).x))
        blob = observed.mean(0) + torch.randn(NUM_EVAL_SAMPLES, 2, generator=rng) @ _root(
            observed.T.cov()
        )
        rows = {
            "real": mixture.sample(NUM_EVAL_SAMPLES, rng),
            "one Gaussian": blob,
            "generator": torch.tensor(sampler.sample(NUM_EVAL_SAMPLES, seed)),
        }
        modes = len(mixture.means)
        floor = (modes - 1) / (2 * NUM_EVAL_SAMPLES)
        notes = (
            f"{NUM_EVAL_SAMPLES:,} points in every row; {modes} modes; high quality: within "
            f"{metrics.RADIUS:g} sd of a mode, of which a true sampler reaches "
            f"{metrics.CEILING:.2%}: more means shrunken modes",
            f"real: a fresh sample of the true mixture, the floor of every column; reverse KL of a "
            f"perfect sampler is about {floor:.4f} at this count",
            f"one Gaussian: with the mean and covariance of {len(data):,} real points",
            "total_variation: over the modes' 3-sd discs and the rest of the plane",
        )
        return ResultsTable(
            {name: metrics.compute_metrics(points, mixture) for name, points in rows.items()},
            notes,
            headline=self.selection_metric,
            floor="real",
            baseline="one Gaussian",
        )

    def _plot(self, samples: list[Point]) -> bytes:
        """A PNG of 600 x 600 pixels."""
        mixture = get_mixture(self.mixture)
        figure = Figure(figsize=(6, 6))
        axes = figure.add_axes(AXES)  # an automatic layout would draw everything twice
        circles = [Circle(mean, metrics.RADIUS * mixture.sd) for mean in mixture.means]
        axes.add_collection(PatchCollection(circles, color="tab:orange", alpha=0.5))
        axes.scatter(
            [x for x, _ in samples], [y for _, y in samples], s=3, linewidths=0, color="tab:blue"
        )
        edge = 1.25 * mixture.unit
        axes.set(xlim=(-edge, edge), ylim=(-edge, edge))
        content = io.BytesIO()
        figure.savefig(content, dpi=100, metadata=PLOT_METADATA)  # the same bytes everywhere
        return content.getvalue()


def _root(covariance: Tensor) -> Tensor:
    """A matrix (2, 2) whose product with unit Gaussian rows has the given covariance."""
    return torch.linalg.cholesky(covariance).T
