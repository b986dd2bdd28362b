"""Averaging, display and TensorBoard export of training metrics."""

from __future__ import annotations

import contextlib
import sys
import textwrap
import time
from collections.abc import Mapping
from typing import IO, Any, cast

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from multigan.runs.directory import RunDirectory
from multigan.runs.schedules import group_of, in_order, movement


class MetricAverager:
    """Averages tensors on their device; keeps the last value of each number."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._numbers: dict[str, float] = {}

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Add the values of one step."""
        for name, value in values.items():
            if not isinstance(value, Tensor):
                self._numbers[name] = value
            elif name in self._sums:
                self._sums[name] += value
                self._counts[name] += 1
            else:
                self._sums[name], self._counts[name] = value.clone(), 1

    def read(self) -> dict[str, float]:
        """Return means since the last call, and the last numbers; then reset."""
        means = {name: total.item() / self._counts[name] for name, total in self._sums.items()}
        means |= self._numbers
        self.__init__()  # type: ignore[misc]
        return means

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "sums": {name: total.cpu() for name, total in self._sums.items()},
            "counts": dict(self._counts),
            "numbers": dict(self._numbers),
        }

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore the result of `state()`."""
        self._sums = {name: total.to(device) for name, total in state["sums"].items()}
        self._counts, self._numbers = dict(state["counts"]), dict(state["numbers"])


class TensorBoardLogger:
    """Writer of TensorBoard event files; does nothing unless enabled."""

    def __init__(self, run: RunDirectory, enabled: bool, first_step: int) -> None:
        self._writer = None
        if enabled:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(run.path), purge_step=first_step)

    def __enter__(self) -> TensorBoardLogger:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Write one scalar per value."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)


DISPLAYED = {
    "loss/likelihood": "NLL",
    "nll/valid": "valid NLL",
    "loss/discriminator": "D",
    "loss/generator": "G",
    "logits/gap": "gap",
}
WIDTH = 80  # of a line, in characters


def describe_schedules(config: Mapping[str, Any]) -> str:
    """Return the numbers that a run uses, as "gamma 0.3 -> 0.03, adam/beta1 0, ...".

    `config` is that of the run; numbers of one group that are equal are named together.
    """
    ends = config.get("schedules", {})
    groups: dict[str, dict[str, str]] = {}
    for name in in_order(ends):
        groups.setdefault(group_of(name), {})[name] = movement(*ends[name])
    parts = []
    for group, texts in groups.items():
        if len(texts) > 1 and len(set(texts.values())) == 1:
            parts.append(f"{group} {next(iter(texts.values()))}")
        else:
            parts += [f"{name} {text}" for name, text in texts.items()]
    burn_in = config["recipe"].get("burn_in", 0)
    burned = [f"burn-in over the first {burn_in:.3g} of the run"] if burn_in else []
    return textwrap.fill(", ".join([*parts, *burned]), WIDTH, break_on_hyphens=False)


LINE_EVERY_SECONDS = 10.0  # without a terminal
QUIET, USUAL, VERBOSE = 0, 1, 2  # how much is shown


class _StandardError:
    """Standard error, whose failure does not stop a training: its terminal may be gone."""

    @property
    def rich_proxied_file(self) -> Any:
        """The stream that rich is to write to: this one, whatever stands in for sys.stderr."""
        return self

    def write(self, text: str) -> int:
        """Write `text`, if that is possible."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if that is possible."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @property
    def _stream(self) -> Any:
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)


class ProgressDisplay:
    """Progress bar with speed, remaining time and the main metrics; plain lines without a terminal.

    `show` is QUIET for no output, VERBOSE for a line at each log step.
    """

    def __init__(self, done: int, total: int, batch_size: int, show: int = USUAL) -> None:
        stream = cast(IO[str], _StandardError())
        self._console = Console(file=stream, quiet=not show, highlight=False, soft_wrap=True)
        self._first, self._number, self._total = done, done, total
        self._batch_size, self._numbers, self._verbose = batch_size, "", show >= VERBOSE
        self._diagnostics: set[str] = set()
        self._started = self._printed = time.monotonic()
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

    def print_line(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        self._console.print(text, markup=False)

    def step(self, number: int) -> None:
        """Show that a step is done."""
        self._number = number
        if self._console.is_terminal:
            self._bar.update(self._task, completed=number, numbers=self._speed() + self._numbers)

    def set_total(self, total: int) -> None:
        """Change the total number of steps."""
        self._total = total
        self._bar.update(self._task, total=total)

    def show_diagnostics(self, diagnostics: Mapping[str, str]) -> None:
        """Show the current diagnostics by name, and print the message of each new one."""
        for name in diagnostics.keys() - self._diagnostics:
            self.print_line(f"step {self._number}: {diagnostics[name]}")
        self._diagnostics = set(diagnostics)

    def numbers(self, values: Mapping[str, float]) -> None:
        """Show new values of the log."""
        self._numbers = "".join(
            f"  {short} {values[name]:.3g}" for name, short in DISPLAYED.items() if name in values
        ) + "".join(f"  ! {name}" for name in sorted(self._diagnostics))
        now = time.monotonic()
        last = self._number >= self._total
        due = now - self._printed >= LINE_EVERY_SECONDS or last
        if self._verbose or (due and not self._console.is_terminal):
            self._printed = now
            left = (self._total - self._number) / max(self._rate, 1e-9)
            speed = f"{self._speed()}  {left:.0f} s left"
            self.print_line(f"step {self._number}/{self._total}  {speed}{self._numbers}")

    @property
    def _rate(self) -> float:
        return (self._number - self._first) / max(time.monotonic() - self._started, 1e-9)

    def _speed(self) -> str:
        return f"{self._rate:.3g} step/s  {self._rate * self._batch_size:.3g} samples/s"
