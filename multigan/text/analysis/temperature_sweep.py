"""Quality and diversity along the sampling temperature, of a generator and its likelihood stage.

A single point is not conclusive: any model gains quality at lower temperatures and loses diversity.
The question is whether the adversarial stage leaves the curve of the likelihood stage.
Source: Caccia et al. 2020, arXiv:1811.02549 ("Language GANs falling short").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from multigan.core.protocols import Dataset, Sampler
from multigan.core.rng import keyed_rng
from multigan.storage.checkpoint_integrity import GENERATOR_EMA_FILE, LIKELIHOOD_CHECKPOINT
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import in_domain, load, load_run_data
from multigan.text.metrics.evaluation import ROW_GENERATOR, generator_metrics, load_references

LOWEST, HIGHEST, NUM_POINTS = 0.7, 1.4, 8  # inverse temperatures
QUALITY, DIVERSITY = "lm_nll", "reverse_lm_nll"
ROW_LIKELIHOOD = LIKELIHOOD_CHECKPOINT
TIE_STANDARD_ERRORS = 2.0  # of a difference, below which two points are tied
REPEATS = 3  # samplings at temperature 1 that estimate the noise


class SweepPoint(NamedTuple):
    """The metrics of one model at one inverse temperature."""

    name: str
    inverse_temperature: float
    row: Mapping[str, float]


def temperature_sweep(
    run: Path,
    *,
    points: int = NUM_POINTS,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    split: str = "valid",
    seed: int = 0,
    data: str | None = None,
    cache: Path | None = None,
    out: Path | None = None,
) -> None:
    """Evaluate a run and its likelihood stage along the temperature: sweep.csv and sweep.png.

    points: number of temperatures
    lowest: the lowest inverse temperature: the most varied lines
    highest: the highest inverse temperature: the most likely lines
    split: of the data to compare with: valid or test
    seed: of the sampled lines
    data: the present location of the same kind of data
    cache: the folder of helper models
    out: the folder to write to; the run if not given
    """
    inverse_temperatures = _inverse_temperatures(lowest, highest, points)
    samplers = load_samplers(run)
    held_out = in_domain(load_run_data(run, data), samplers[ROW_GENERATOR].domain).split(split)
    found, noise = measure_points(samplers, held_out, inverse_temperatures, seed, cache_dir(cache))
    folder = out or run
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "sweep.csv", _csv(found).encode())
    write_atomically(folder / "sweep.png", _plot(found))
    print(_best_points(found))
    print(comparison(found, noise))
    print(f"written: {folder / 'sweep.csv'}, {folder / 'sweep.png'}")


def measure_points(
    samplers: Mapping[str, Sampler],
    held_out: Dataset,
    inverse_temperatures: Sequence[float],
    seed: int,
    cache: Path,
) -> tuple[list[SweepPoint], float]:
    """Every point, and the standard deviation of DIVERSITY between samplings of one model."""
    first: Any = next(iter(samplers.values()))
    evaluator, rows = load_references(first.domain, held_out, cache)

    def point(name: str, inverse_temperature: float, repeat: int = 0) -> SweepPoint:
        rng = keyed_rng(seed, "sweep", repeat)
        generator, temperature = samplers[name].generator, 1 / inverse_temperature
        row = generator_metrics(evaluator, rows, generator, held_out, rng, temperature)
        return SweepPoint(name, inverse_temperature, row)

    found = [point(name, value) for name in samplers for value in inverse_temperatures]
    repeated = [point(name, 1.0, k).row for name in samplers for k in range(1, REPEATS + 1)]
    groups = torch.tensor([row[DIVERSITY] for row in repeated]).view(len(samplers), REPEATS)
    return found, float(groups.var(dim=1).mean().sqrt())


def comparison(
    points: Sequence[SweepPoint],
    noise: float,
    name: str = ROW_GENERATOR,
    reference: str = ROW_LIKELIHOOD,
) -> str:
    """Describe, in one line, the curve of one model relative to that of another.

    DIVERSITY is compared at each QUALITY that both curves reach; a difference of less than
    TIE_STANDARD_ERRORS standard errors is a tie.
    """
    curves = {model: _curve(points, model) for model in (name, reference)}
    if not curves[reference]:
        return f"no {reference} stage in this run: there is no curve to compare with"
    low = max(curve[0][0] for curve in curves.values())
    high = min(curve[-1][0] for curve in curves.values())
    if low > high:
        return f"the curves share no {QUALITY}: neither dominates; widen the temperatures"
    shared = [x for curve in curves.values() for x, _ in curve if low <= x <= high]
    margin = TIE_STANDARD_ERRORS * noise * 2**0.5
    gaps = [_interpolate(curves[name], x) - _interpolate(curves[reference], x) for x in shared]
    better, worse = (sum(sign * gap > margin for gap in gaps) for sign in (-1, 1))
    return (
        f"the curve of {name} {_verb(better, worse)} that of {reference}: {DIVERSITY} "
        f"at equal {QUALITY} is better at {better}, worse at {worse} and tied (within "
        f"{margin:.3f}) at {len(gaps) - better - worse} of {len(gaps)} points"
    )


def _verb(better: int, worse: int) -> str:
    if better and worse:
        return "crosses"
    return "dominates" if better else "loses against" if worse else "ties with"


def _inverse_temperatures(lowest: float, highest: float, points: int) -> list[float]:
    if points < 2:
        raise ValueError(f"points must be 2 or more; got {points}")
    if not 0 < lowest < highest:
        raise ValueError(
            f"lowest must be above 0 and below highest; got {lowest} and highest {highest}"
        )
    return [round(value, 6) for value in torch.linspace(lowest, highest, points).tolist()]


def load_samplers(run: Path) -> dict[str, Sampler]:
    """Load the generator of a run and, if it has one, that of its likelihood stage."""
    samplers = {ROW_GENERATOR: load(run, domain="text")}
    likelihood = run / "checkpoints" / LIKELIHOOD_CHECKPOINT / GENERATOR_EMA_FILE
    if likelihood.is_file():
        samplers[ROW_LIKELIHOOD] = load(likelihood, domain="text")
    return samplers


def _curve(points: Sequence[SweepPoint], name: str) -> list[tuple[float, float]]:
    """(QUALITY, DIVERSITY) of one model, by ascending QUALITY."""
    return sorted((p.row[QUALITY], p.row[DIVERSITY]) for p in points if p.name == name)


def _interpolate(curve: Sequence[tuple[float, float]], x: float) -> float:
    """The curve at `x`, by linear interpolation."""
    for (left, low), (right, high) in pairwise(curve):
        if left <= x <= right:
            return low if left == right else low + (high - low) * (x - left) / (right - left)
    return min(curve, key=lambda point: abs(point[0] - x))[1]


def _best_points(points: Sequence[SweepPoint]) -> str:
    """Each model at its best inverse temperature, by the selection score."""
    lines = []
    for name in dict.fromkeys(point.name for point in points):
        own = [point for point in points if point.name == name]
        best = min(own, key=lambda point: point.row["selection_score"])
        metrics = ("selection_score", "frechet", QUALITY, DIVERSITY)
        values = ", ".join(f"{metric} {best.row[metric]:.4g}" for metric in metrics)
        lines.append(f"{name}, best at inverse temperature {best.inverse_temperature:g}: {values}")
    return "\n".join(lines)


def _csv(points: Sequence[SweepPoint]) -> str:
    """CSV: a line for each point."""
    content = io.StringIO()
    metrics = list(dict.fromkeys(metric for point in points for metric in point.row))
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(["model", "inverse_temperature", *metrics])
    for name, inverse_temperature, row in points:
        writer.writerow([name, inverse_temperature, *(row.get(metric, "") for metric in metrics)])
    return content.getvalue()


def _plot(points: Sequence[SweepPoint]) -> bytes:
    """A PNG of DIVERSITY, and of the Frechet distance, against QUALITY."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), (DIVERSITY, "frechet"), strict=True):
        for name in dict.fromkeys(point.name for point in points):
            own = [point for point in points if point.name == name]
            x, y = ([p.row[key] for p in own] for key in (QUALITY, metric))
            axes.plot(x, y, marker="o", label=name)
            for point, left, up in zip(own, x, y, strict=True):
                axes.annotate(f"{point.inverse_temperature:g}", (left, up), fontsize=7)
        axes.set(xlabel=f"{QUALITY} (nats per token; quality, left is better)", ylabel=metric)
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata={"Software": None})
    return content.getvalue()
