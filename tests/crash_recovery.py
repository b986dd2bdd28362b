"""`make kills`: training processes of every domain are killed over and over, and none is harmed.

Each run is killed with SIGKILL and resumed until it ends; half of the kills come at a random
moment, half while a checkpoint is being written. What a run leaves in the end is compared, bit by
bit, with a run that nobody disturbed. Every moment follows from SEED and the clock.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from random import Random

import torch

from multigan.runs.directory import read_jsonl
from multigan.storage.checkpoint_integrity import list_checkpoints
from tests.run_helpers import DOMAINS, assert_equal_runs, resume_tiny, steps_before, train_tiny

SEED = 0
KILLS = 30  # over all domains
STEPS = 12  # adversarial
OFTEN = {"steps": STEPS, "log_every": 1, "save_every": 3, "sample_every": 5}
MOST_STEPS = 4  # that a process makes before it is killed at random
REST_SECONDS = 0.2  # and the moment after that
LATEST_WRITE = 4  # an aimed kill meets one of the first writes of its process
WRITE_SECONDS = 0.02  # about as long as one lasts
PATIENCE_SECONDS = 900  # for one process, on a busy machine


@dataclass
class Tally:
    """The kills of one domain: how many there were, and what they met."""

    kills: int = 0
    in_writes: int = 0
    before_training: int = 0
    runs: list[Path] = field(default_factory=list)


def train_on(name: str, out: Path, cache: Path) -> None:
    """Train, or go on where a killed process stopped, as a person would."""
    torch.set_num_threads(1)
    if (out / "recipe.json").exists():
        resume_tiny(out, cache_dir=str(cache))
    else:
        train_tiny(name, out, cache_dir=str(cache), **OFTEN)


def started(context: ForkServerContext, *arguments: str | Path) -> ForkServerProcess:
    process = context.Process(target=train_on, args=arguments)
    process.start()
    return process


def finish(context: ForkServerContext, *arguments: str | Path) -> None:
    """Let a process come to its end."""
    process = started(context, *arguments)
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0, f"{arguments}: ended with {process.exitcode}, see its run"


def half_written(run: Path) -> list[str]:
    """The temporary folders of a checkpoint that is being written, by name."""
    if not (run / "checkpoints").is_dir():
        return []
    return [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]


def wait_for_step(run: Path, process: ForkServerProcess, rng: Random) -> None:
    """Come back at some moment of the next steps, or of the start, or when the process has ended.

    Steps are waited for, not seconds: how long they take depends on who else is on the machine.
    """
    begun = max((int(path.name[5:]) for path in list_checkpoints(run)), default=0)
    wanted = begun + rng.randint(0, MOST_STEPS)
    while process.is_alive() and wanted > begun and last_logged(run) < wanted:
        time.sleep(0.001)
    time.sleep(rng.uniform(0, REST_SECONDS))


def last_logged(run: Path) -> int:
    """The step of the last whole line in the log."""
    return max((line["step"] for line in read_jsonl(run / "log.jsonl")), default=0)


def wait_for_write(run: Path, process: ForkServerProcess, rng: Random) -> None:
    """Come back somewhere inside one of the first writes, or when the process has ended."""
    wanted, seen = rng.randint(1, LATEST_WRITE), set[str]()
    while process.is_alive() and len(seen) < wanted:
        seen.update(half_written(run))
    time.sleep(rng.uniform(0, WRITE_SECONDS))


def kill_once(process: ForkServerProcess, run: Path, tally: Tally) -> bool:
    """Kill a process; False if it had come to its end before."""
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"{run}: ended with {process.exitcode}"
    if process.exitcode == 0:
        return False
    tally.kills += 1
    tally.in_writes += bool(half_written(run))
    tally.before_training += not list_checkpoints(run)
    return True


def torment(
    context: ForkServerContext, name: str, out: Path, cache: Path, tally: Tally, kills: int,
    rng: Random,
) -> None:  # fmt: skip
    """Kill and resume one run until it ends, or `kills` are reached; then let it end."""
    tally.runs.append(out)
    while tally.kills < kills:
        process = started(context, name, out, cache)
        wait = wait_for_write if tally.kills % 2 else wait_for_step
        wait(out, process, rng)
        if not kill_once(process, out, tally):
            break
    finish(context, name, out, cache)


def leftovers(run: Path) -> list[str]:
    """Temporary files and folders that nobody cleared away."""
    return [str(path) for path in run.rglob(".*") if path.name != ".lock"]


def survive(context: ForkServerContext, name: str, kills: int, root: Path, rng: Random) -> Tally:
    """Kill runs of one domain `kills` times; AssertionError if a run differs from the quiet one."""
    quiet, cache, tally = root / name / "quiet", root / name / "cache", Tally()
    finish(context, name, quiet, cache)  # makes the helper models, which later runs find
    while tally.kills < kills:
        out = root / name / f"killed-{len(tally.runs)}"
        torment(context, name, out, cache, tally, kills, rng)
    for run in tally.runs:
        assert_equal_runs(quiet, run, steps_before(name) + STEPS)
        assert leftovers(run) == [], f"{run}: left {leftovers(run)}"
    return tally


def shares(total: int, parts: int) -> list[int]:
    """`total` in `parts` whole parts that differ by 1 at most."""
    return [total // parts + (k < total % parts) for k in range(parts)]


def main(say: Callable[[str], None] = print) -> int:
    """Kill runs of every domain; print what happened; the exit status."""
    context = multiprocessing.get_context("forkserver")  # torch is imported once, not per process
    domains = [f"multigan.{name}.domain" for name in DOMAINS]
    context.set_forkserver_preload(["tests.run_helpers", "multigan.training.launch", *domains])
    rng, begun, killed = Random(SEED), time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="multigan-kills-") as root:
        for name, kills in zip(DOMAINS, shares(KILLS, len(DOMAINS)), strict=True):
            tally = survive(context, name, kills, Path(root), rng)
            killed += tally.kills
            say(
                f"{name}: {tally.kills} kills, {tally.in_writes} of them inside a checkpoint write "
                f"and {tally.before_training} before the first; {len(tally.runs)} runs end as the "
                "undisturbed one does, weights, state and logs"
            )
    say(f"{killed} kills, {killed} survived, in {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
