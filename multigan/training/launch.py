"""Start or resume a run."""

from __future__ import annotations

import json
import platform
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from multigan.core.data_counts import DataCounts
from multigan.core.number_limits import check_number
from multigan.core.protocols import EvaluationSkipped, SupportsAssets, SupportsDataCounts
from multigan.core.recipe import Recipe, check_same_recipe, recipe_from_json, recipe_to_json
from multigan.core.recipe_file import (
    build_recipe,
    read_recipe,
    resolve_hyperparameters,
)
from multigan.core.rng import keyed_rng
from multigan.core.serialization import RECIPE_DOMAIN
from multigan.core.version import __version__
from multigan.engine.distributed import DistributedContext, init_distributed
from multigan.engine.schedules import progress_of, schedule_ends, value_at
from multigan.engine.trainer import AdversarialTrainer
from multigan.report.report import report_quietly
from multigan.runs.checkpoint import clean_up, load_checkpoint, stored_bytes
from multigan.runs.data_comparison import update_data_comparison
from multigan.runs.directory import EVALUATION, RECIPE, RunDirectory, default_out, run_lock
from multigan.runs.evaluate import evaluate
from multigan.runs.provenance import RECIPE_OBJECT
from multigan.runs.train_options import (
    StageOptions,
    TrainOptions,
    check_hyperparameter_names,
    split_options,
)
from multigan.storage.loading import Trusted, trusted, with_source
from multigan.storage.memory_limits import MAX_NETWORK_BYTES, check_model_memory, memory_budget
from multigan.training.allocator import keep_freed_memory
from multigan.training.callbacks import Callback
from multigan.training.device import (
    check_dtype,
    device_of_process,
    pick_device,
    warn_of_emulated_bf16,
    warn_of_many_workers,
)
from multigan.training.loop import FINISHED, Loop
from multigan.training.run import Run
from multigan.training.warm_start import warm_start

MAX_NAMES_SHOWN = 12  # tensors that a warning names; recipe.json has all


class Experiment(NamedTuple):
    """A recipe and its origin: a file with hyperparameters, or an object of the caller."""

    name: str
    file: Path | None
    hyperparameters: dict[str, Any]
    recipe: Recipe


def _from_file(
    recipe: str | Path, requested: Mapping[str, Any], tiny: bool, seed: int
) -> Experiment:
    file = read_recipe(recipe)
    check_hyperparameter_names(file.path, [item.name for item in file.hyperparameters])
    hyperparameters = resolve_hyperparameters(file, requested, tiny)
    built = build_recipe(file, hyperparameters, seed)
    return Experiment(file.name, file.path, hyperparameters, built)


def _from_object(recipe: Recipe, requested: Mapping[str, Any], tiny: bool) -> Experiment:
    if tiny or requested:
        names = ", ".join([*requested, *(["tiny"] if tiny else [])])
        raise ValueError(f"a Recipe must have its values itself; got {names}: set them in it")
    return Experiment(RECIPE_OBJECT, None, {}, recipe)


