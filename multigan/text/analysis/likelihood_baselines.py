"""What a game gained over likelihood alone: over all that likelihood can do at the same cost.

A game that only samples cooler, or only trains on, has gained nothing. So a run stands beside its
likelihood stage as it ended, at its best temperature (chosen on validation lines), and after as
many more likelihood updates as the game had. Each is drawn from several times: what differs by less
than the noise of drawing is a tie.
Source: Caccia et al. 2020, arXiv:1811.02549, for the temperature.
"""

from __future__ import annotations

import copy
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from multigan.core.fitting import fit
from multigan.core.results_table import ResultsTable
from multigan.core.rng import keyed_rng
from multigan.storage.files import cache_dir, write_atomically
from multigan.storage.loading import load_run_data
from multigan.text.analysis.temperature_sweep import BASELINE, MODEL, TIED, samplers_of
from multigan.text.metrics.evaluation import COPY, load_references, model_row
from multigan.text.metrics.language_model import score

ALPHAS = (0.95, 1.0, 1.05, 1.1)  # 1 / temperature
COMPARED = ("frechet", "lm_gap", "reverse_lm")  # lower is better


class Candidate(NamedTuple):
    """A generator and the alpha that it is sampled at."""

    generator: Any
    alpha: float


Drawings = Mapping[str, Sequence[Mapping[str, float]]]  # row name -> a row for each drawing


def baselines(
    run: Path,
    *,
    drawings: int = 3,
    seed: int = 0,
    data: str | None = None,
    cache: Path | None = None,
) -> None:
    """Print a run beside likelihood as it was, at its best temperature and trained on.

    On test lines; the run gets baselines.json and baselines.md.

    drawings: of 2,000 lines from each, which tell the noise
    seed: of the lines that are drawn, and of the batches that are trained on
    data: where the same kind of data lie now
    cache: where helper models are kept
    """
    if drawings < 2:
        raise ValueError(f"{drawings} drawings; wanted 2 or more: their spread is the noise")
    samplers = samplers_of(run)
    if BASELINE not in samplers:
        raise ValueError(f"{run} has no likelihood stage to compare with")
    learnt, trained = samplers[BASELINE].generator, load_run_data(run, data)
    valid, test = trained.split("valid"), trained.split("test")
    folder = cache_dir(cache)
    alpha = best_inverse_temperature(samplers[BASELINE].domain, learnt, valid, seed, folder)
    steps, lr, batch_size = _stage_of(run)
    contestants = {
        BASELINE: Candidate(learnt, 1.0),
        f"likelihood at alpha {alpha:g}": Candidate(learnt, alpha),
        f"likelihood, {steps} more steps": Candidate(
            continue_training(learnt, trained.split("train"), steps, lr, batch_size, seed), 1.0
        ),
        MODEL: Candidate(samplers[MODEL].generator, 1.0),
    }
    rows, found = measure(samplers[MODEL].domain, contestants, test, drawings, seed, folder)
    table = _table(rows, found)
    write_atomically(run / "baselines.json", table.json().encode())
    write_atomically(run / "baselines.md", table.markdown().encode())
    print(table.markdown())
    for name in contestants:
        if name != MODEL:
            print(f"against {name}: {comparison(found[MODEL], found[name])}")


def best_inverse_temperature(
    domain: Any, generator: Any, valid: Any, seed: int, cache: Path
) -> float:
    """Of ALPHAS the one with the lowest joint figure on validation lines."""
    yardstick, rows = load_references(domain, valid, cache)
    joint = {
        alpha: model_row(yardstick, rows, generator, valid, keyed_rng(seed, "alpha"), 1 / alpha)
        for alpha in ALPHAS
    }
    return min(ALPHAS, key=lambda alpha: joint[alpha]["joint"])


def continue_training(
    generator: Any, train: Any, steps: int, lr: float, batch_size: int, seed: int
) -> Any:
    """A copy of the generator after as many more likelihood updates, at the rate it ended with."""

    def batches(rng: torch.Generator) -> Any:
        return train.batch(torch.randint(len(train), (batch_size,), generator=rng))

    def loss(model: Any, batch: Any) -> torch.Tensor:
        return -model.log_likelihood(batch).mean()

    learner = copy.deepcopy(generator).requires_grad_(True)
    return fit(learner, loss, batches, steps, lr, keyed_rng(seed, "control"))


def measure(
    domain: Any,
    contestants: Mapping[str, Candidate],
    held: Any,
    drawings: int,
    seed: int,
    cache: Path,
) -> tuple[Mapping[str, Mapping[str, float]], Drawings]:
    """The rows that depend on no model, and those of every contestant's drawings.

    `lm_gap` is how far the LM score is from that of the held-out lines themselves.
    """
    yardstick, rows = load_references(domain, held, cache)
    real = score(yardstick.model, domain.encode(list(yardstick.held))).per_token

    def drawn(name: str, number: int) -> dict[str, float]:
        generator, alpha = contestants[name]
        rng = keyed_rng(seed, "baselines", number)
        row = model_row(yardstick, rows, generator, held, rng, 1 / alpha)
        return {"lm_gap": abs(row["lm"] - real)} | row

    return rows, {name: [drawn(name, k) for k in range(drawings)] for name in contestants}


def comparison(model: Sequence[Mapping[str, float]], other: Sequence[Mapping[str, float]]) -> str:
    """For each of COMPARED whether the model is better, worse or tied, by how much of what noise.

    Tied is what differs by less than TIED standard errors of the difference.
    """
    said = []
    for metric in COMPARED:
        sides = [[row[metric] for row in side] for side in (model, other)]
        gap = statistics.mean(sides[0]) - statistics.mean(sides[1])
        margin = TIED * sum(statistics.variance(side) / len(side) for side in sides) ** 0.5
        word = "tied" if abs(gap) <= margin else "better" if gap < 0 else "worse"
        said.append(f"{metric} {word} ({gap:+.4f}, noise {margin:.4f})")
    return ", ".join(said)


def _stage_of(run: Path) -> tuple[int, float, int]:
    """Of a run: steps of its game, the last learning rate of its likelihood stage, batch size."""
    recipe = json.loads((run / "recipe.json").read_text())["recipe"]
    lr = recipe["likelihood_lr"]
    lr = lr["schedule"]["end"] if isinstance(lr, dict) else lr
    return recipe["steps"], lr, recipe["batch_size"]


def _table(rows: Mapping[str, Mapping[str, float]], found: Drawings) -> ResultsTable:
    """Means over the drawings, from the lowest to the highest of them."""
    means, ends = {}, {}
    for name, drawn in found.items():
        columns = {metric: [row[metric] for row in drawn] for metric in drawn[0]}
        means[name] = {metric: statistics.mean(values) for metric, values in columns.items()}
        ends[name] = {m: (min(v), max(v)) for m, v in columns.items() if m != "lines"}
    note = (
        f"means of {len(found[MODEL])} drawings, from the lowest to the highest, against test "
        f"lines; {COPY} is the floor; lm_gap: how far lm is from that of the test lines"
    )
    return ResultsTable({COPY: rows[COPY], **means}, (note,), ends)
