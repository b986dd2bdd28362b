"""Where and how a run is run: the flags of `multigan train`, one definition for all. No torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple


def _flag(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


INTERVALS = ("log_every", "save_every", "sample_every")
LIKELIHOOD_INTERVALS = "likelihood_intervals"  # in recipe.json: the likelihood stage's own
NOT_KEPT = ("out", "init", "force", "seed", "cache")  # by a run that is resumed


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Flags of `train`; what changes the experiment is a knob of the recipe instead."""

    out: str | None = _flag(None, "the run directory (default: runs/<recipe>-0001, ...)")
    seed: int = _flag(0, "everything that is drawn follows from it")
    device: str = _flag("auto", "auto, cpu, cuda or mps")
    precision: str = _flag("fp32", "fp32, or bf16 for all but penalties and logits (GPU)")
    compile: bool = _flag(False, "torch.compile where no penalty is taken (GPU)")
    workers: int = _flag(0, "processes that load data which does not fit in memory")
    log_every: int | None = _flag(None, "steps between log lines (default: a 100th of the stage)")
    sample_every: int | None = _flag(None, "steps between sample grids (default: save-every)")
    save_every: int | None = _flag(None, "steps between checkpoints (default: a 10th of the stage)")
    patience: int | None = _flag(None, "stop after so many measurements without improvement")
    not_finite: str = _flag(
        "raise", "at a loss or gradient that is not finite: raise, skip or rollback"
    )
    init: str | None = _flag(None, "a run or weight file to start the networks from")
    report: bool = _flag(True, "write report.html at the end")
    force: bool = _flag(False, "replace the run that is in --out")
    cache: str | None = _flag(None, "where computed things are kept (default: the user's cache)")
    tensorboard: bool = _flag(False, "also write TensorBoard events (the extra `tensorboard`)")

    def settled(self, steps: int) -> TrainOptions:
        """The intervals that were left open, as shares of a stage of so many steps.

        Raises ValueError for an interval or a count below 1.
        """
        save_every = max(1, steps // 10) if self.save_every is None else self.save_every
        settled = replace(
            self,
            save_every=save_every,
            log_every=max(1, steps // 100) if self.log_every is None else self.log_every,
            sample_every=save_every if self.sample_every is None else self.sample_every,
        )
        for name in (*INTERVALS, "patience"):
            value = getattr(settled, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; wanted 1 or more")
        if self.tensorboard and importlib.util.find_spec("tensorboard") is None:
            raise ValueError("--tensorboard needs TensorBoard: pip install 'multigan[tensorboard]'")
        if self.workers < 0:
            raise ValueError(f"workers is {self.workers}; wanted 0 or more")
        return settled

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainOptions:
        """The inverse of `to_json`; ValueError for flags that this version does not know.

        A path is no flag that a run may bring along: what it names would be written to.
        """
        values = {name: value for name, value in values.items() if name not in NOT_KEPT}
        if unknown := set(values) - {item.name for item in fields(cls)}:
            raise ValueError(f"recipe.json has unknown flags {sorted(unknown)}; another version's?")
        for item in fields(cls):
            kind, _, absent = str(item.type).partition(" | ")
            value = values.get(item.name, item.default)
            if type(value).__name__ != kind and not (absent and value is None):
                raise ValueError(f"recipe.json: the flag {item.name} is {value!r}; wanted {kind}")
        return cls(**values).settled(1)

    def intervals(self) -> dict[str, int | None]:
        """How often something is done while it trains: flag -> steps."""
        return {name: getattr(self, name) for name in INTERVALS}

    def to_json(self) -> dict[str, Any]:
        """The flags that a resumed run keeps."""
        return {k: v for k, v in asdict(self).items() if k not in NOT_KEPT}


class StageOptions(NamedTuple):
    """The flags of both stages of a run; only intervals that were left open differ."""

    game: TrainOptions
    likelihood: TrainOptions

    @classmethod
    def settled(cls, flags: TrainOptions, steps: int, likelihood_steps: int) -> StageOptions:
        """Of so many steps each. Raises ValueError as `Flags.settled` does."""
        return cls(flags.settled(steps), flags.settled(likelihood_steps or steps))

    @classmethod
    def from_json(cls, description: Mapping[str, Any], device: str | None = None) -> StageOptions:
        """The inverse of `to_json`, from a run's whole description; on another device if given.

        Raises ValueError for what is none.
        """
        flags = description["flags"] | ({} if device is None else {"device": device})
        likelihood = description.get(LIKELIHOOD_INTERVALS, {})
        if not isinstance(likelihood, Mapping) or set(likelihood) - set(INTERVALS):
            raise ValueError(f"recipe.json: {LIKELIHOOD_INTERVALS} are not {', '.join(INTERVALS)}")
        return cls(TrainOptions.from_json(flags), TrainOptions.from_json({**flags, **likelihood}))

    def to_json(self) -> dict[str, Any]:
        """The flags that a resumed run keeps, and the intervals that its likelihood stage has."""
        return {"flags": self.game.to_json(), LIKELIHOOD_INTERVALS: self.likelihood.intervals()}

    def logged(self, learnt: int, done: int) -> list[int]:
        """The steps of the log lines until step `done`, the first `learnt` in the first stage."""
        first, then = self.likelihood.log_every or done + 1, self.game.log_every or done + 1
        later = range(then * (learnt // then + 1), done + 1, then)
        return [*range(first, learnt + 1, first), *later]


def check_knob_names(recipe: Path, knobs: list[str]) -> None:
    """Raise ValueError if a knob of a recipe has the name of a flag."""
    taken = {item.name for item in fields(TrainOptions)} | {
        "tiny",
        "show",
        "help",
        "json",
        "quiet",
        "verbose",
    }
    if clash := sorted(taken & set(knobs)):
        raise ValueError(f"{recipe}: a knob cannot be called {clash[0]}, which is a flag of train")


def split_options(options: Mapping[str, Any]) -> tuple[TrainOptions, dict[str, Any]]:
    """Flags, and what is left: the knobs of the recipe."""
    names = {item.name for item in fields(TrainOptions)}
    flags = TrainOptions(**{name: value for name, value in options.items() if name in names})
    return flags, {name: value for name, value in options.items() if name not in names}
