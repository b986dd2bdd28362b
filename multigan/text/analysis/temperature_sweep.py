"""Quality against diversity along the sampling temperature, of a model and of its likelihood.

A point says little: any model gains quality by sampling cooler, and pays for it in diversity. What
counts is whether the adversarial stage leaves the curve of the likelihood stage that it began with.
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

from multigan.core.protocols import Sampler
from multigan.core.rng import keyed_rng
from multigan.storage.checkpoint_files import GENERATOR_EMA_FILE, LIKELIHOOD_CHECKPOINT
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import load, load_run_data
from multigan.text.metrics.evaluation import load_references, model_row

LOWEST, HIGHEST, POINTS = 0.7, 1.4, 8  # alpha = 1 / temperature
QUALITY, DIVERSITY = "lm", "reverse_lm"
MODEL, BASELINE = "this model", LIKELIHOOD_CHECKPOINT
TIED = 2.0  # standard errors of a difference inside which two points are tied
REPEATS = 3  # drawings at alpha 1 that tell the sampling noise


class SweepPoint(NamedTuple):
    """What one model scores at one alpha."""

    name: str
    alpha: float
    row: Mapping[str, float]


def sweep(
    run: Path,
    *,
    points: int = POINTS,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    split: str = "valid",
    seed: int = 0,
    data: str | None = None,
    cache: Path | None = None,
    out: Path | None = None,
) -> None:
    """Draw the temperature sweep of a run and of its likelihood stage: sweep.csv and sweep.png.

    points: temperatures on the way
    lowest: the lowest alpha, 1 / temperature: the most varied lines
    highest: the highest alpha: the most likely lines
    split: of the data, that is measured against: valid or test
    seed: of the lines that are drawn
    data: where the same kind of data lie now
    cache: where helper models are kept
    out: the folder to write to; the run if not given
    """
    alphas = _alphas(lowest, highest, points)
    samplers = samplers_of(run)
    held = load_run_data(run, data).split(split)
    found, noise = measure(samplers, held, alphas, seed, cache_dir(cache))
    folder = out or run
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "sweep.csv", _table(found).encode())
    write_atomically(folder / "sweep.png", _drawing(found))
    print(_best_lines(found))
    print(comparison(found, noise))
    print(f"written: {folder / 'sweep.csv'}, {folder / 'sweep.png'}")


def measure(
    samplers: Mapping[str, Sampler], held: Any, alphas: Sequence[float], seed: int, cache: Path
) -> tuple[list[SweepPoint], float]:
    """Every point, and the standard deviation of DIVERSITY between drawings of one model."""
    first = next(iter(samplers.values()))
    yardstick, rows = load_references(first.domain, held, cache)  # type: ignore[arg-type]

    def point(name: str, alpha: float, drawing: int = 0) -> SweepPoint:
        rng = keyed_rng(seed, "sweep", drawing)
        generator = samplers[name].generator
        return SweepPoint(name, alpha, model_row(yardstick, rows, generator, held, rng, 1 / alpha))

    found = [point(name, alpha) for name in samplers for alpha in alphas]
    again = [point(name, 1.0, k).row for name in samplers for k in range(1, REPEATS + 1)]
    groups = torch.tensor([row[DIVERSITY] for row in again]).view(len(samplers), REPEATS)
    return found, float(groups.var(dim=1).mean().sqrt())


def comparison(found: Sequence[SweepPoint], noise: float) -> str:
    """In one line: whether the model's curve dominates, crosses or loses against the baseline's.

    At each QUALITY that both curves reach their DIVERSITY is compared; a difference of less than
    TIED standard errors is a tie.
    """
    curves = {name: _curve(found, name) for name in (MODEL, BASELINE)}
    if not curves[BASELINE]:
        return "no likelihood stage in this run: there is no curve to compare with"
    low = max(curve[0][0] for curve in curves.values())
    high = min(curve[-1][0] for curve in curves.values())
    if low > high:
        return f"the curves share no {QUALITY}: neither dominates; widen --lowest and --highest"
    places = [x for curve in curves.values() for x, _ in curve if low <= x <= high]
    margin = TIED * noise * 2**0.5
    gaps = [_at(curves[MODEL], x) - _at(curves[BASELINE], x) for x in places]
    better, worse = (sum(sign * gap > margin for gap in gaps) for sign in (-1, 1))
    word = _word(better, worse)
    return (
        f"the model's curve {word} that of its likelihood stage: {DIVERSITY} at equal {QUALITY} is "
        f"better at {better}, worse at {worse} and tied (within {margin:.3f}) at "
        f"{len(gaps) - better - worse} of {len(gaps)} points"
    )


def _word(better: int, worse: int) -> str:
    if better and worse:
        return "crosses"
    return "dominates" if better else "loses against" if worse else "ties with"


def _alphas(lowest: float, highest: float, points: int) -> list[float]:
    if not 0 < lowest < highest or points < 2:
        raise ValueError(
            f"{points} points from {lowest} to {highest}; wanted 2 or more, upward from above 0"
        )
    return [round(alpha, 6) for alpha in torch.linspace(lowest, highest, points).tolist()]


def samplers_of(run: Path) -> dict[str, Sampler]:
    """The model of a run and, where it has one, that of its likelihood stage."""
    found = {MODEL: load(run, domain="text")}
    before = run / "checkpoints" / LIKELIHOOD_CHECKPOINT / GENERATOR_EMA_FILE
    if before.is_file():
        found[BASELINE] = load(before, domain="text")
    return found


def _curve(found: Sequence[SweepPoint], name: str) -> list[tuple[float, float]]:
    """(QUALITY, DIVERSITY) of one model, by ascending QUALITY."""
    return sorted((p.row[QUALITY], p.row[DIVERSITY]) for p in found if p.name == name)


def _at(curve: Sequence[tuple[float, float]], x: float) -> float:
    """The curve at `x`, between its points by straight lines."""
    for (left, low), (right, high) in pairwise(curve):
        if left <= x <= right:
            return low if left == right else low + (high - low) * (x - left) / (right - left)
    return min(curve, key=lambda point: abs(point[0] - x))[1]


def _best_lines(found: Sequence[SweepPoint]) -> str:
    """Each model at its best alpha, by the joint figure."""
    lines = []
    for name in dict.fromkeys(point.name for point in found):
        best = min((p for p in found if p.name == name), key=lambda p: p.row["joint"])
        figures = ", ".join(
            f"{key} {best.row[key]:.4g}" for key in ("joint", "frechet", QUALITY, DIVERSITY)
        )
        lines.append(f"{name}, best at alpha {best.alpha:g}: {figures}")
    return "\n".join(lines)


def _table(found: Sequence[SweepPoint]) -> str:
    """CSV: a line for each point."""
    content = io.StringIO()
    names = list(dict.fromkeys(metric for point in found for metric in point.row))
    table = csv.writer(content, lineterminator="\n")
    table.writerow(["model", "alpha", *names])
    for point in found:
        table.writerow([point.name, point.alpha, *(point.row.get(name, "") for name in names)])
    return content.getvalue()


def _drawing(found: Sequence[SweepPoint]) -> bytes:
    """A PNG: DIVERSITY, and the Frechet distance, against QUALITY; each point with its alpha."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), (DIVERSITY, "frechet"), strict=True):
        for name in dict.fromkeys(point.name for point in found):
            own = [point for point in found if point.name == name]
            x, y = ([p.row[key] for p in own] for key in (QUALITY, metric))
            axes.plot(x, y, marker="o", label=name)
            for point, left, up in zip(own, x, y, strict=True):
                axes.annotate(f"{point.alpha:g}", (left, up), fontsize=7)
        axes.set(xlabel=f"{QUALITY} (nats per token; quality, left is better)", ylabel=metric)
        axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata={"Software": None})
    return content.getvalue()
