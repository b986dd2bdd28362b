"""Start a run, or go on with one: from names and JSON to a Loop."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import multigan
from multigan.core.recipe import Recipe, recipe_from_json, recipe_to_json
from multigan.core.recipe_file import (
    RecipeFile,
    build_recipe,
    last_recipe_module,
    read_recipe,
    resolve_hyperparameters,
)
from multigan.core.rng import keyed_rng
from multigan.core.serialization import RECIPE_DOMAIN
from multigan.engine.distributed import DistributedContext, init_distributed
from multigan.engine.schedules import progress_of, value_at
from multigan.engine.trainer import AdversarialTrainer
from multigan.report.report import report_quietly
from multigan.runs.checkpoint import load_checkpoint, stored_bytes, tidy
from multigan.runs.directory import RunDirectory, default_out, run_lock
from multigan.runs.train_options import StageOptions, TrainOptions, check_knob_names, split_options
from multigan.storage.loading import with_source
from multigan.storage.memory_limits import MOST_BYTES, check_model_memory, memory_budget
from multigan.training.device import device_of_process, pick_device
from multigan.training.loop import FINISHED, Loop, Run
from multigan.training.warm_start import warm_start

MAX_NAMES_SHOWN = 12  # tensors that a warning names; recipe.json has all


def train(recipe: str | Path, *, tiny: bool = False, show: int = True, **options: Any) -> Run:
    """Train a recipe (a packaged name or a file) and return its run.

    `options` are flags (see `multigan.runs.train_options.TrainOptions`) and knobs of the
    recipe; `tiny` sets the recipe's TINY values below the given knobs; `show` is 0 for silence, 2
    for every line of the log. Raises ValueError for what cannot be run, before
    anything is written; Interrupted and TrainingFailed leave a resumable run behind.
    """
    flags, wishes = split_options(options)
    with init_distributed() as processes, ExitStack() as held:

        def build() -> tuple[RecipeFile, dict[str, Any], StageOptions, AdversarialTrainer]:
            file = read_recipe(recipe)
            check_knob_names(file.path, [knob.name for knob in file.knobs])
            knobs = resolve_hyperparameters(file, wishes, tiny)
            built = build_recipe(file, knobs, flags.seed)
            stages = StageOptions.settled(flags, built.steps, built.likelihood_steps)
            trainer = _trainer(built, stages.game, flags.seed, None, processes)
            return file, _description(file, knobs, stages, built), stages, trainer

        file, description, stages, trainer = processes.on_all_ranks(build)
        check_same_data(trainer)
        if flags.init is not None:
            init = flags.init
            description["init"] = processes.on_rank_zero(lambda: warm_start(trainer, init))
        out = processes.on_rank_zero(
            lambda: str(default_out(file.name) if not flags.out else flags.out)
        )
        loop, run = Loop(trainer, RunDirectory(out), stages, show, flags.cache), RunDirectory(out)

        def create() -> None:
            run.demand_free(flags.force)
            held.enter_context(run_lock(run.path))
            run.create(description, file.path, flags.force)
            if unpack := getattr(trainer.recipe.data.domain, "save_assets", None):
                unpack(run.path)

        processes.on_rank_zero(create)
        _warn(description, file.path, flags.init)
        return _go(loop)


def check_same_data(trainer: AdversarialTrainer) -> None:
    """Raise ValueError, in one process, where it reads other data than the first one."""
    found = trainer.recipe.data.fingerprint
    wanted = trainer.processes.on_rank_zero(lambda: found)

    def compare() -> None:
        if found != wanted:
            raise ValueError(
                f"process {trainer.processes.rank} reads other data than the first one; wanted "
                "the same files on every machine"
            )

    trainer.processes.on_all_ranks(compare)


def _warn(description: dict[str, Any], recipe: Path, init: str | None) -> None:
    """Say what a new run does not start from, and what it cannot be rebuilt without."""
    if fresh := description.get("init", {}).get("fresh"):
        names = ", ".join(fresh[:MAX_NAMES_SHOWN]) + (
            f", ... {len(fresh)} in all" if fresh[MAX_NAMES_SHOWN:] else ""
        )
        warnings.warn(
            f"--init {init}: what it lacks, or does not fit, is fresh: {names}", stacklevel=3
        )
    if f'"{RECIPE_DOMAIN}/' in json.dumps(description):
        warnings.warn(
            f"classes of {recipe} are part of this run; to resume or sample it, name that "
            "file with --trust",
            stacklevel=3,
        )


def resume(
    path: str | Path,
    *,
    steps: int | None = None,
    new_horizon: bool = False,
    device: str | None = None,
    data: str | None = None,
    cache: str | None = None,
    trust: ModuleType | None = None,
    show: int = True,
) -> Run:
    """Go on with a run, bit by bit as if it had never stopped; at step 0 without a checkpoint.

    `steps` is the new total; schedules keep the stored horizon unless `new_horizon`. `data` is
    where the same data lie now, `cache` where computed things are kept. Raises ValueError for a
    missing or damaged run, or other data.
    """
    run = RunDirectory(path)
    with init_distributed() as processes, ExitStack() as held:

        def lock() -> None:
            run.description()  # nothing is written into a directory that holds no run
            run.demand_own_files()
            held.enter_context(run_lock(run.path))

        processes.on_rank_zero(lock)
        return _resume(processes, run, steps, new_horizon, device, data, cache, trust, show)


def _resume(
    processes: DistributedContext,
    run: RunDirectory,
    steps: int | None,
    new_horizon: bool,
    device: str | None,
    data: str | None,
    cache: str | None,
    trust: ModuleType | None,
    show: int,
) -> Run:
    def describe() -> dict[str, Any]:
        found = run.description()
        if data is not None:
            found["recipe"]["data"] = with_source(found["recipe"]["data"], data)
        return found

    description = processes.on_rank_zero(describe)
    seed = description["seed"]
    stages = processes.on_all_ranks(lambda: StageOptions.from_json(description, device))

    def build() -> AdversarialTrainer:
        check_model_memory(
            description["recipe"], max(MOST_BYTES, memory_budget(stored_bytes(run.path)))
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(keyed_rng(seed, "weights").initial_seed())
            recipe = recipe_from_json(description["recipe"], trust)
        if steps is not None:
            recipe = replace(recipe, steps=steps)
        if recipe.data.fingerprint != description["fingerprint"]:
            raise ValueError(
                f"the data of {run.path} have changed since it was trained; not resumed"
            )
        horizon = recipe.steps if new_horizon else description["horizon"]
        return _trainer(recipe, stages.game, seed, horizon, processes)

    def load() -> dict[str, Any] | None:
        run.tidy()
        tidy(run.checkpoints)
        return load_checkpoint(run.path, trainer.networks())

    trainer = processes.on_all_ranks(build)
    recipe, horizon = trainer.recipe, trainer.schedule_steps
    state = processes.on_rank_zero(load)
    done = processes.on_rank_zero(lambda: _steps_done(state, run, steps))
    if state is None:
        warnings.warn(f"{run.path} has no whole checkpoint: it starts at step 0", stacklevel=2)
        if "init" in description:
            source = description["init"]["source"]
            description["init"] = processes.on_rank_zero(lambda: warm_start(trainer, source))
    if done >= recipe.steps or (steps is None and "ended" in description):
        if "ended" not in description:  # killed between its last checkpoint and saying so
            processes.on_rank_zero(lambda: run.describe(description | {"ended": FINISHED}))
        learnt = state["trainer"]["likelihood"] if state else None
        before = learnt["number"] if learnt else 0
        return Run(
            run.path, before + done, description.get("ended", FINISHED), processes.is_rank_zero
        )
    _warn_zero_lr(trainer, done)
    description.pop("ended", None)
    description["recipe"]["steps"], description["horizon"] = recipe.steps, horizon
    processes.on_rank_zero(lambda: run.describe(description))
    return _go(Loop(trainer, run, stages, show, cache), state)


def _steps_done(state: Mapping[str, Any] | None, run: RunDirectory, wanted: int | None) -> int:
    """Steps of the game in a training state; ValueError if it does not say, or is beyond `wanted`.

    0 without a state.
    """
    if state is None:
        return 0
    trainer = state.get("trainer")
    done = trainer.get("number") if isinstance(trainer, dict) else None
    if not isinstance(done, int):
        raise ValueError(f"{run.path}: its training state does not say how far it is")
    if wanted is not None and wanted < done:
        raise ValueError(f"{run.path} is at step {done} already; wanted --steps above it")
    return done


def _warn_zero_lr(trainer: AdversarialTrainer, done: int) -> None:
    """Warn if the schedules have ended at a learning rate of zero."""
    rate = value_at(
        trainer.recipe.generator_lr, progress_of(trainer.recipe.steps, trainer.schedule_steps)
    )
    if done >= trainer.schedule_steps and rate == 0:
        warnings.warn(
            "the learning rate has come to 0 at the end of its schedule, so these steps change "
            "nothing; --new-horizon stretches it to the new total",
            stacklevel=3,
        )


def _go(loop: Loop, state: Mapping[str, Any] | None = None) -> Run:
    """Train with torch's global generator, which nn.Dropout uses, seeded; it is restored after.

    Each process has a stream of its own.
    """
    trainer = loop.trainer
    rank = [trainer.processes.rank] if trainer.processes.rank else []
    with torch.random.fork_rng([trainer.device] if trainer.device.type == "cuda" else []):
        torch.manual_seed(keyed_rng(trainer.seed, "dropout", *rank).initial_seed())
        if state is None:
            loop.begin()
        else:
            _restore(loop, state)
        ended = loop.go()
    if loop.flags.report and trainer.processes.is_rank_zero:
        report_quietly(ended.path, last_recipe_module())
    return ended


def _restore(loop: Loop, state: Mapping[str, Any]) -> None:
    try:
        loop.restore(state)
    except (LookupError, TypeError, AttributeError, RuntimeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit ({error})"
        raise ValueError(
            f"{loop.run.path}: its training state {what}: another version of multigan wrote "
            "it; resume it with that one, or start from its weights with train --init"
        ) from error


def _description(
    file: RecipeFile, knobs: Mapping[str, Any], stages: StageOptions, recipe: Recipe
) -> dict[str, Any]:
    return {
        "name": file.name,
        "knobs": dict(knobs),
        **stages.to_json(),
        "seed": stages.game.seed,
        "horizon": recipe.steps,
        "fingerprint": recipe.data.fingerprint,
        "recipe": recipe_to_json(recipe),
        "versions": {
            "multigan": multigan.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def _trainer(
    recipe: Recipe,
    flags: TrainOptions,
    seed: int,
    horizon: int | None,
    processes: DistributedContext,
) -> AdversarialTrainer:
    device = device_of_process(pick_device(flags.device), processes)
    if flags.precision == "bf16" and device == "cpu":
        warnings.warn("bf16 is many times slower than fp32 on a CPU", stacklevel=3)
    try:
        return AdversarialTrainer(
            recipe,
            seed=seed,
            device=device,
            schedule_steps=horizon,
            precision=flags.precision,
            compile=flags.compile,
            workers=flags.workers,
            not_finite=flags.not_finite,
            processes=processes,
        )
    except (MemoryError, RuntimeError) as error:  # torch has no error of its own for it on a CPU
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise OSError("there is not enough memory for these networks and their average") from error
