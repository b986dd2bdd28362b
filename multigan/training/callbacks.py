"""Callbacks: receivers of the values and media of a training."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from multigan.core.protocols import Medium, Sample, Sampler
from multigan.core.results_table import finite_or_none
from multigan.engine.trainer import AdversarialTrainer
from multigan.runs.directory import RunDirectory, read_jsonl
from multigan.training.start_lines import describe_training


class TrainingFailed(Exception):
    """Training cannot continue; the last checkpoint is intact."""

    exit_status = 1


class Training:
    """The training that callbacks follow: its run, its length and its current generator."""

    def __init__(
        self, trainer: AdversarialTrainer, directory: RunDirectory, config: Mapping[str, Any]
    ) -> None:
        self.trainer, self.path, self.config = trainer, directory.path, config
        self.first_step = trainer.steps_done
        """Steps that are done before this process: 0 for a new run."""

    @property
    def total_steps(self) -> int:
        """Steps of all stages; an upper bound while likelihood pretraining may stop early."""
        return self.trainer.total_steps

    @property
    def description(self) -> str:
        """Data, networks, run and numbers, in the lines that the display shows at the start."""
        return describe_training(self.trainer, self.path, self.config, self.first_step)

    @property
    def batch_size(self) -> int:
        """Real samples in a batch of all processes."""
        return self.trainer.recipe.batch_size

    @property
    def sampler(self) -> Sampler:
        """The exponential moving average of the generator, ready to sample."""
        return Sampler(self.trainer.recipe.data.domain, self.trainer.ema.module)  # type: ignore[arg-type]


class Callback:
    """Receiver of a training's values and media: a subclass overrides the methods that it needs.

    Of several processes only the first calls it. It may read everything and must change nothing;
    an exception that it raises ends the training, which can be resumed.
    """

    def on_start(self, training: Training) -> None:
        """Begin, before the first step; also when a run is resumed."""

    def on_step(self, step: int, values: Mapping[str, Tensor | float]) -> None:
        """Receive the values of every step; tensors are 0-dim, on the device of training."""

    def on_log(
        self, step: int, values: Mapping[str, float], diagnostics: Mapping[str, str]
    ) -> None:
        """Receive the means since the last log line, and the current diagnostics by name."""

    def on_samples(self, step: int, samples: Sequence[Sample], media: Sequence[Medium]) -> None:
        """Receive samples, and what was written of them: images, audio, text."""

    def on_evaluate(self, step: int, metrics: Mapping[str, float]) -> None:
        """Receive the metrics on the validation split."""

    def on_diagnose(self, step: int, details: Mapping[str, Any]) -> None:
        """Receive what else was measured after each `on_evaluate`, or without one.

        `references`: rows of real data and of a baseline; `neighbors`: see `neighbor_metrics`;
        `diagnostics` of this checkpoint by name.
        """

    def on_checkpoint(self, step: int, path: Path) -> None:
        """Learn that the checkpoint in the folder `path` is complete."""

    def on_rollback(self, step: int, message: str) -> None:
        """Learn that training continues from the checkpoint of `step`, and why."""

    def on_end(self, step: int, reason: str, error: BaseException | None) -> None:
        """Finish: training has ended, or `error` stopped it; `reason` is one line."""


EVENTS = [name for name in vars(Callback) if name.startswith("on_")]


class JsonLinesLog(Callback):
    """Writes log.jsonl and metrics.jsonl of a run."""

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory
        self._metrics: dict[str, float | None] = {}  # of the present step

    def on_log(
        self, step: int, values: Mapping[str, float], diagnostics: Mapping[str, str]
    ) -> None:
        """Append a line to log.jsonl."""
        found = {"diagnostics": diagnostics} if diagnostics else {}
        self._directory.append(self._directory.log, {"step": step, **values, **found})

    def on_evaluate(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics for the line that `on_diagnose` completes."""
        self._metrics = finite_or_none(metrics)

    def on_diagnose(self, step: int, details: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        if line := {**self._metrics, **details}:
            self._directory.append(self._directory.metrics, {"step": step, **line})
        self._metrics = {}

    def on_rollback(self, step: int, message: str) -> None:
        """Append a line to log.jsonl, unless it was written before a kill."""
        line = {"step": step, "diagnostics": {"not finite": message}}
        if line not in read_jsonl(self._directory.log):
            self._directory.append(self._directory.log, line)


class Callbacks:
    """Calls the callbacks of a training in order: those of multigan, then the `given` ones.

    Raises ValueError for an object that is no Callback, and for a method that is never called.
    """

    def __init__(self, own: Sequence[Callback] = (), given: Sequence[Callback] = ()) -> None:
        for callback in given:
            _check(callback)
        self._given, self._all = list(given), [*own, *given]
        self._started: list[Callback] = []

    def overrides(self, event: str) -> bool:
        """Return True if one of the given callbacks overrides the method `event`."""
        return any(getattr(type(c), event) is not getattr(Callback, event) for c in self._given)

    def call(self, event: str, *values: Any) -> None:
        """Call the method `event` of each. Raises TrainingFailed if one of `given` fails."""
        for callback in self._all:
            try:
                getattr(callback, event)(*values)
                if event == "on_start":
                    self._started.append(callback)
            except Exception as error:
                if not any(callback is given for given in self._given):
                    raise
                raise TrainingFailed(_failure(callback, event, values, error)) from error

    def end(self, step: int, reason: str, error: BaseException | None = None) -> None:
        """Call `on_end` of each that has started, also where some fail.

        Raises TrainingFailed for the first that failed, unless training has ended by `error`, which
        stays the one to report.
        """
        failures = []
        for callback in self._started:
            try:
                callback.on_end(step, reason, error)
            except Exception as raised:
                failures.append(_failure(callback, "on_end", [step], raised))
        if failures and error is None:
            raise TrainingFailed(failures[0])
        for failure in failures:
            warnings.warn(failure, stacklevel=2)


def _check(callback: object) -> None:
    if not isinstance(callback, Callback):
        raise ValueError(
            f"callbacks must be objects of subclasses of multigan.Callback; got {callback!r}"
        )
    for name in dir(callback):
        if name.startswith("on_") and name not in EVENTS:
            near = difflib.get_close_matches(name, EVENTS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(EVENTS)}"
            raise ValueError(f"{type(callback).__name__}.{name} is never called; {hint}")


def _failure(callback: Callback, event: str, values: Sequence[Any], error: Exception) -> str:
    at = f" at step {values[0]}" if values and isinstance(values[0], int) else ""
    text = " ".join(str(error).split())
    return (
        f"the callback {type(callback).__name__} failed in {event}{at}: "
        f"{type(error).__name__}: {text}; the last checkpoint is intact; correct the callback, and "
        "resume the run if it is not finished"
    )
