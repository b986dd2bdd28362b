"""Flags of `multigan train` and the Python API. Imports no torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from multigan.core.argument_types import check_arguments
from multigan.core.number_limits import check_numbers


def _flag(default: Any, help: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": help, "choices": choices})


INTERVALS = ("log_every", "save_every", "sample_every")
LIKELIHOOD_INTERVALS = "likelihood_intervals"  # the key in recipe.json of those of pretraining
LOGGERS = ("tensorboard", "wandb", "mlflow", "trackio")  # each a package and an extra
NOT_STORED = ("out", "init_from", "overwrite", "seed", "cache_dir")  # in recipe.json


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Flags of `train`. A recipe's hyperparameters define the experiment; flags do not."""

    out: str | None = _flag(None, "the run directory (default: runs/<recipe>-0001, ...)")
    seed: int = _flag(0, "seed of all random numbers")
    device: str = _flag("auto", "auto, cpu, cuda or mps")
    precision: str = _flag(
        "fp32", "bf16 is for a GPU; penalties and logits stay fp32", ("fp32", "bf16")
    )
    compile: bool = _flag(False, "use torch.compile, except for penalties (GPU)")
    num_workers: int = _flag(0, "processes that load data which do not fit in memory")
    log_every: int | None = _flag(None, "steps between log lines (default: a 100th of the stage)")
    sample_every: int | None = _flag(None, "steps between sample grids (default: save-every)")
    save_every: int | None = _flag(None, "steps between checkpoints (default: a 10th of the stage)")
    patience: int | None = _flag(None, "stop after this number of evaluations without improvement")
    on_nonfinite: str = _flag(
        "raise", "action at a non-finite loss or gradient", ("raise", "skip", "rollback")
    )
    init_from: str | None = _flag(None, "a run or weight file with the initial weights")
    report: bool = _flag(True, "write report.html at the end")
    overwrite: bool = _flag(False, "replace the run in --out")
    cache_dir: str | None = _flag(None, "folder of cached computations (default: the user's cache)")
    log: str | None = _flag(None, "also log to tensorboard, wandb, mlflow, trackio (a,b for both)")

    def resolved(self, steps: int) -> TrainOptions:
        """Return the options with default intervals, which are fractions of a stage of `steps`.

        Raises ValueError for an unknown choice, an interval or a patience below 1, a negative
        num_workers, and a logger that is unknown or not installed.
        """
        check_numbers(vars(self))
        save_every = max(1, steps // 10) if self.save_every is None else self.save_every
        resolved = replace(
            self,
            save_every=save_every,
            log_every=max(1, steps // 100) if self.log_every is None else self.log_every,
            sample_every=save_every if self.sample_every is None else self.sample_every,
        )
        for item in fields(self):
            choices, given = item.metadata["choices"], getattr(self, item.name)
            if choices and given not in choices:
                raise ValueError(f"{item.name} must be one of {', '.join(choices)}; got {given!r}")
        for name in (*INTERVALS, "patience"):
            value = getattr(resolved, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be 1 or more; got {value}")
        for name in logger_names(self.log):
            if importlib.util.find_spec(name) is None:
                raise ValueError(f"--log {name} needs {name}: pip install 'multigan[{name}]'")
        return resolved

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainOptions:
        """Invert `to_json`. Paths are not read: a run must not choose what is written to.

        Raises ValueError for unknown flags and for values of another type.
        """
        values = {name: value for name, value in values.items() if name not in NOT_STORED}
        if unknown := set(values) - {item.name for item in fields(cls)}:
            raise ValueError(
                f"recipe.json has unknown flags {sorted(unknown)}; of another version?"
            )
        for item in fields(cls):
            kind, _, absent = str(item.type).partition(" | ")
            value = values.get(item.name, item.default)
            if type(value).__name__ != kind and not (absent and value is None):
                raise ValueError(
                    f"recipe.json: the flag {item.name} must be of type {kind}; got {value!r}"
                )
        return cls(**values).resolved(1)

    def intervals(self) -> dict[str, int | None]:
        """Return the intervals of logs, checkpoints and samples in steps, by flag."""
        return {name: getattr(self, name) for name in INTERVALS}

    def to_json(self) -> dict[str, Any]:
        """Return the flags that recipe.json stores."""
        return {k: v for k, v in asdict(self).items() if k not in NOT_STORED}


def logger_names(text: str | None) -> list[str]:
    """Split the value of `--log`. Raises ValueError for an unknown logger."""
    names = [name.strip() for name in text.split(",")] if text else []
    if unknown := [name for name in names if name not in LOGGERS]:
        raise ValueError(
            f"log must be loggers separated by commas; got {unknown[0]!r}; known: "
            f"{', '.join(LOGGERS)}"
        )
    return list(dict.fromkeys(names))


class StageOptions(NamedTuple):
    """Flags of both stages of a run; they differ in default intervals only."""

    adversarial: TrainOptions
    likelihood: TrainOptions

    @classmethod
    def resolved(cls, flags: TrainOptions, steps: int, likelihood_steps: int) -> StageOptions:
        """Resolve for both stages. Raises ValueError as `TrainOptions.resolved` does."""
        return cls(flags.resolved(steps), flags.resolved(likelihood_steps or steps))

    @classmethod
    def from_json(cls, config: Mapping[str, Any], device: str | None = None) -> StageOptions:
        """Invert `to_json`, from the whole config of a run, perhaps for another device.

        Raises ValueError for invalid values.
        """
        flags = config["flags"] | ({} if device is None else {"device": device})
        likelihood = config.get(LIKELIHOOD_INTERVALS, {})
        if not isinstance(likelihood, Mapping) or set(likelihood) - set(INTERVALS):
            raise ValueError(f"recipe.json: {LIKELIHOOD_INTERVALS} must be {', '.join(INTERVALS)}")
        return cls(TrainOptions.from_json(flags), TrainOptions.from_json({**flags, **likelihood}))

    def to_json(self) -> dict[str, Any]:
        """Return the entries of recipe.json: flags, and the intervals of the likelihood stage."""
        return {
            "flags": self.adversarial.to_json(),
            LIKELIHOOD_INTERVALS: self.likelihood.intervals(),
        }

    def expected_log_steps(self, pretraining_steps: int, done: int) -> list[int]:
        """Return the steps of the log lines until step `done`."""
        first, then = self.likelihood.log_every or done + 1, self.adversarial.log_every or done + 1
        later = range(then * (pretraining_steps // then + 1), done + 1, then)
        return [*range(first, pretraining_steps + 1, first), *later]


def check_hyperparameter_names(recipe: Path, names: list[str]) -> None:
    """Raise ValueError if a hyperparameter of a recipe has the name of a flag."""
    taken = {item.name for item in fields(TrainOptions)} | {
        "tiny",
        "show",
        "help",
        "config",
        "json",
        "quiet",
        "verbose",
    }
    if clash := sorted(taken & set(names)):
        raise ValueError(
            f"{recipe}: {clash[0]!r} is a flag of train; rename this hyperparameter of the recipe"
        )


def _as_flag(name: str, value: Any) -> Any:
    if name == "log" and isinstance(value, list | tuple):
        return ",".join(map(str, value))
    is_device = name == "device" and type(value).__name__ == "device"  # of torch, not imported
    if is_device or isinstance(value, Path):
        return str(value)
    integer = getattr(value, "__index__", None)  # of numpy
    return integer() if integer is not None and not isinstance(value, bool) else value


def split_options(options: Mapping[str, Any]) -> tuple[TrainOptions, dict[str, Any]]:
    """Split keyword arguments into flags and hyperparameters of the recipe.

    Paths, a torch.device and a list of loggers become strings. Raises ValueError, in one line, for
    flags of another type.
    """
    names = {item.name for item in fields(TrainOptions)}
    given = {name: _as_flag(name, value) for name, value in options.items() if name in names}
    check_arguments(TrainOptions, given)
    flags = TrainOptions(**given)
    return flags, {name: value for name, value in options.items() if name not in names}
