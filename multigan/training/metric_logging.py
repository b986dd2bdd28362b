"""Averaging of training metrics between log lines, and their display."""

from __future__ import annotations

import contextlib
import html
import sys
import time
from collections.abc import Mapping
from typing import IO, Any, cast

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from multigan.training.callbacks import Callback, Training


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


DISPLAYED = {
    "loss/likelihood": "NLL",
    "nll/valid": "valid NLL",
    "loss/discriminator": "D",
    "loss/generator": "G",
    "logits/gap": "gap",
}


FIGURES_OF_A_BAR = 2  # the first ones of DISPLAYED, so that a bar fits 80 columns
BAR_COLUMNS = 16
LINE_EVERY_SECONDS = 10.0  # without a terminal
UPDATE_EVERY_SECONDS = 0.5  # in a notebook
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


class ProgressDisplay(Callback):
    """Progress bar of at most 80 columns; plain lines without a terminal.

    `show` is QUIET for no output, VERBOSE for a line at each log step.
    """

    def __init__(self, show: int = USUAL) -> None:
        stream = cast(IO[str], _StandardError())
        self._console = Console(file=stream, quiet=not show, highlight=False, soft_wrap=True)
        self._verbose, self._figures = show >= VERBOSE, [""]
        self._diagnostics: set[str] = set()
        self._of_checkpoint: set[str] = set()
        self._bar = Progress(
            BarColumn(bar_width=BAR_COLUMNS),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def on_start(self, training: Training) -> None:
        """Show the numbers that training uses, and the bar."""
        self._training = training
        if training.description:
            self._print(training.description)
        self._number = training.first_step
        self._started = self._printed = time.monotonic()
        total = training.total_steps
        self._task = self._bar.add_task("", completed=self._number, total=total, text="")
        self._bar.start()

    def on_step(self, step: int, values: Mapping[str, Tensor | float]) -> None:
        """Advance the bar."""
        self._number = step
        if self._console.is_terminal:
            text = "  ".join([f"{self._rate:.3g} step/s", *self._figures[:FIGURES_OF_A_BAR]])
            total = self._training.total_steps
            self._bar.update(self._task, completed=step, total=total, text=text)

    def on_log(
        self, step: int, values: Mapping[str, float], diagnostics: Mapping[str, str]
    ) -> None:
        """Show new figures, and the message of each new diagnostic."""
        self._diagnostics = self._print_new(step, diagnostics, self._diagnostics)
        shown = {short: values[name] for name, short in DISPLAYED.items() if name in values}
        self._figures = [f"{short} {value:.3g}" for short, value in shown.items()]
        total, now = self._training.total_steps, time.monotonic()
        due = now - self._printed >= LINE_EVERY_SECONDS or step >= total
        if self._verbose or (due and not self._console.is_terminal):
            self._printed = now
            left = f"{(total - step) / max(self._rate, 1e-9):.0f} s left"
            speed = (
                f"{self._rate:.3g} step/s  {self._rate * self._training.batch_size:.3g} samples/s"
            )
            marks = [f"! {name}" for name in sorted(self._diagnostics | self._of_checkpoint)]
            self._print("  ".join([f"step {step}/{total}", speed, left, *self._figures, *marks]))

    def on_diagnose(self, step: int, details: Mapping[str, Any]) -> None:
        """Show the message of each new diagnostic of a checkpoint."""
        found = details.get("diagnostics", {})
        self._of_checkpoint = self._print_new(step, found, self._of_checkpoint)

    def _print_new(self, step: int, found: Mapping[str, str], before: set[str]) -> set[str]:
        """Print the messages of diagnostics that were not there before; return all names."""
        for name in found.keys() - before:
            self._print(f"step {step}: {name}: {found[name]}")
        return set(found)

    def on_rollback(self, step: int, message: str) -> None:
        """Print the reason."""
        self._print(message)

    def on_end(self, step: int, reason: str, error: BaseException | None) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def _print(self, text: str) -> None:
        """Print one line, above the bar if there is one."""
        self._console.print(text, markup=False)

    @property
    def _rate(self) -> float:
        """Steps per second since the start."""
        elapsed = max(time.monotonic() - self._started, 1e-9)
        return (self._number - self._training.first_step) / elapsed


class NotebookProgress(Callback):
    """Progress in one line of a notebook cell, updated in place."""

    def __init__(self) -> None:
        self._figures = ""
        self._notes: list[str] = []

    def on_start(self, training: Training) -> None:
        """Show the line."""
        from IPython.display import HTML, display

        self._html, self._training = HTML, training
        self._started, self._shown = time.monotonic(), 0.0
        self._handle = display(HTML(""), display_id=True)
        self._show(training.first_step)

    def on_step(self, step: int, values: Mapping[str, Tensor | float]) -> None:
        """Update the line, a few times a second at most."""
        if time.monotonic() - self._shown >= UPDATE_EVERY_SECONDS:
            self._show(step)

    def on_log(
        self, step: int, values: Mapping[str, float], diagnostics: Mapping[str, str]
    ) -> None:
        """Show new figures and the current diagnostics."""
        shown = {short: values[name] for name, short in DISPLAYED.items() if name in values}
        self._figures = ", ".join(f"{short} {value:.3g}" for short, value in shown.items())
        self._notes = list(diagnostics.values())

    def on_rollback(self, step: int, message: str) -> None:
        """Show the reason."""
        self._notes = [message]

    def on_end(self, step: int, reason: str, error: BaseException | None) -> None:
        """Show the end."""
        self._show(step, f"{reason} at step {step:,}")

    def _show(self, step: int, end: str = "") -> None:
        self._shown = time.monotonic()
        total, elapsed = self._training.total_steps, self._shown - self._started
        rate = (step - self._training.first_step) / max(elapsed, 1e-9)
        left = f"{(total - step) / rate:.0f} s left, " if rate and not end else ""
        text = f"step {step:,} of {total:,}, {left}{rate:.3g} step/s, {self._figures}"
        notes = "".join(f"<br>{html.escape(note)}" for note in [end, *self._notes] if note)
        bar = f'<progress value="{step}" max="{total}"></progress>'
        self._handle.update(self._html(f"{bar} {html.escape(text)}{notes}"))


def progress_display(show: int) -> Callback:
    """Return the display for a terminal, a file or a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    in_notebook = type(shell).__name__ == "ZMQInteractiveShell"
    return NotebookProgress() if in_notebook and show == USUAL else ProgressDisplay(show)
