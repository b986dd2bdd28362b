"""Start a run, or go on with one: from names and JSON to a Loop."""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

import multigan
from multigan.engine.schedules import progress_of, value_at
from multigan.engine.trainer import AdversarialTrainer
from multigan.part import RECIPE_DOMAIN
from multigan.recipe import Recipe, recipe_from_json, recipe_to_json
from multigan.recipe_file import RecipeFile, build_recipe, read_recipe, settle_knobs
from multigan.rng import keyed_rng
from multigan.run.checkpoint import load_checkpoint, tidy
from multigan.run.directory import RunDirectory, default_out
from multigan.run.evaluate import moved_data
from multigan.run.flags import Flags, check_knob_names, split_flags
from multigan.run.lock import locked
from multigan.run.loop import FINISHED, Loop, Run
from multigan.weights import (
    load_what_fits,
    newest_whole,
    read_weights,
    sha256,
    unique_state,
    weights_of,
)

NAMED = 12  # tensors that a warning names; recipe.json has all


def train(recipe: str | Path, *, tiny: bool = False, show: bool = True, **options: Any) -> Run:
    """Train a recipe (a packaged name or a file) and return its run.

    `options` are flags (see `multigan.run.flags.Flags`) and knobs of the recipe; `tiny` sets the
    recipe's TINY values below the given knobs. Raises ValueError for what cannot be run, before
    anything is written; Interrupted and TrainingFailed leave a resumable run behind.
    """
    flags, wishes = split_flags(options)
    file = read_recipe(recipe)
    check_knob_names(file.path, [knob.name for knob in file.knobs])
    knobs = settle_knobs(file, wishes, tiny)
    built = build_recipe(file, knobs, flags.seed)
    flags = flags.settled(built.steps)
    description = _description(file, knobs, flags, built)
    trainer = _trainer(built, flags, flags.seed, horizon=None)
    if flags.init is not None:
        description["init"] = _initialise(trainer, flags.init)
    run = RunDirectory(default_out(file.name) if flags.out is None else flags.out)
    loop = Loop(trainer, run, flags, show)
    run.demand_free(flags.force)
    with locked(run.path):
        run.create(description, file.path, flags.force)
        _warn(description, file.path, flags.init)
        return _go(loop)


def _warn(description: dict[str, Any], recipe: Path, init: str | None) -> None:
    """Say what a new run does not start from, and what it cannot be rebuilt without."""
    if fresh := description.get("init", {}).get("fresh"):
        names = ", ".join(fresh[:NAMED]) + (f", ... {len(fresh)} in all" if fresh[NAMED:] else "")
        warnings.warn(f"--init {init}: what does not fit starts fresh: {names}", stacklevel=3)
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
    show: bool = True,
) -> Run:
    """Go on with a run, bit by bit as if it had never stopped; at step 0 without a checkpoint.

    `steps` is the new total; schedules keep the stored horizon unless `new_horizon`. `data` is
    where the same data lie now, `cache` where computed things are kept. Raises ValueError for a
    missing or damaged run, or other data.
    """
    run = RunDirectory(path)
    run.description()  # nothing is written into a directory that holds no run
    run.demand_own_files()
    with locked(run.path):
        return _resume(run, steps, new_horizon, device, data, cache, trust, show)


