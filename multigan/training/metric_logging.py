"""Averaging, display and TensorBoard export of training metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from multigan.runs.directory import RunDirectory


class MetricAverager:
    """Sums tensors on the device and keeps the last of each number."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Take in the values of one step."""
        for name, value in values.items():
            if not isinstance(value, Tensor):
                self._numbers[name] = value
            elif name in self._sums:
                self._sums[name] += value
                self._counts[name] += 1
            else:
                self._sums[name], self._counts[name] = value.clone(), 1

    def read(self) -> dict[str, float]:
        """Means since the last reading, and the last numbers; starts anew."""
        means = {name: total.item() / self._counts[name] for name, total in self._sums.items()}
        means |= self._numbers
        self.__init__()  # type: ignore[misc]
        return means

    def state(self) -> dict[str, Any]:
        """For a checkpoint between two log lines."""
        return {
            "sums": {name: total.cpu() for name, total in self._sums.items()},
            "counts": dict(self._counts),
            "numbers": dict(self._numbers),
        }

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Continue where `state()` was taken."""
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._counts, self._numbers = dict(state["counts"]), dict(state["numbers"])


class TensorBoardLogger:
    """TensorBoard event files, if asked for."""

    def __init__(self, run: RunDirectory, wanted: bool, first: int) -> None:
        self._writer = None
        if wanted:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(run.path), purge_step=first)

    def __enter__(self) -> TensorBoardLogger:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, values: Mapping[str, float], step: int) -> None:
        """One scalar per value."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)


SHOWN = {
    "loss/likelihood": "NLL",
    "nll/valid": "held out",
    "loss/discriminator": "D",
    "loss/generator": "G",
    "logits/gap": "gap",
}
LINE_EVERY_SECONDS = 10.0  # without a terminal
QUIET, USUAL, VERBOSE = 0, 1, 2  # how much is shown


class ProgressDisplay:
    """Shows the speed, the time left and the numbers that matter.

    `show` is QUIET for nothing, VERBOSE for a line whenever new means have been logged.
    """

    def __init__(self, done: int, total: int, batch_size: int, show: int = USUAL) -> None:
        self._console = Console(stderr=True, quiet=not show, highlight=False, soft_wrap=True)
        self._first, self._number, self._total = done, done, total
        self._batch_size, self._numbers, self._verbose = batch_size, "", show >= VERBOSE
        self._signs: set[str] = set()
        self._started = self._spoke = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("training", completed=done, total=total, numbers="")

    def __enter__(self) -> ProgressDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """One line, above the bar where there is one."""
        self._console.print(text, markup=False)

    def step(self, number: int) -> None:
        """A step is done."""
        self._number = number
        if self._console.is_terminal:
            self._bar.update(self._task, completed=number, numbers=self._speed() + self._numbers)

    def set_total(self, total: int) -> None:
        """The run will have another number of steps than was thought."""
        self._total = total
        self._bar.update(self._task, total=total)

    def show_diagnostics(self, said: Mapping[str, str]) -> None:
        """The signs of sickness that stand now, by name; each new one is said in its sentence."""
        for name in said.keys() - self._signs:
            self.say(f"step {self._number}: {said[name]}")
        self._signs = set(said)

    def numbers(self, values: Mapping[str, float]) -> None:
        """New means have been logged."""
        self._numbers = "".join(
            f"  {short} {values[name]:.3g}" for name, short in SHOWN.items() if name in values
        ) + "".join(f"  ! {name}" for name in sorted(self._signs))
        now = time.monotonic()
        last = self._number >= self._total
        due = now - self._spoke >= LINE_EVERY_SECONDS or last
        if self._verbose or (due and not self._console.is_terminal):
            self._spoke = now
            left = (self._total - self._number) / max(self._rate, 1e-9)
            speed = f"{self._speed()}  {left:.0f} s left"
            self.say(f"step {self._number}/{self._total}  {speed}{self._numbers}")

    @property
    def _rate(self) -> float:
        return (self._number - self._first) / max(time.monotonic() - self._started, 1e-9)

    def _speed(self) -> str:
        return f"{self._rate:.3g} step/s  {self._rate * self._batch_size:.3g} samples/s"
