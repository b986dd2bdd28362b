"""Diagnose training from its log and its checkpoints: every diagnosis has to last."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import nn

from multigan.core.quality import Quality
from multigan.core.recipe import Recipe
from multigan.engine.log_checks import (
    CHECKS,
    DEAD,
    DEGENERATE,
    DIVERGED,
    FROZEN,
    LINES,
    SUPPRESSED,
    VANISHING,
    LogLine,
    LogSummary,
    at_rest,
    min_persistence,
)
from multigan.engine.losses import loss_at_chance
from multigan.engine.validation_checks import VALIDATION_CHECKS, CheckpointSummary

CHECKPOINTS = 2  # consecutive checkpoints of a diagnosis before it is reported
# Fraction of the run that these have to last: good networks may look like that for a while.
LONG_FRACTION = 5
LONG = {DEAD, SUPPRESSED}
# Diagnoses that last together: the separation of the logits may lie at the limit between them.
TOGETHER = {SUPPRESSED: DEAD}
CAUSES = (DIVERGED, DEAD, "generator dominates")  # that explain what is wrong with the samples
# Fraction of the run before which samples are not compared with data: they are still far away.
EARLY_FRACTION, EARLY_STEPS = 0.4, 150  # likewise steps
RECENT_LINES = 40  # of the log, among which oscillations are looked for


def first_not_finite(
    values: Mapping[str, float], networks: Mapping[str, nn.Module] | None = None
) -> str | None:
    """Return the name of the first value, or tensor of a network, that is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            return name
    for name, network in (networks or {}).items():
        for tensor_name, tensor in network.state_dict().items():
            if not torch.isfinite(tensor).all():
                return f"{name}.{tensor_name}"
    return None


class Persistence:
    """Counts in how many consecutive readings each diagnosis was found."""

    def __init__(self) -> None:
        self.seen: dict[str, list[int]] = {}  # name -> consecutive readings, step of the first

    def update(self, number: int, found: Iterable[str]) -> None:
        """Add the diagnoses of the reading at step `number`; the others start again at 0."""
        before = self.seen
        self.seen = {}
        for name in found:
            readings, first = before.get(name, [0, number])
            self.seen[name] = [readings + 1, first]

    def lasts(self, name: str, number: int, readings: int, steps: int) -> bool:
        """Return True if a diagnosis stands since `readings` readings and `steps` steps."""
        return self.seen[name][0] >= readings and number - self.seen[name][1] >= steps


