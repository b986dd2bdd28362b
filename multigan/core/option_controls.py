"""Controls of sampling options on a page: ranges, check boxes, and the tasks that need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch

from multigan.core.protocols import Generator, Latent


class Range(NamedTuple):
    """A slider from `low` to `high`; at `default` the option is left out."""

    low: float
    high: float
    step: float
    default: float
    default_text: str = ""  # in place of the number: "off"


class Several(NamedTuple):
    """Check boxes, whose checked values become one text with commas.

    A page leaves out the option `replaced`: one box says the same.
    """

    values: tuple[str, ...]
    replaced: str = ""


@runtime_checkable
class SupportsOptionControls(Protocol):
    """A domain that states ranges and sets of values: makes sliders and check boxes possible."""

    def option_controls(self) -> Mapping[str, Range | Several]:
        """Controls by option; other options have the control of their type."""
        ...


class Projection(NamedTuple):
    """The latent (1, ...) whose sample is nearest to a file.

    options: values of sampling options that belong to it.
    moved_by: sampling options that would change the latent.
    """

    latent: Latent
    options: Mapping[str, Any]
    moved_by: tuple[str, ...] = ()


@runtime_checkable
class SupportsProjection(Protocol):
    """A domain that finds the latent of a file: makes an upload to begin from possible."""

    def project(
        self, generator: Generator, file: Path, steps: int, rng: torch.Generator
    ) -> Projection:
        """Find the latent by `steps` steps of optimization; `rng` is of the first latents.

        Raises ValueError for a file that cannot be read.
        """
        ...


@runtime_checkable
class SupportsSamplingTasks(Protocol):
    """A domain that groups its sampling options by what a person wants to do."""

    def sampling_tasks(self, generator: Generator) -> Mapping[str, Sequence[str]]:
        """Options by task, those that `generator` honors; the first task needs no file."""
        ...