def train(
    recipe: str | Path | Recipe,
    *,
    tiny: bool = False,
    show: int = True,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Run:
    """Train a recipe (a packaged name, a file or a `Recipe`) and return its run.

    `options` are flags (see `multigan.runs.train_options.TrainOptions`) and hyperparameters of the
    recipe. `tiny` changes the defaults to the recipe's TINY values. `show` is 0 for no output, 2
    for all lines of the log. `callbacks` receive values and media during training.

    The networks of a `Recipe` are trained as they are passed, with their weights, and the run is
    evaluated on its test split at the end. With `resume` the run in `out`, if there is one,
    continues bit by bit with the same objects, up to the recipe's steps. Raises ValueError for
    invalid input, before anything is written; Interrupted and TrainingFailed leave a resumable run.
    """
    flags, requested = split_options(options)
    check_dtype()
    if resume:
        if not isinstance(recipe, Recipe) or not flags.out:
            raise ValueError("resume must be given with a Recipe and out; else use resume(PATH)")
        if (Path(flags.out) / RECIPE).is_file():
            return _resume_object(recipe, options, show, callbacks)
    with init_distributed() as processes, ExitStack() as held:

        def build() -> tuple[Experiment, dict[str, Any], StageOptions, AdversarialTrainer]:
            if isinstance(recipe, Recipe):
                experiment = _from_object(recipe, requested, tiny)
            else:
                experiment = _from_file(recipe, requested, tiny, flags.seed)
            built = experiment.recipe
            stages = StageOptions.resolved(flags, built.steps, built.likelihood_steps)
            description = _config(experiment, stages)
            trainer = _trainer(built, stages.adversarial, flags.seed, None, processes)
            return experiment, description, stages, trainer

        experiment, description, stages, trainer = processes.on_all_ranks(build)
        check_same_data(trainer)
        if flags.init_from is not None:
            init = flags.init_from
            description["init"] = processes.on_rank_zero(lambda: warm_start(trainer, init))
        out = processes.on_rank_zero(
            lambda: str(default_out(experiment.name) if not flags.out else flags.out)
        )
        run = RunDirectory(out)
        loop = Loop(trainer, run, stages, show, flags.cache_dir, callbacks)
        overwrite = flags.overwrite
        processes.on_rank_zero(lambda: _create(run, held, experiment, description, overwrite))
        _warn(description, experiment.file, flags.init_from)
        if (counts := _data_counts(trainer.recipe)) and show and processes.is_rank_zero:
            print(f"data: {counts.summary()}", file=sys.stderr)
        return _run(loop, evaluates=experiment.file is None)


def _create(
    run: RunDirectory,
    held: ExitStack,
    experiment: Experiment,
    description: dict[str, Any],
    overwrite: bool,
) -> None:
    """Create the directory of a run, whose lock `held` then has."""
    run.require_empty(overwrite)
    held.enter_context(run_lock(run.path))
    run.create(description, experiment.file, overwrite)
    domain = experiment.recipe.data.domain
    if isinstance(domain, SupportsAssets):
        domain.save_assets(run.path)


def _data_counts(recipe: Recipe) -> DataCounts | None:
    """Return what the reader of the data used and left out, if the dataset counts it."""
    return recipe.data.data_counts() if isinstance(recipe.data, SupportsDataCounts) else None


def check_same_data(trainer: AdversarialTrainer) -> None:
    """Raise ValueError if a process reads other data than rank 0."""
    found = trainer.recipe.data.fingerprint
    expected = trainer.processes.on_rank_zero(lambda: found)

    def compare() -> None:
        if found != expected:
            raise ValueError(
                f"process {trainer.processes.rank} reads other data than process 0; the files must "
                "be the same on every machine"
            )

    trainer.processes.on_all_ranks(compare)


def _warn(description: dict[str, Any], recipe: Path | None, init_from: str | None) -> None:
    """Warn about tensors without initial weights, and about classes of the recipe file."""
    if fresh := description.get("init", {}).get("fresh"):
        names = ", ".join(fresh[:MAX_NAMES_SHOWN]) + (
            f", ... {len(fresh)} in all" if fresh[MAX_NAMES_SHOWN:] else ""
        )
        warnings.warn(
            f"--init-from {init_from}: what it lacks, or does not fit, is fresh: {names}",
            stacklevel=3,
        )
    if f'"{RECIPE_DOMAIN}/' in json.dumps(description):
        warnings.warn(
            f"classes of {recipe} are part of this run; to resume or sample it, name that "
            "file with --trust-recipe",
            stacklevel=3,
        )


def resume(
    path: str | Path,
    *,
    steps: int | None = None,
    extend_schedules: bool = False,
    device: str | None = None,
    data: str | None = None,
    cache_dir: str | None = None,
    trust: Trusted | None = None,
    show: int = True,
    callbacks: Sequence[Callback] = (),
) -> Run:
    """Resume a run, with bit-identical results to a run without a stop.

    `steps` is the new total; schedules keep their length unless `extend_schedules`. `data` is the
    new source of the same data, `cache_dir` the folder of cached computations. `trust` is the
    executed recipe file, or the recipe with the objects, that a run needs to be rebuilt. A run
    without a checkpoint starts at step 0. Raises ValueError for a missing or damaged run, or other
    data.
    """
    run, trust = RunDirectory(path), trusted(trust)
    check_number("steps", steps)
    with init_distributed() as processes, ExitStack() as held:

        def lock() -> None:
            run.read_config()  # before the lock writes into the directory
            run.reject_links()
            held.enter_context(run_lock(run.path))

        processes.on_rank_zero(lock)
        return _resume(
            processes, run, steps, extend_schedules, device, data, cache_dir, trust, show, callbacks
        )


def _resume(
    processes: DistributedContext,
    run: RunDirectory,
    steps: int | None,
    extend_schedules: bool,
    device: str | None,
    data: str | None,
    cache_dir: str | None,
    trust: Trusted | None,
    show: int,
    callbacks: Sequence[Callback],
) -> Run:
    def read() -> dict[str, Any]:
        found = run.read_config()
        if data is not None:
            found["recipe"]["data"] = with_source(found["recipe"]["data"], data)
        return found

    description = processes.on_rank_zero(read)
    seed = description["seed"]
    stages = processes.on_all_ranks(lambda: StageOptions.from_json(description, device))

    def build() -> AdversarialTrainer:
        recipe = _recipe_of(run, description, trust)
        if steps is not None:
            recipe = replace(recipe, steps=steps)
        if recipe.data.fingerprint != description["fingerprint"]:
            raise ValueError(f"the data of {run.path} have changed since it was trained")
        horizon = recipe.steps if extend_schedules else description["horizon"]
        return _trainer(recipe, stages.adversarial, seed, horizon, processes)

    def load() -> dict[str, Any] | None:
        run.clean_up()
        clean_up(run.checkpoints)
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
    is_object = isinstance(trust, Recipe)
    if done >= recipe.steps or (steps is None and "ended" in description):
        ended = _ended_run(run, description, state, done, processes, trainer.given_recipe)
        is_measured = (run.path / EVALUATION).is_file()  # not if it was killed before
        if is_object and processes.is_rank_zero and not is_measured:
            _evaluate(ended, stages.adversarial, cache_dir)
        return ended
    _warn_zero_lr(trainer, done)
    processes.on_rank_zero(lambda: _warn_threads(description))
    description.pop("ended", None)
    description["recipe"]["steps"], description["horizon"] = recipe.steps, horizon
    processes.on_rank_zero(lambda: run.write_config(description))
    loop = Loop(trainer, run, stages, show, cache_dir, callbacks)
    return _run(loop, state, evaluates=is_object)


def _recipe_of(run: RunDirectory, description: dict[str, Any], trust: Trusted | None) -> Recipe:
    """Rebuild the recipe of a run, with fresh weights, or return the one with its objects.

    Raises ValueError for a recipe of another experiment.
    """
    if isinstance(trust, Recipe):
        check_same_recipe(trust, description["recipe"], str(run.path))
        return trust
    budget = max(MAX_NETWORK_BYTES, memory_budget(stored_bytes(run.path)))
    check_model_memory(description["recipe"], budget)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_rng(description["seed"], "weights").initial_seed())
        return recipe_from_json(description["recipe"], trust)


