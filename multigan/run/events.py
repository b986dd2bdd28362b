"""TensorBoard event files, for those who ask for them."""

from __future__ import annotations

from collections.abc import Mapping

from multigan.run.directory import RunDirectory


class Events:
    """TensorBoard event files, if asked for."""

    def __init__(self, run: RunDirectory, wanted: bool, first: int) -> None:
        self._writer = None
        if wanted:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(run.path), purge_step=first)

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, values: Mapping[str, float], step: int) -> None:
        """One scalar per value."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
