"""Programs in processes that are forked from a server which has imported torch.

They start in a tenth of a second, a new interpreter in three. `python` of tests/run_helpers.py
starts one: for what is about imports.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.run_helpers import DOMAINS, REPOSITORY

PRELOADED = ["torch._dynamo", "tests.run_helpers", "multigan.cli.app", "multigan.training.launch"]
PRELOADED += ["sklearn.cluster", "sklearn.datasets"]
PRELOADED += [f"multigan.{name}.domain" for name in DOMAINS]
HASH_SEED = "1234"  # of strings in these processes
PATIENCE_S = 600  # a busy machine takes minutes


class Ended(NamedTuple):
    """What a program has left."""

    returncode: int
    stdout: str
    stderr: str


@cache
def server() -> ForkServerContext:
    """The server, running; it has run no backward pass, whose threads a fork would lose."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before, seed = Path.cwd(), os.environ.get("PYTHONHASHSEED")
    os.chdir(REPOSITORY)  # from where it imports `tests`
    os.environ["PYTHONHASHSEED"] = HASH_SEED
    try:
        forkserver.ensure_running()
    finally:
        os.chdir(before)
        os.environ.pop("PYTHONHASHSEED")
        os.environ |= {} if seed is None else {"PYTHONHASHSEED": seed}
    return context


class Program:
    """`python -m module arguments`, running; `environment` is that of this process and more."""

    def __init__(
        self, module: str, *arguments: str | Path, cwd: Path | None = None, **environment: str
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        words = [module, *map(str, arguments)]
        place = str(cwd or Path.cwd())
        self.process = server().Process(
            target=_execute, args=(words, self._folder.name, place, {**os.environ, **environment})
        )
        self.process.start()

    def wait(self) -> Ended:
        """What it has left, when it has ended; it is killed after PATIENCE_S."""
        self.process.join(PATIENCE_S)
        self.process.kill()
        self.process.join()
        with self._folder as folder:
            texts = [(Path(folder) / name).read_text() for name in ("stdout", "stderr")]
        return Ended(self.process.exitcode, *texts)


def _execute(words: list[str], folder: str, cwd: str, environment: dict[str, str]) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(Path(folder) / name, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def forked(module: str, *arguments: str | Path, **settings: Any) -> Ended:
    """What `python -m module arguments` has left."""
    return Program(module, *arguments, **settings).wait()


def in_another_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=server()) as pool:
        return pool.submit(function, *arguments).result()