def _resume(
    run: RunDirectory,
    steps: int | None,
    new_horizon: bool,
    device: str | None,
    data: str | None,
    cache: str | None,
    trust: ModuleType | None,
    show: bool,
) -> Run:
    description = run.description()
    stored = description["flags"]
    flags = Flags.from_json(stored if device is None else stored | {"device": device})
    flags = replace(flags, cache=cache)
    if data is not None:
        description["recipe"]["data"] = moved_data(description["recipe"]["data"], data)
    seed = description["seed"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(keyed_rng(seed, "weights").initial_seed())
        recipe = recipe_from_json(description["recipe"], trust)
    if steps is not None:
        recipe = replace(recipe, steps=steps)
    if recipe.data.fingerprint != description["fingerprint"]:
        raise ValueError(f"the data of {run.path} have changed since it was trained; not resumed")
    horizon = recipe.steps if new_horizon else description["horizon"]
    trainer = _trainer(recipe, flags, seed, horizon)
    run.tidy()
    tidy(run.checkpoints)
    state = load_checkpoint(run.path, trainer.networks())
    done = 0 if state is None else _steps_done(state, run)
    if state is None:
        warnings.warn(f"{run.path} has no whole checkpoint: it starts at step 0", stacklevel=2)
        if "init" in description:
            _initialise(trainer, description["init"]["source"])
    if steps is not None and steps < done:
        raise ValueError(f"{run.path} is at step {done} already; wanted --steps above it")
    if done >= recipe.steps or (steps is None and "ended" in description):
        if "ended" not in description:  # killed between its last checkpoint and saying so
            run.describe(description | {"ended": FINISHED})
        learnt = state["trainer"]["likelihood"] if state else None
        before = learnt["number"] if learnt else 0
        return Run(run.path, before + done, description.get("ended", FINISHED))
    _warn_of_standstill(trainer, done)
    description.pop("ended", None)
    description["recipe"]["steps"], description["horizon"] = recipe.steps, horizon
    run.describe(description)
    return _go(Loop(trainer, run, flags, show), state)


def _steps_done(state: Mapping[str, Any], run: RunDirectory) -> int:
    """Steps of the game in a training state; ValueError for one that does not say."""
    trainer = state.get("trainer")
    done = trainer.get("number") if isinstance(trainer, dict) else None
    if not isinstance(done, int):
        raise ValueError(f"{run.path}: its training state does not say how far it is")
    return done


def _warn_of_standstill(trainer: AdversarialTrainer, done: int) -> None:
    """Warn if the schedules have ended at a learning rate of zero."""
    rate = value_at(trainer.recipe.generator_lr, progress_of(trainer.recipe.steps, trainer.horizon))
    if done >= trainer.horizon and rate == 0:
        warnings.warn(
            "the learning rate has come to 0 at the end of its schedule, so these steps change "
            "nothing; --new-horizon stretches it to the new total",
            stacklevel=3,
        )


def _go(loop: Loop, state: Mapping[str, Any] | None = None) -> Run:
    """Train with torch's global generator, which nn.Dropout uses, seeded; it is restored after."""
    with torch.random.fork_rng():
        torch.manual_seed(keyed_rng(loop.trainer.seed, "dropout").initial_seed())
        if state is None:
            loop.begin()
        else:
            _restore(loop, state)
        return loop.go()


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
    file: RecipeFile, knobs: Mapping[str, Any], flags: Flags, recipe: Recipe
) -> dict[str, Any]:
    return {
        "name": file.name,
        "knobs": dict(knobs),
        "flags": flags.to_json(),
        "seed": flags.seed,
        "horizon": recipe.steps,
        "fingerprint": recipe.data.fingerprint,
        "recipe": recipe_to_json(recipe),
        "versions": {
            "multigan": multigan.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }


def _trainer(recipe: Recipe, flags: Flags, seed: int, horizon: int | None) -> AdversarialTrainer:
    device = pick_device(flags.device)
    if flags.precision == "bf16" and device == "cpu":
        warnings.warn("bf16 is many times slower than fp32 on a CPU", stacklevel=3)
    try:
        return AdversarialTrainer(
            recipe,
            seed=seed,
            device=device,
            horizon=horizon,
            precision=flags.precision,
            compile=flags.compile,
            workers=flags.workers,
            not_finite=flags.not_finite,
        )
    except (MemoryError, RuntimeError) as error:  # torch has no error of its own for it on a CPU
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise OSError("there is not enough memory for these networks and their average") from error


def pick_device(name: str) -> str:
    """The device called `name`; "auto" takes the best at hand. ValueError if it is not there."""
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, is_there in present.items() if is_there)
    if name not in present:
        raise ValueError(f"device {name!r} is unknown; known: auto, {', '.join(present)}")
    if not present[name]:
        raise ValueError(f"device {name!r} is not available on this machine; try --device auto")
    return name


def _initialise(trainer: AdversarialTrainer, source: str) -> dict[str, Any]:
    """Start G, its average and (from a run) D from other weights; say from where and what is fresh.

    Raises ValueError if nothing of G fits.
    """
    weights = weights_of(Path(source))
    tensors = read_weights(weights)[1]
    unfit = load_what_fits(trainer.generator, tensors)
    if len(unfit) == len(unique_state(trainer.generator)):
        raise ValueError(f"--init {source}: nothing of it fits this generator; is it of another?")
    load_what_fits(trainer.ema.module, tensors)
    files, fresh = [weights], [f"generator.{name}" for name in unfit]
    beside = newest_whole(Path(source)) if Path(source).is_dir() else None
    if beside is not None:
        files.append(beside / "discriminator.safetensors")
        unfit = load_what_fits(trainer.discriminator, read_weights(files[-1])[1])
        fresh += [f"discriminator.{name}" for name in unfit]
    sums = {str(file.absolute()): sha256(file) for file in files}
    return {"source": str(Path(source).absolute()), "files": sums, "fresh": fresh}