MAY_CHANGE = ("out", "device", "cache_dir", "overwrite", "report")  # options, on resuming


def _resume_object(
    recipe: Recipe, options: Mapping[str, Any], show: int, callbacks: Sequence[Callback]
) -> Run:
    """Resume the run in `out` with the objects of a recipe.

    Raises ValueError for other options than those of the run.
    """
    flags, requested = split_options(options)
    _from_object(recipe, requested, tiny=False)
    run = RunDirectory(str(flags.out))
    config = run.read_config()
    stored = config["flags"] | {"seed": config["seed"]}
    for name, value in options.items():
        if name not in MAY_CHANGE and stored.get(name, value) != value:
            raise ValueError(
                f"{name} must be as in the first training of {run.path}, {stored[name]!r}; "
                f"got {value!r}"
            )
    return resume(
        run.path,
        steps=None if recipe.steps == config["recipe"]["steps"] else recipe.steps,
        device=options.get("device"),
        cache_dir=flags.cache_dir,
        trust=recipe,
        show=show,
        callbacks=callbacks,
    )


def _ended_run(
    run: RunDirectory,
    description: dict[str, Any],
    state: Mapping[str, Any] | None,
    done: int,
    processes: DistributedContext,
    recipe: Recipe,
) -> Run:
    """Return a run that has nothing left to train, marked as ended."""
    if "ended" not in description:  # killed after its last checkpoint
        processes.on_rank_zero(lambda: run.write_config(description | {"ended": FINISHED}))
    pretraining = state["trainer"]["likelihood"] if state else None
    before = pretraining["number"] if pretraining else 0
    reason, first = description.get("ended", FINISHED), processes.is_rank_zero
    return Run(run.path, before + done, reason, first, recipe)