class TrainingMonitor:
    """Reads the log lines and checkpoints of a run in order and reports the diagnoses that last.

    `schedule_steps` is the planned length of the run, by default the recipe's steps.
    """

    def __init__(self, recipe: Recipe, schedule_steps: int | None = None) -> None:
        self._loss_at_chance = loss_at_chance(recipe.loss)
        networks = {"discriminator": recipe.discriminator, "generator": recipe.generator}
        self._sizes = {
            name: sum(p.numel() for p in cast(nn.Module, network).parameters() if p.requires_grad)
            for name, network in networks.items()
        }
        self._schedule_steps = recipe.steps if schedule_steps is None else schedule_steps
        self._steps = min_persistence(self._schedule_steps)
        self._long = max(self._steps, self._schedule_steps // LONG_FRACTION)
        self._log, self._checkpoints = Persistence(), Persistence()
        self._start: dict[str, list[float]] = {}  # network -> gradient norms before self._steps
        self._recent: list[LogLine] = []
        self._history: dict[int, Quality] = {}  # by step
        self._two_sample_accuracy: float | None = None
        self._is_held = False  # at the last log line
        self._cause: str | None = None  # the diagnosis of the last log line that explains others
        self._moved: set[str] = set()  # networks with a learning rate above 0 so far

    def read(self, number: int, values: Mapping[str, float]) -> dict[str, str]:
        """Return the diagnoses of adversarial step `number` that have lasted, with messages."""
        if "logits/gap" not in values:
            return {}
        for name in self._sizes:
            norm = values.get(f"grad_norm/{name}")
            if norm is not None and (number < self._steps or name not in self._start):
                self._start.setdefault(name, []).append(norm)
        if number < self._steps:
            return {}
        log = self._summary(number, values)
        self._is_held = log.is_held
        found = {name: message for name, check in CHECKS.items() if (message := check(log))}
        if DEGENERATE in found:  # no other figure means anything
            found = {DEGENERATE: found[DEGENERATE]}
        self._log.update(number, {TOGETHER.get(name, name) for name in found})
        steps = {name: self._long if name in LONG else self._steps for name in found}
        lasting = {
            name: message
            for name, message in found.items()
            if self._log.lasts(TOGETHER.get(name, name), number, LINES, steps[name])
        }
        return self._without_consequences(lasting)

    def _without_consequences(self, lasting: dict[str, str]) -> dict[str, str]:
        """Leave out what follows from another diagnosis, and remember that one."""
        is_untrained = FROZEN in lasting and not self._moved >= self._sizes.keys()
        whole = FROZEN if is_untrained else DEGENERATE
        self._cause = next((name for name in (whole, *CAUSES) if name in lasting), None)
        if whole in lasting:
            return {whole: lasting[whole]}
        if DEAD in lasting:  # of the gradient of either network
            lasting.pop(VANISHING, None)
        return lasting

    def _summary(self, number: int, values: Mapping[str, float]) -> LogSummary:
        """Return the log line with what it is compared with, and remember it."""
        log = LogSummary(
            values,
            self._loss_at_chance,
            self._sizes,
            {name: sum(norms) / len(norms) for name, norms in self._start.items()},
            (),
            self._two_sample_accuracy,
        )
        resting = at_rest(values, self._sizes)
        self._moved |= {name for name, size in self._sizes.items() if size} - set(resting)
        line = LogLine(number, log.loss, values.get("logits/auc", math.nan), resting)
        self._recent = [*self._recent, line][-RECENT_LINES:]
        return log._replace(recent=tuple(self._recent))

    def judges_checkpoint(self, number: int) -> bool:
        """Return True if samples of adversarial step `number` are compared with data."""
        return number >= max(EARLY_STEPS, EARLY_FRACTION * self._schedule_steps)

    def read_checkpoint(
        self, number: int, neighbors: Mapping[str, float], quality: Quality | None
    ) -> dict[str, str]:
        """Return the diagnoses of the measurements at step `number` that have lasted.

        `neighbors` are `neighbor_metrics`, `quality` the validation figure, if there is one.
        """
        self._two_sample_accuracy = neighbors.get("two_sample_accuracy", self._two_sample_accuracy)
        self._history |= {} if quality is None else {number: quality}
        if not self.judges_checkpoint(number):
            return {}
        if self._cause in (DEGENERATE, FROZEN):
            self._checkpoints.update(number, ())
            return {}
        now = CheckpointSummary(neighbors, self._history, number, self._is_held, self._cause)
        checks = VALIDATION_CHECKS.items()
        found = {name: message for name, check in checks if (message := check(now))}
        self._checkpoints.update(number, found)
        return {
            name: message
            for name, message in found.items()
            if self._checkpoints.lasts(name, number, CHECKPOINTS, 0)
        }

    def state(self) -> dict[str, Any]:
        """Return what an exact continuation needs."""
        return {
            "log": {name: list(seen) for name, seen in self._log.seen.items()},
            "checkpoints": {name: list(seen) for name, seen in self._checkpoints.seen.items()},
            "start": {name: list(norms) for name, norms in self._start.items()},
            "recent": [list(line) for line in self._recent],
            "history": {step: list(quality) for step, quality in self._history.items()},
            "two_sample_accuracy": self._two_sample_accuracy,
            "is_held": self._is_held,
            "cause": self._cause,
            "moved": sorted(self._moved),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken."""
        for persistence, name in ((self._log, "log"), (self._checkpoints, "checkpoints")):
            persistence.seen = {key: list(seen) for key, seen in state[name].items()}
        self._start = {name: list(norms) for name, norms in state["start"].items()}
        self._recent = [LogLine(*line) for line in state["recent"]]
        self._history = {step: Quality(*quality) for step, quality in state["history"].items()}
        self._two_sample_accuracy = state["two_sample_accuracy"]
        self._is_held = state.get("is_held", False)
        self._cause = state.get("cause")
        self._moved = set(state.get("moved", self._sizes))