def _steps_done(state: Mapping[str, Any] | None, run: RunDirectory, steps: int | None) -> int:
    """Return the adversarial steps of a training state; 0 without a state.

    Raises ValueError for a state without this number, and for one beyond the total `steps`.
    """
    if state is None:
        return 0
    trainer = state.get("trainer")
    done = trainer.get("number") if isinstance(trainer, dict) else None
    if not isinstance(done, int):
        raise ValueError(f"{run.path}: its training state does not hold the number of steps")
    if steps is not None and steps < done:
        raise ValueError(
            f"--steps must be {done} or more, the current step of {run.path}; got {steps}"
        )
    return done


def _warn_zero_lr(trainer: AdversarialTrainer, done: int) -> None:
    """Warn if the schedules have ended at a learning rate of zero."""
    rate = value_at(
        trainer.recipe.generator_lr, progress_of(trainer.recipe.steps, trainer.schedule_steps)
    )
    if done >= trainer.schedule_steps and rate == 0:
        warnings.warn(
            "the learning rate has come to 0 at the end of its schedule, so these steps change "
            "nothing; --extend-schedules stretches it to the new total",
            stacklevel=3,
        )


def _warn_threads(description: dict[str, Any]) -> None:
    """Warn if the run was trained with another number of threads, and record the present one."""
    before, now = description.get("threads"), torch.get_num_threads()
    if before not in (None, now):
        warnings.warn(
            f"the threads of torch must be {before}, as so far in this run, to give the same last "
            f"bits; got {now}: set OMP_NUM_THREADS={before}",
            stacklevel=4,
        )
    description["threads"] = now


def _run(loop: Loop, state: Mapping[str, Any] | None = None, *, evaluates: bool = False) -> Run:
    """Train with a seeded global generator of torch, which nn.Dropout uses; restore it afterwards.

    Each process has a random stream of its own. With `evaluates` the run is evaluated at the end.
    """
    keep_freed_memory()
    trainer = loop.trainer
    rank = [trainer.processes.rank] if trainer.processes.rank else []
    devices = [trainer.device] if trainer.device.type == "cuda" else []
    # A caller's torch.no_grad() is not meant for the training.
    with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(keyed_rng(trainer.seed, "dropout", *rank).initial_seed())
        if state is None:
            loop.initialize()
        else:
            _restore(loop, state)
        ended = loop.run()
    if evaluates and trainer.processes.is_rank_zero:
        _evaluate(ended, loop.flags, loop.flags.cache_dir)
    if loop.flags.report and trainer.processes.is_rank_zero:
        update_data_comparison(ended.path, loop.data, ended.recipe)
        report_quietly(ended.path, ended.recipe)
    return ended


def _evaluate(run: Run, flags: TrainOptions, cache_dir: str | None) -> None:
    """Write the evaluation of a run, unless its data are too few, which the loop has reported."""
    device = pick_device(flags.device)
    with suppress(EvaluationSkipped):
        evaluate(run.path, trust=run.recipe, device=device, cache=cache_dir)


def _restore(loop: Loop, state: Mapping[str, Any]) -> None:
    try:
        loop.restore(state)
    except (LookupError, TypeError, AttributeError, RuntimeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit ({error})"
        raise ValueError(
            f"{loop.directory.path}: its training state {what}: another version of multigan wrote "
            "it; resume it with that version, or start from its weights with train --init-from"
        ) from error


def _config(experiment: Experiment, stages: StageOptions) -> dict[str, Any]:
    recipe = experiment.recipe
    counts = _data_counts(recipe)
    return {
        "name": experiment.name,
        **({} if counts is None else {"data_counts": counts.to_json()}),
        "hyperparameters": dict(experiment.hyperparameters),
        **stages.to_json(),
        "seed": stages.adversarial.seed,
        "horizon": recipe.steps,
        "schedules": schedule_ends(recipe),
        "fingerprint": recipe.data.fingerprint,
        "recipe": recipe_to_json(recipe, of_caller=experiment.file is None),
        "threads": torch.get_num_threads(),
        "versions": {
            "multigan": __version__,
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
    warn_of_emulated_bf16(flags.precision, device)
    warn_of_many_workers(recipe.data, flags.num_workers)
    try:
        return AdversarialTrainer(
            recipe,
            seed=seed,
            device=device,
            schedule_steps=horizon,
            precision=flags.precision,
            compile=flags.compile,
            num_workers=flags.num_workers,
            on_nonfinite=flags.on_nonfinite,
            processes=processes,
        )
    except (MemoryError, RuntimeError) as error:  # torch has no specific error on a CPU
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise OSError("there is not enough memory for these networks and their EMA") from error
